"""Transforms an estimate into another frame. Image data and data relative to the hand do not change."""

from dataclasses import replace

import numpy as np

from hand_mesh_ros.core.types import HandEstimate


def moved(estimate: HandEstimate, rotation: np.ndarray, translation_m: np.ndarray) -> HandEstimate:
    """An estimate in frame `source`, transformed into frame `target`.

    Without a calibrated camera a hand is relative to its wrist. Such a hand is only rotated and stays relative to its wrist.

    Args:
        estimate: estimate in the source frame; NaN values stay NaN.
        rotation: target_from_source, (3, 3).
        translation_m: (3,) of the origin of the source frame in the target frame.

    Raises:
        ValueError: if `rotation` is not a rotation, or the translation is not finite.
    """
    # A reflection is not allowed, because a reflection would change left hands to right hands.
    is_rotation = np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-6) and np.linalg.det(rotation) > 0
    if not (is_rotation and np.all(np.isfinite(translation_m))):
        raise ValueError(f"rotation {rotation.tolist()} and translation {translation_m.tolist()} are not a rigid motion")
    shift_m = np.zeros(3) if estimate.scale_source == "none" else translation_m
    joints_m, vertices_m, hypotheses_m = (
        points @ rotation.T + shift_m for points in (estimate.joints_m, estimate.vertices_m, estimate.hypotheses_m)
    )
    wrist_pose = estimate.wrist_pose.copy()
    wrist_pose[:3, :3] = rotation @ estimate.wrist_pose[:3, :3]
    wrist_pose[:3, 3] = rotation @ estimate.wrist_pose[:3, 3] + shift_m
    return replace(
        estimate,
        joints_m=joints_m,
        joint_covariance_m2=rotation @ estimate.joint_covariance_m2 @ rotation.T,
        articulation_covariance_m2=rotation @ estimate.articulation_covariance_m2 @ rotation.T,
        hypotheses_m=hypotheses_m,
        vertices_m=vertices_m,
        wrist_pose=wrist_pose,
        wrist_covariance=_turned(estimate.wrist_covariance, rotation),
    )


def _turned(covariance: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Covariance (6, 6) of a position and of rotations about the axes of the frame, in rotated axes.

    The blocks are rotated separately, so that NaN in the position block does not change the rotation block.
    """
    blocks = covariance.reshape(2, 3, 2, 3).swapaxes(1, 2)
    return (rotation @ blocks @ rotation.T).swapaxes(1, 2).reshape(6, 6)
