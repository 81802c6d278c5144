"""Proper rigid and similarity alignment of point sets."""

import numpy as np


def align(
    source: np.ndarray, target: np.ndarray, weights: np.ndarray | None = None, with_scale: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rotation, translation and scale that align `source` with `target` in the least-squares sense.

    Umeyama 1991, eq. 40-43. The rotation is proper (determinant +1), so a mirrored hand does not align. Some published
    evaluation scripts wrongly allow a reflection.

    Args:
        source: (..., N, 3).
        target: (..., N, 3), broadcast against `source`.
        weights: (N,) non-negative, or None for equal weights.
        with_scale: True to estimate the scale; False for scale 1.

    Returns:
        rotation (..., 3, 3), translation (..., 3), scale (...,): target ~ scale * source @ rotation.T + translation.
    """
    weights = np.ones(source.shape[-2]) if weights is None else np.asarray(weights, float)
    weights = (weights / weights.sum())[:, None]
    source_mean = (weights * source).sum(-2, keepdims=True)
    target_mean = (weights * target).sum(-2, keepdims=True)
    source_centred, target_centred = source - source_mean, target - target_mean
    covariance = np.swapaxes(weights * target_centred, -1, -2) @ source_centred
    u, singular, vt = np.linalg.svd(covariance)
    sign = np.ones(singular.shape)
    sign[..., -1] = np.sign(np.linalg.det(u) * np.linalg.det(vt))
    rotation = (u * sign[..., None, :]) @ vt
    scale = np.ones(rotation.shape[:-2])
    if with_scale:
        variance = (weights * source_centred**2).sum((-1, -2))
        scale = (singular * sign).sum(-1) / np.maximum(variance, 1e-12)
    translation = target_mean[..., 0, :] - scale[..., None] * (rotation @ np.swapaxes(source_mean, -1, -2))[..., 0]
    return rotation, translation, scale


def transform(points: np.ndarray, rotation: np.ndarray, translation: np.ndarray, scale: np.ndarray | float = 1.0) -> np.ndarray:
    """scale * points @ rotation.T + translation, batched: (..., N, 3)."""
    scale = np.asarray(scale)[..., None, None]
    return scale * points @ np.swapaxes(rotation, -1, -2) + translation[..., None, :]
