"""RViz markers of the hands. RViz rejects empty lists, zero scales and non-unit quaternions, so this module avoids all three.

Each hand has markers for the surface, the bones, one ellipsoid per joint and one ellipsoid at the wrist. A joint ellipsoid shows
the position uncertainty within the hand. The wrist ellipsoid shows the position uncertainty of the whole hand. Each ellipsoid
contains the probability `CONFIDENCE`.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Vector3
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from hand_mesh_ros.core.geometry.mirror import mirror_faces
from hand_mesh_ros.core.topology import BONES, WRIST
from hand_mesh_ros.core.types import HandEstimate
from hand_mesh_ros.core.uncertainty.calibration import RADIUS_OF_90_PERCENT
from hand_mesh_ros.ros.output.convert_hands import quaternion

CONFIDENCE = 0.9
_LIFETIME = Duration(nanosec=500_000_000)
_BONE_WIDTH_M = 0.004
_MIN_DIAMETER_M = 1e-4
_COLOURS = {"left": (0.35, 0.62, 0.95), "right": (0.95, 0.66, 0.42)}


class HandMarkers:
    """Builds marker arrays. Stores the displayed markers to delete the markers of lost hands."""

    def __init__(self, faces: np.ndarray) -> None:
        """Stores the faces, (F, 3), of a right hand."""
        self._faces = {"right": faces.ravel().tolist(), "left": mirror_faces(faces).ravel().tolist()}
        self._shown: set[tuple[str, int]] = set()

    def build(self, estimates: Sequence[HandEstimate], header: Header) -> MarkerArray | None:
        """Returns the markers of one image and deletions of outdated markers, or None if there are no markers or deletions.

        One marker deletes all others after the last hand is lost. Skips hands with non-finite positions, and hands relative to
        the wrist: RViz would show them at the lens of the camera.
        """
        markers = [marker for estimate in estimates if _has_place(estimate) for marker in self._of_hand(estimate, header)]
        now_shown = {(marker.ns, marker.id) for marker in markers}
        if self._shown and not now_shown:
            self._shown = now_shown
            return MarkerArray(markers=[Marker(header=header, action=Marker.DELETEALL, scale=_cube(1.0))])
        for namespace, number in sorted(self._shown - now_shown):
            markers.append(Marker(header=header, ns=namespace, id=number, action=Marker.DELETE, scale=_cube(1.0)))
        self._shown = now_shown
        return MarkerArray(markers=markers) if markers else None

    def _of_hand(self, estimate: HandEstimate, header: Header) -> Iterator[Marker]:
        side, name = estimate.handedness, f"hand_{estimate.track_id}"
        corners = _points(estimate.vertices_m)
        mesh = _marker(header, f"{name}/mesh", 0, Marker.TRIANGLE_LIST, ColorRGBA(**_rgb(side), a=1.0))
        mesh.scale = _cube(1.0)
        mesh.points = [corners[index] for index in self._faces[side]]
        yield mesh
        bones = _marker(header, f"{name}/bones", 0, Marker.LINE_LIST, ColorRGBA(r=0.95, g=0.95, b=0.95, a=1.0))
        bones.scale = _cube(_BONE_WIDTH_M)
        joints = _points(estimate.joints_m)
        bones.points = [joints[index] for index in BONES.ravel()]
        yield bones
        for joint, covariance in enumerate(estimate.articulation_covariance_m2):
            yield from _ellipsoid(header, f"{name}/articulation", joint, estimate.joints_m[joint], covariance, _rgb(side))
        wrist_covariance = estimate.joint_covariance_m2[WRIST]
        yield from _ellipsoid(header, f"{name}/position", 0, estimate.joints_m[WRIST], wrist_covariance, _rgb(side))


def _has_place(estimate: HandEstimate) -> bool:
    return estimate.scale_source != "none" and all(
        np.isfinite(points).all() for points in (estimate.joints_m, estimate.vertices_m)
    )


def _ellipsoid(
    header: Header, namespace: str, number: int, centre_m: np.ndarray, covariance_m2: np.ndarray, rgb: dict[str, float]
) -> Iterator[Marker]:
    """Returns the ellipsoid as a scaled sphere. Returns no marker if the covariance is unknown (NaN) or zero."""
    if not np.isfinite(covariance_m2).all() or not covariance_m2.any():
        return
    variances, axes = np.linalg.eigh(covariance_m2)
    axes[:, 0] *= np.linalg.det(axes)  # turns a reflection into a rotation
    diameters = np.maximum(2 * RADIUS_OF_90_PERCENT * np.sqrt(np.maximum(variances, 0)), _MIN_DIAMETER_M)
    sphere = _marker(header, namespace, number, Marker.SPHERE, ColorRGBA(**rgb, a=0.3))
    sphere.pose.position = _points(centre_m[None])[0]
    sphere.pose.orientation = quaternion(axes)
    sphere.scale = Vector3(**dict(zip("xyz", diameters.tolist())))
    yield sphere


def _marker(header: Header, namespace: str, number: int, kind: int, colour: ColorRGBA) -> Marker:
    marker = Marker(header=header, ns=namespace, id=number, type=kind, action=Marker.ADD, color=colour, lifetime=_LIFETIME)
    marker.pose.orientation.w = 1.0
    return marker


def _points(positions_m: np.ndarray) -> list[Point]:
    return [Point(x=x, y=y, z=z) for x, y, z in positions_m.tolist()]


def _cube(side: float) -> Vector3:
    return Vector3(x=side, y=side, z=side)


def _rgb(side: str) -> dict[str, float]:
    return dict(zip("rgb", _COLOURS[side]))
