"""Closed-form translation that puts the joints of a skeleton onto their rays."""

import math

import numpy as np

# Smallest possible depth of a joint [m] and largest depth of a placed skeleton [m].
NEAR_M, FAR_M = 0.05, 20.0
_REWEIGHTINGS = 3
# Noise level of the detector per axis, relative to the extent of the rays of the hand.
KEYPOINT_NOISE = 0.03


def ray_extent(rays: np.ndarray) -> float:
    """Apparent size of a hand: root mean square distance of rays (N, 2) from their centre, in the plane z = 1, or of pixels."""
    from_centre = (rays - np.add.reduce(rays) / len(rays)).ravel()
    return math.sqrt(float(from_centre @ from_centre) / len(rays))


def translate_onto_rays(joints_m: np.ndarray, rays: np.ndarray, confidence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Translations that put the joints of skeletons onto their rays.

    Each joint X + t on ray (u, v) gives t_x - u t_z = u Z - X and t_y - v t_z = v Z - Y. The equations are divided by the depth
    of the joint from the previous solution. Then the errors are distances in the image.

    Args:
        joints_m: (K, 21, 3) relative to any origin.
        rays: (21, 2) undistorted x/z, y/z.
        confidence: (21,) of the keypoints, at least 0; at least one value must be above 0.

    Returns:
        translation (K, 3) in metres and the root mean square distance (K,) between joints and rays in the plane z = 1. If all
        rays are the same ray, the hand is at the far limit. A skeleton that is not finite gets translation NaN and distance inf.

    Raises:
        ValueError: if a ray or a confidence is not finite, a confidence is negative, or no confidence is positive.
    """
    if not (np.all(np.isfinite(rays)) and np.all(np.isfinite(confidence)) and np.min(confidence) >= 0 and np.max(confidence) > 0):
        raise ValueError(
            "rays and confidence must be finite, confidence must be at least 0, and one confidence must be above 0; "
            f"confidence is {np.min(confidence)} to {np.max(confidence)}"
        )
    joints = np.asarray(joints_m, np.float64)
    translation = _weak_perspective(joints, rays, confidence / confidence.sum())
    equations, nearest = _Equations(joints, rays), joints[..., 2].min(-1)
    for _ in range(_REWEIGHTINGS):
        depth = joints[..., 2] + translation[:, 2:]
        weighted = confidence / depth**2
        refined = equations.solve(weighted / weighted.sum(-1, keepdims=True))
        # Comparisons with NaN are false.
        is_possible = (nearest + refined[:, 2] > NEAR_M) & (refined[:, 2] < FAR_M)
        translation = np.where(is_possible[:, None], refined, translation)
    placed = joints + translation[:, None]
    error = ((placed[..., :2] / placed[..., 2:] - rays) ** 2).sum(-1)
    residual = np.sqrt((confidence * error).sum(-1) / confidence.sum())
    return translation, np.where(np.isfinite(residual), residual, np.inf)


def _weak_perspective(joints: np.ndarray, rays: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """First guess of the translation, (K, 3), always in front of the camera. The distance is the ratio of the extents.

    The weights (21,) sum to 1.
    """
    mean = weights @ joints
    ray_mean = weights @ rays
    extent = ((joints[..., :2] - mean[:, None, :2]) ** 2).sum(-1) @ weights
    ray_extent = weights @ ((rays - ray_mean) ** 2).sum(-1)
    distance = np.sqrt(extent / max(ray_extent, 1e-12))
    nearest = (mean[:, None] - joints)[..., 2].max(-1) + 2 * NEAR_M
    distance = np.clip(distance, nearest, FAR_M)
    return np.concatenate([ray_mean * distance[:, None], distance[:, None]], axis=-1) - mean


class _Equations:
    """The linear equations of `translate_onto_rays`."""

    def __init__(self, joints: np.ndarray, rays: np.ndarray) -> None:
        known = rays * joints[..., 2:] - joints[..., :2]
        # Rays relative to their centre. If all rays are the same ray, their moments are exactly 0.
        self._centre = np.add.reduce(rays) / len(rays)
        rays = rays - self._centre
        self._of_rays = np.column_stack([rays, (rays**2).sum(-1)])
        self._of_known = np.concatenate([known, (rays * known).sum(-1, keepdims=True)], axis=-1)

    def solve(self, weights: np.ndarray) -> np.ndarray:
        """Translations (K, 3) for weights (K, 21) that sum to 1 per skeleton."""
        of_rays, of_known = weights @ self._of_rays, (weights[:, None] @ self._of_known)[:, 0]
        ray, known = of_rays[:, :2], of_known[:, :2]
        # With t_x = mean(known_x) + mean(u) t_z, only the equation for t_z remains.
        extent = of_rays[:, 2] - (ray**2).sum(-1)
        tz = ((ray * known).sum(-1) - of_known[:, 2]) / np.maximum(extent, 1e-15)
        return np.concatenate([known + (ray + self._centre) * tz[:, None], tz[:, None]], axis=-1)
