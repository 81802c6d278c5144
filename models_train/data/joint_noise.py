"""Joints with errors like the errors of an estimator: an error per joint, and an error of whole fingers along the depth."""

import numpy as np

from hand_mesh_ros.core.topology import FINGER_JOINTS, N_JOINTS

JOINT_STD_M = (0.001, 0.006)  # noise level of each joint; random per hand in this range
FINGER_STD_M = (0.0, 0.015)  # noise level of a fingertip along the depth direction; random per hand in this range
_SHARE_ALONG_FINGER = np.array([0.3, 0.55, 0.8, 1.0])  # the tip of a tilted finger has the largest error

RECIPE = f"true joints with errors of {JOINT_STD_M} m per joint and {FINGER_STD_M} m per fingertip along depth"


def disturb(rng: np.random.Generator, joints_m: np.ndarray) -> np.ndarray:
    """Adds errors to skeletons (n, 21, 3). The wrist has no error."""
    n = len(joints_m)
    depth = rng.standard_normal((n, 1, 3))
    depth /= np.linalg.norm(depth, axis=-1, keepdims=True)
    along = np.zeros((n, N_JOINTS, 1))
    tip_error = rng.uniform(*FINGER_STD_M, (n, 1)) * rng.standard_normal((n, len(FINGER_JOINTS)))
    along[:, FINGER_JOINTS, 0] = tip_error[..., None] * _SHARE_ALONG_FINGER
    each = rng.uniform(*JOINT_STD_M, (n, 1, 1)) * rng.standard_normal(joints_m.shape)
    each[:, 0] = 0
    return joints_m + along * depth + each
