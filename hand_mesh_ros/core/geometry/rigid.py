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
    n = source.shape[-2]
    share = np.full(n, 1 / n) if weights is None else np.asarray(weights, float) / np.sum(weights)
    source_mean, target_mean = share @ source, share @ target
    source_centred, target_centred = source - source_mean[..., None, :], target - target_mean[..., None, :]
    covariance = np.swapaxes(target_centred, -1, -2) @ (share[:, None] * source_centred)
    u, singular, vt = np.linalg.svd(covariance)
    rotation = u @ vt
    is_improper = np.linalg.det(rotation) < 0
    if np.any(is_improper):
        # The reflection of the last axis makes an improper rotation proper.
        sign = np.where(is_improper, -1.0, 1.0)
        u[..., -1] *= sign[..., None]
        singular[..., -1] *= sign
        rotation = u @ vt
    scale = np.ones(rotation.shape[:-2])
    if with_scale:
        variance = (source_centred**2).sum(-1) @ share
        scale = singular.sum(-1) / np.maximum(variance, 1e-12)
    translation = target_mean - scale[..., None] * (rotation @ source_mean[..., None])[..., 0]
    return rotation, translation, scale


def transform(points: np.ndarray, rotation: np.ndarray, translation: np.ndarray, scale: np.ndarray | float = 1.0) -> np.ndarray:
    """scale * points @ rotation.T + translation, batched: (..., N, 3)."""
    scale = np.asarray(scale)[..., None, None]
    return scale * points @ np.swapaxes(rotation, -1, -2) + translation[..., None, :]
