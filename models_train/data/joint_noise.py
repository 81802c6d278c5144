"""Joints with errors shaped like those of an estimator: each joint by itself, and whole fingers along one unknown depth."""

import numpy as np

from hand_mesh_ros.core.topology import FINGER_JOINTS, N_JOINTS

JOINT_STD_M = (0.001, 0.006)  # of each joint by itself; drawn per hand between these
FINGER_STD_M = (0.0, 0.015)  # of a fingertip along the depth direction; drawn per hand between these
_SHARE_ALONG_FINGER = np.array([0.3, 0.55, 0.8, 1.0])  # a finger that is tilted wrongly errs most at its tip

RECIPE = f"true joints with errors of {JOINT_STD_M} m per joint and {FINGER_STD_M} m per fingertip along depth"


def disturb(rng: np.random.Generator, joints_m: np.ndarray) -> np.ndarray:
    """Skeletons (n, 21, 3) with errors added; the wrist stays where it is."""
    n = len(joints_m)
    depth = rng.standard_normal((n, 1, 3))
    depth /= np.linalg.norm(depth, axis=-1, keepdims=True)
    along = np.zeros((n, N_JOINTS, 1))
    tip_error = rng.uniform(*FINGER_STD_M, (n, 1)) * rng.standard_normal((n, len(FINGER_JOINTS)))
    along[:, FINGER_JOINTS, 0] = tip_error[..., None] * _SHARE_ALONG_FINGER
    each = rng.uniform(*JOINT_STD_M, (n, 1, 1)) * rng.standard_normal(joints_m.shape)
    each[:, 0] = 0
    return joints_m + along * depth + each
