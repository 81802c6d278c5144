"""What tells, in one image and without the truth, that an estimate may be wrong.

The detector guesses the hand in three dimensions too, twice; where the estimate is far from these guesses, or does not fit the
keypoints, or the detector is not sure that it sees a hand, errors are larger.
"""

import numpy as np

from hand_mesh_ros.core.geometry import rigid
from hand_mesh_ros.core.geometry.rays import ray_extent, translate_onto_rays
from hand_mesh_ros.core.types import SeenHand

SIGNS = ("detector's world landmarks", "detector's keypoints and depths", "keypoints", "presence")
# A sure detector still errs; keeps the logarithm finite.
_SUREST = 0.02
_LEAST = 1e-3


def signs(seen: SeenHand, joints_m: np.ndarray) -> np.ndarray:
    """Signs of error of one hand, (4,): logarithms, larger for worse; NaN for a sign that is not known.

    Args:
        seen: the right hand.
        joints_m: (21, 3) its estimate in camera axes, any origin.
    """
    guesses = (seen.world_landmarks_m, np.column_stack([seen.rays, seen.depth]))
    apart = [np.log(_LEAST + _distance(guess.astype(np.float64), joints_m)) for guess in guesses]
    residual = translate_onto_rays(joints_m[None], seen.rays, seen.confidence)[1][0] / max(ray_extent(seen.rays), 1e-6)
    return np.array([*apart, np.log(_LEAST + residual), np.log(1 + _SUREST - min(float(seen.confidence.max()), 1.0))])


def _distance(guess: np.ndarray, joints_m: np.ndarray) -> float:
    """Mean distance of the joints after similarity alignment of a guess in any unit, over the size of the hand."""
    if not np.all(np.isfinite(guess)):
        return np.nan
    aligned = rigid.transform(guess, *rigid.align(guess, joints_m, with_scale=True))
    size = np.sqrt(((joints_m - joints_m.mean(0)) ** 2).sum(-1).mean())
    return float(np.linalg.norm(aligned - joints_m, axis=-1).mean() / size)
