"""Converts requests for the graph diffusion to inputs of the core, and results of the core to responses.

The core uses right hands only. A left hand is mirrored before and after; in the wrist frame, mirroring negates y.
"""

from typing import TypeVar

import numpy as np

from hand_mesh_ros.action import ReconstructHand
from hand_mesh_ros.core.geometry.mirror import mirror_in_wrist_frame
from hand_mesh_ros.core.graph.reconstruct import Reconstruction
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.topology import JOINT_NAMES, N_JOINTS
from hand_mesh_ros.msg import Hand, ReconstructedHand
from hand_mesh_ros.ros.input.convert_frame import depth_of_image
from hand_mesh_ros.ros.output.convert_hands import SCALE_SOURCES, SIDES, fixed, floats
from hand_mesh_ros.ros.stamp import stamp_ns
from hand_mesh_ros.srv import GenerateHands, InpaintHand

Drawn = TypeVar("Drawn", GenerateHands.Response, InpaintHand.Response)

MOST_HANDS, MOST_STEPS = 64, 1000
# Every part of a hand is closer to its wrist than this [m]. A farther point has a wrong frame or unit.
_REACH_M = 0.3


def check_request(request: GenerateHands.Request | InpaintHand.Request | ReconstructHand.Goal) -> None:
    """Raises ValueError if a field is out of range, with the field, its value and the allowed range."""
    for name, most in (("n", MOST_HANDS), ("steps", MOST_STEPS)):
        value = getattr(request, name)
        if not 1 <= value <= most:
            raise ValueError(f"{name} is {value}, allowed are 1 to {most}")
    if hasattr(request, "side") and request.side not in SIDES.values():
        raise ValueError(f"side is {request.side}, allowed are {Hand.SIDE_LEFT} (left) and {Hand.SIDE_RIGHT} (right)")


def given_part(request: InpaintHand.Request, hand: HandModel) -> tuple[np.ndarray, np.ndarray]:
    """Returns the points of a right hand and a mask of the given points.

    The shapes are (V, 3) and (V,) for the surface, or (21, 3) and (21,) for the joints.

    Raises:
        ValueError: if vertices and joints are both given or both missing, if a length is wrong, or if a given point is invalid.
    """
    has_vertices, has_joints = any(request.vertices_given), any(request.joints_given)
    if has_vertices == has_joints:
        told = "both vertices and joints are given" if has_vertices else "neither a vertex nor a joint is given"
        raise ValueError(f"{told}; set either vertices_given or joints_given")
    if has_vertices:
        n_vertices = len(hand.template_m)
        for name, wanted in (("vertices", 3 * n_vertices), ("vertices_given", n_vertices)):
            if len(getattr(request, name)) != wanted:
                found = len(getattr(request, name))
                raise ValueError(f"{name} has {found} entries, a surface of {n_vertices} vertices needs {wanted}")
        given, points_m = np.asarray(request.vertices_given, bool), np.asarray(request.vertices, np.float64).reshape(-1, 3)
        names = [f"vertex {index}" for index in range(n_vertices)]
    else:
        given, points_m = np.asarray(request.joints_given, bool), np.asarray(request.joints, np.float64).reshape(N_JOINTS, 3)
        names = [f"joint {name}" for name in JOINT_NAMES]
    distance = np.linalg.norm(points_m, axis=-1)
    wrong = np.flatnonzero(given & ~(distance <= _REACH_M))  # `~(a <= b)` is also true for NaN
    if wrong.size:
        first = wrong[0]
        raise ValueError(
            f"{names[first]} is given at {points_m[first].tolist()}, allowed are finite points within {_REACH_M} m of the wrist; "
            "use the wrist frame and metres"
        )
    return (mirror_in_wrist_frame(points_m) if request.side == Hand.SIDE_LEFT else points_m), given


def given_depth(goal: ReconstructHand.Goal, depth_scale: float, slop_ms: float) -> np.ndarray | None:
    """Returns the depth of a goal, (H, W) float32 in metres, 0 where depth is missing. None if the goal has no depth.

    Args:
        goal: the goal.
        depth_scale: as in `decode_depth`.
        slop_ms: largest difference of the stamps of image and depth, if both have stamps.

    Raises:
        ValueError: if the depth has another time or size than the image, or an unknown encoding.
    """
    depth, image = goal.depth, goal.image
    if not (depth.width or depth.height or depth.data):
        return None
    stamps_ns = stamp_ns(depth.header), stamp_ns(image.header)
    apart_ms = 1e-6 * abs(stamps_ns[0] - stamps_ns[1])
    if all(stamps_ns) and apart_ms > slop_ms:
        raise ValueError(
            f"the stamps of depth and image differ by {apart_ms:.1f} ms, depth_slop_ms is {slop_ms:g}: give depth and image "
            "of the same time"
        )
    return depth_of_image(depth, image, depth_scale)


def why_no_depth(is_calibrated: bool, depth_scale: float) -> str:
    """Returns the warning for depth that changed no hand of its image."""
    if not is_calibrated:
        return "depth is not used, because camera_info has no calibration"
    return (
        "depth agrees with no hand: the hands have the distance of their size in the image. Register depth to the image; if the "
        f"unit of depth is wrong, change depth_scale, which is {depth_scale:g}"
    )


def to_response(response: Drawn, vertices_m: np.ndarray, side: int, hand: HandModel) -> Drawn:
    """Writes hands to the response and returns the response.

    Args:
        response: response without hands.
        vertices_m: (n, V, 3) of right hands, palm frame.
        side: requested side, Hand.SIDE_*.
        hand: hand model of the vertices.

    Raises:
        ValueError: if a number is not finite.
    """
    if not np.all(np.isfinite(vertices_m)):
        raise ValueError("the result of the graph diffusion contains numbers that are not finite; check the given part")
    if side == Hand.SIDE_LEFT:
        vertices_m = mirror_in_wrist_frame(vertices_m)
    response.success, response.topology_id = True, hand.digest
    response.side, response.n = side, len(vertices_m)
    response.vertices, response.joints = floats(vertices_m), floats(hand.joint_regressor @ vertices_m)
    return response


def to_reconstructed_hand(found: Reconstruction) -> ReconstructedHand:
    """Returns one hand of the result of ReconstructHand."""
    detection = found.detection
    return ReconstructedHand(
        side=SIDES[detection.handedness],
        side_prob=float(detection.handedness_prob),
        score=float(detection.score),
        keypoints_px=fixed(detection.keypoints_px),
        scale_source=SCALE_SOURCES[found.scale_source],
        n=len(found.weights),
        vertices=floats(found.vertices_m),
        joints=floats(found.joints_m),
        weights=floats(found.weights),
        reprojection_rmse_px=floats(found.reprojection_px),
    )
