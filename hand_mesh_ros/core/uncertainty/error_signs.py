"""Signs of a possible error of an estimate in one image, without ground truth.

The detector also gives two 3D guesses of the hand. The error of the estimate is larger if the estimate is far from these guesses,
if the estimate does not agree with the keypoints, or if the hand score of the detector is low. The corrector of the keypoints
predicts its own error from the picture of the hand: a hidden, far or unclear hand has larger errors.
"""

import numpy as np

from hand_mesh_ros.core.geometry import rigid
from hand_mesh_ros.core.geometry.rays import ray_extent, translate_onto_rays
from hand_mesh_ros.core.geometry.rotations import lengths
from hand_mesh_ros.core.types import SeenHand

SIGNS = (
    "detector's world landmarks",
    "detector's keypoints and depths",
    "keypoints",
    "presence",
    "expected error of the aligned landmarks",
    "expected error of the centred landmarks",
)
# Smallest error probability of the detector, so that the logarithm is finite.
_SUREST = 0.02
_LEAST = 1e-3


def signs(seen: SeenHand, joints_m: np.ndarray, residual: float | None = None) -> np.ndarray:
    """Signs of error of one hand, (6,): logarithms, larger values mean larger errors. An unknown sign is NaN.

    Args:
        seen: the right hand.
        joints_m: (21, 3) estimate of the hand in camera axes, any origin.
        residual: distance of the joints from their rays, from `translate_onto_rays`; None to compute the distance here.
    """
    guesses = np.stack([seen.world_landmarks_m.astype(np.float64), np.column_stack([seen.rays, seen.depth])])
    apart = np.log(_LEAST + _distances(guesses, joints_m))
    if residual is None:
        residual = translate_onto_rays(joints_m[None], seen.rays, seen.confidence)[1][0]
    residual = residual / max(ray_extent(seen.rays), 1e-6)
    unsure = np.log(1 + _SUREST - min(float(seen.confidence.max()), 1.0))
    return np.array([*apart, np.log(_LEAST + residual), unsure, *seen.log_errors])


def _distances(guesses: np.ndarray, joints_m: np.ndarray) -> np.ndarray:
    """Mean distance of the joints after similarity alignment of each guess, divided by the size of the hand, (N,).

    Args:
        guesses: (N, 21, 3) in any unit. The distance of a guess with a number that is not finite is NaN.
        joints_m: (21, 3).
    """
    is_known = np.isfinite(guesses).all((1, 2))
    guesses = np.where(is_known[:, None, None], guesses, 0.0)
    aligned = rigid.transform(guesses, *rigid.align(guesses, joints_m, with_scale=True))
    size = np.sqrt(((joints_m - joints_m.mean(0)) ** 2).sum(-1).mean())
    return np.where(is_known, lengths(aligned - joints_m).mean(-1) / size, np.nan)
