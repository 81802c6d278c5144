"""Skeletons on the rays of their joints: the closed-form translation that puts them there."""

import numpy as np

# A joint nearer to the camera's plane than this is geometrically impossible. No skeleton is placed beyond the far limit.
NEAR_M, FAR_M = 0.05, 20.0
_REWEIGHTINGS = 3
# The detector's noise per axis, as a share of the extent of the hand's rays.
KEYPOINT_NOISE = 0.03


def ray_extent(rays: np.ndarray) -> float:
    """Root mean square distance of rays (N, 2) from their centre in the plane z = 1: how large the hand appears."""
    return float(np.sqrt(np.mean(np.sum((rays - rays.mean(0)) ** 2, axis=-1))))


def translate_onto_rays(joints_m: np.ndarray, rays: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Translations that put the joints of skeletons onto their rays.

    Each joint X + t on ray (u, v) gives t_x - u t_z = u Z - X and t_y - v t_z = v Z - Y. Dividing them by the depth of the joint,
    known from the solution before, makes the errors distances in the image.

    Args:
        joints_m: (K, 21, 3) relative to any origin.
        rays: (21, 2) undistorted x/z, y/z.
        weights: (21,) at least 0, one of them larger.

    Returns:
        translation (K, 3) in metres and the root mean square distance (K,) between joints and rays in the plane z = 1. Rays that
        meet in one point put the hand at the far limit. A skeleton that is not finite has NaN and inf.

    Raises:
        ValueError: if a ray or weight is not finite, or no weight is positive.
    """
    if not (np.all(np.isfinite(rays)) and np.all(np.isfinite(weights)) and np.min(weights) >= 0 and np.max(weights) > 0):
        raise ValueError(f"rays must be finite and weights positive; weights are {np.min(weights)} to {np.max(weights)}")
    joints = np.asarray(joints_m, np.float64)
    translation = _weak_perspective(joints, rays, weights / weights.sum())
    for _ in range(_REWEIGHTINGS):
        depth = joints[..., 2] + translation[:, 2:]
        weighted = weights / depth**2
        refined = _least_squares(joints, rays, weighted / weighted.sum(-1, keepdims=True))
        lowest, highest = joints[..., 2].min(-1) + refined[:, 2], refined[:, 2]
        is_possible = np.all(np.isfinite(refined), axis=-1) & (lowest > NEAR_M) & (highest < FAR_M)
        translation = np.where(is_possible[:, None], refined, translation)
    placed = joints + translation[:, None]
    error = ((placed[..., :2] / placed[..., 2:] - rays) ** 2).sum(-1)
    residual = np.sqrt((weights * error).sum(-1) / weights.sum())
    return translation, np.where(np.isfinite(residual), residual, np.inf)


def _weak_perspective(joints: np.ndarray, rays: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """A start that is always in front of the camera, (K, 3): the distance is the ratio of the extents. Weights sum to 1."""
    mean = np.einsum("j,kjc->kc", weights, joints)
    ray_mean = weights @ rays
    extent = np.einsum("j,kjc->k", weights, (joints[..., :2] - mean[:, None, :2]) ** 2)
    ray_extent = weights @ ((rays - ray_mean) ** 2).sum(-1)
    distance = np.sqrt(extent / max(ray_extent, 1e-12))
    nearest = (mean[:, None] - joints)[..., 2].max(-1) + 2 * NEAR_M
    distance = np.clip(distance, nearest, FAR_M)
    return np.concatenate([ray_mean * distance[:, None], distance[:, None]], axis=-1) - mean


def _least_squares(joints: np.ndarray, rays: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Solves the linear equations of `translate_onto_rays`, (K, 3), for weights (K, 21) that sum to 1 per skeleton."""
    known = rays * joints[..., 2:] - joints[..., :2]
    known_mean = np.einsum("kj,kjc->kc", weights, known)
    ray_mean = weights @ rays
    centred = rays - ray_mean[:, None]
    # With t_x = mean(known_x) + mean(u) t_z the equations leave one for t_z alone.
    extent = np.einsum("kj,kjc->k", weights, centred**2)
    tz = -np.einsum("kj,kjc->k", weights, centred * (known - known_mean[:, None])) / np.maximum(extent, 1e-15)
    return np.concatenate([known_mean + ray_mean * tz[:, None], tz[:, None]], axis=-1)
