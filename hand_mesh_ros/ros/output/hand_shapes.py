"""Serves the hand shapes of the last image to motion planners. Converts capsules to primitives for planners."""

import time
from array import array
from collections.abc import Sequence

import numpy as np
from geometry_msgs.msg import Point, Pose
from shape_msgs.msg import Mesh, MeshTriangle, SolidPrimitive
from std_msgs.msg import Header

from hand_mesh_ros.core.geometry.mirror import mirror_faces
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.robot.capsules import Capsules, HandCapsules
from hand_mesh_ros.core.robot.choose import is_placed
from hand_mesh_ros.core.topology import BONES, N_JOINTS
from hand_mesh_ros.core.types import HandEstimate
from hand_mesh_ros.ros.endpoints import Endpoints
from hand_mesh_ros.ros.output import convert_hands
from hand_mesh_ros.srv import GetHandShape

# Largest age of an image for an answer. The pose from an older image is outdated [s].
_LONGEST_AGE_S = 0.5


class HandShapes:
    """The service `~/get_hand_shape`."""

    def __init__(self, endpoints: Endpoints, model: HandModel) -> None:
        """Creates the service. Before the first image, the response contains an error."""
        self._capsules_of = HandCapsules(model)
        self._triangles = {"right": _triangles(model.faces), "left": _triangles(mirror_faces(model.faces))}
        # Always replaced as a whole, because requests and images use different threads.
        self._last: tuple[float, Sequence[HandEstimate], Header] = (-np.inf, (), Header())
        endpoints.service(GetHandShape, "~/get_hand_shape", self._answer)

    def update(self, hands: Sequence[HandEstimate], header: Header) -> None:
        """Stores the hands that were detected in the newest image. The first hand of a side is the answer for this side."""
        self._last = (time.monotonic(), hands, header)

    def _answer(self, request: GetHandShape.Request, response: GetHandShape.Response) -> GetHandShape.Response:
        came_s, hands, header = self._last
        age_s = time.monotonic() - came_s
        hand = next((hand for hand in hands if convert_hands.SIDES[hand.handedness] == request.side), None)
        if age_s > _LONGEST_AGE_S:
            response.message = f"the last image is {age_s:.1f} s old" if age_s < np.inf else "no image was processed yet"
        elif hand is None:
            response.message = f"no hand of side {request.side} is in the last image"
        elif not is_placed(hand):
            response.message = "the camera is not calibrated: the position of the hand is unknown"
        else:
            try:
                capsules = self._capsules_of.of(hand, request.k_sigma)
            except ValueError as error:
                response.message = str(error)
                return response
            response.success, response.header, response.id = True, header, hand.track_id
            response.primitives, response.primitive_poses = to_primitives(capsules)
            response.mesh = Mesh(triangles=self._triangles[hand.handedness], vertices=_points(hand.vertices_m))
        return response


def to_primitives(capsules: Capsules) -> tuple[list[SolidPrimitive], list[Pose]]:
    """Returns one cylinder per bone, then one sphere per joint with the radius of the widest bone at the joint.

    SolidPrimitive has no capsule type.
    """
    axes = capsules.ends_m - capsules.starts_m
    lengths = np.linalg.norm(axes, axis=-1)
    cylinders = [
        SolidPrimitive(type=SolidPrimitive.CYLINDER, dimensions=array("d", [length, radius]))
        for length, radius in zip(lengths, capsules.radii_m)
    ]
    cylinder_poses = [
        Pose(position=centre, orientation=convert_hands.quaternion(_turn_of_z(axis)))
        for centre, axis in zip(_points((capsules.starts_m + capsules.ends_m) / 2), axes)
    ]
    radii, centres = np.zeros(N_JOINTS), np.zeros((N_JOINTS, 3))
    for end, points in enumerate((capsules.starts_m, capsules.ends_m)):
        np.maximum.at(radii, BONES[:, end], capsules.radii_m)
        centres[BONES[:, end]] = points
    spheres = [SolidPrimitive(type=SolidPrimitive.SPHERE, dimensions=array("d", [radius])) for radius in radii]
    sphere_poses = [Pose(position=centre) for centre in _points(centres)]
    return cylinders + spheres, cylinder_poses + sphere_poses


def _turn_of_z(axis: np.ndarray) -> np.ndarray:
    """Returns a rotation (3, 3) that maps z to `axis`."""
    z = axis / max(float(np.linalg.norm(axis)), 1e-12)
    x = np.cross(np.eye(3)[np.argmin(np.abs(z))], z)
    x /= max(float(np.linalg.norm(x)), 1e-12)
    return np.stack([x, np.cross(z, x), z], -1)


def _triangles(faces: np.ndarray) -> list[MeshTriangle]:
    return [MeshTriangle(vertex_indices=face) for face in np.ascontiguousarray(faces, np.uint32)]


def _points(positions_m: np.ndarray) -> list[Point]:
    return [Point(x=x, y=y, z=z) for x, y, z in positions_m.tolist()]
