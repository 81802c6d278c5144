"""Converts messages of hand_mesh_node to the record that the viewer draws."""

import numpy as np

from hand_mesh_ros.core.topology import N_JOINTS
from hand_mesh_ros.core.types import HandEstimate
from hand_mesh_ros.msg import Hand, HandHypotheses, HandMesh
from hand_mesh_ros.ros.output.convert_hands import SCALE_SOURCES, SIDES, STATES

_SIDE_NAMES = {code: name for name, code in SIDES.items()}
_STATE_NAMES = {code: name for name, code in STATES.items()}
_SCALE_NAMES = {code: name for name, code in SCALE_SOURCES.items()}
# Index into xx, xy, xz, yy, yz, zz for each element of a 3x3 matrix, row by row.
_FULL = [0, 1, 2, 1, 3, 4, 2, 4, 5]


def to_estimate(hand: Hand, mesh: HandMesh | None, hypotheses: HandHypotheses | None) -> HandEstimate:
    """Converts a hand to a pipeline estimate in float32. Without mesh or hypotheses, these parts are empty."""
    vertices = np.zeros((0, 3), np.float32) if mesh is None else np.asarray(mesh.vertices, np.float32).reshape(-1, 3)
    joints = np.zeros((0, N_JOINTS, 3), np.float32)
    weights, mode = np.zeros(0, np.float32), np.zeros(0, int)
    if hypotheses is not None:
        joints = np.asarray(hypotheses.joints, np.float32).reshape(-1, N_JOINTS, 3)
        weights, mode = np.asarray(hypotheses.weights, np.float32), np.asarray(hypotheses.mode, int)
    return HandEstimate(
        track_id=hand.id,
        handedness=_SIDE_NAMES.get(hand.side, "right"),
        handedness_prob=hand.side_prob,
        score=hand.score,
        state=_STATE_NAMES[hand.state],
        joints_m=np.asarray(hand.joints).reshape(N_JOINTS, 3),
        joint_covariance_m2=_full(hand.joint_covariance),
        articulation_covariance_m2=_full(hand.articulation_covariance),
        joint_confidence=np.asarray(hand.joint_confidence),
        joint_flags=np.asarray(hand.joint_flags),
        hypotheses_m=joints,
        weights=weights,
        mode=mode,
        vertices_m=vertices,
        vertex_std_m=np.zeros(0, np.float32) if mesh is None else np.asarray(mesh.vertex_std, np.float32),
        wrist_pose=_pose(hand),
        wrist_covariance=np.asarray(hand.wrist.covariance).reshape(6, 6),
        keypoints_px=np.asarray(hand.keypoints_px).reshape(N_JOINTS, 2),
        keypoint_conf=np.asarray(hand.keypoint_confidence),
        scale_source=_SCALE_NAMES[hand.scale_source],
        scale_rel_std=hand.scale_rel_std,
        reprojection_px=hand.reprojection_rmse_px,
    )


def _full(upper: np.ndarray) -> np.ndarray:
    """Converts 21 upper triangles to matrices, (21, 3, 3)."""
    return np.asarray(upper).reshape(N_JOINTS, 6)[:, _FULL].reshape(N_JOINTS, 3, 3)


def _pose(hand: Hand) -> np.ndarray:
    """Returns camera_from_wrist, (4, 4)."""
    place, turn = hand.wrist.pose.position, hand.wrist.pose.orientation
    axis, w = np.array([turn.x, turn.y, turn.z]), turn.w
    cross = np.array([[0, -turn.z, turn.y], [turn.z, 0, -turn.x], [-turn.y, turn.x, 0]])
    matrix = np.eye(4)
    matrix[:3, :3] = (w * w - axis @ axis) * np.eye(3) + 2 * np.outer(axis, axis) + 2 * w * cross
    matrix[:3, 3] = (place.x, place.y, place.z)
    return matrix
