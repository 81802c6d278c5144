"""Measures of skeletons, meshes and distributions. The unit is the metre unless a docstring names another unit.

Alignment never reflects: a mirrored hand does not align. The scorers of FreiHAND and HO3D allow reflections; see
`models_train.datasets.scores`, which also has the area under the curve and the F-scores of these scorers.
"""

import numpy as np
from scipy import stats

from hand_mesh_ros.core.geometry import rigid
from hand_mesh_ros.core.geometry.rays import ray_extent
from hand_mesh_ros.core.topology import WRIST
from models_train.datasets.scores import auc as auc
from models_train.datasets.scores import f_scores as f_scores


def point_errors(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Returns the distances of corresponding points, (...,), of clouds (..., 3)."""
    return np.linalg.norm(predicted - truth, axis=-1)


def keypoint_error(found_px: np.ndarray, true_px: np.ndarray) -> float:
    """Returns the mean distance of keypoints (21, 2), divided by the root mean square radius of the true hand in the image."""
    return float(point_errors(found_px, true_px).mean() / ray_extent(true_px))


def procrustes(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Returns `predicted` (..., N, 3) after the best similarity alignment to `truth` (..., N, 3)."""
    return rigid.transform(predicted, *rigid.align(predicted, truth, with_scale=True))


def pa_error(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Returns the mean point error after alignment, (...,): PA-MPJPE of joints, PA-MPVPE of vertices (..., N, 3)."""
    return point_errors(procrustes(predicted, truth), truth).mean(-1)


def root_relative_error(predicted: np.ndarray, truth: np.ndarray, root: int = WRIST) -> np.ndarray:
    """Returns the mean joint error with equal roots, (...,), of skeletons (..., 21, 3). It includes scale and rotation."""
    return point_errors(predicted - predicted[..., [root], :], truth - truth[..., [root], :]).mean(-1)


def best_of(hypotheses: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Returns the smallest PA error of K hypotheses, (...,): (..., K, 21, 3) against (..., 21, 3)."""
    return pa_error(hypotheses, truth[..., None, :, :]).min(-1)


def pairwise_distance(hypotheses: np.ndarray) -> float:
    """Returns the mean joint distance over all pairs of wrist-relative hypotheses (K, 21, 3); 0 if K is 1."""
    relative = hypotheses - hypotheses[:, [WRIST]]
    distance = point_errors(relative[:, None], relative[None]).mean(-1)
    n = len(hypotheses)
    return float(distance.sum() / (n * (n - 1))) if n > 1 else 0.0


def energy_score(hypotheses: np.ndarray, weights: np.ndarray, truth: np.ndarray) -> float:
    """Returns the energy score of a weighted sample, mean over joints, of (K, 21, 3), (K,) and (21, 3): smaller is better.

    Gneiting and Raftery 2007: E|X - y| - E|X - X'| / 2. The score is proper: only the true distribution minimises its mean.
    """
    to_truth = np.einsum("k,kj->j", weights, point_errors(hypotheses, truth))
    among = np.einsum("k,l,klj->j", weights, weights, point_errors(hypotheses[:, None], hypotheses[None]))
    return float((to_truth - 0.5 * among).mean())


def mahalanobis2(error: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Returns the squared Mahalanobis distance, (...,), of errors (..., 3) under covariances (..., 3, 3)."""
    return np.einsum("...r,...r->...", error, np.linalg.solve(covariance, error[..., None])[..., 0])


def confidence_level(error: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Returns the confidence, (...,) in 0..1, of the smallest ellipsoid of a covariance (..., 3, 3) that holds an error (..., 3).

    If the covariances are correct, these levels are uniform: a share p of the errors has a level below p.
    """
    return stats.chi2.cdf(mahalanobis2(error, covariance), error.shape[-1])


def spearman(values: np.ndarray, others: np.ndarray) -> float:
    """Returns the rank correlation of two series (N,), -1..1. Ties get their mean rank. A constant series gives 0."""
    if np.ptp(values) == 0 or np.ptp(others) == 0:
        return 0.0
    return float(stats.spearmanr(values, others).statistic)


def bootstrap_mean(values: np.ndarray, rounds: int = 2000, seed: int = 0, block: int = 1) -> tuple[float, float, float]:
    """Returns the mean of values (N,) with the bounds of its 95 % bootstrap interval.

    Images of one recording need blocks, and `scipy.stats.bootstrap` has no blocks.

    Args:
        values: (N,) with N at least 1.
        rounds: number of resamplings.
        seed: seed of the resampling.
        block: length of a block of neighbours, for series with similar neighbours (moving blocks: Kuensch 1989).
    """
    n, block = len(values), min(block, len(values))
    starts = np.random.default_rng(seed).integers(0, n - block + 1, (rounds, -(-n // block)))
    drawn = (starts[..., None] + np.arange(block)).reshape(rounds, -1)[:, :n]
    low, high = np.quantile(values[drawn].mean(1), [0.025, 0.975])
    return float(values.mean()), float(low), float(high)


def paired_bootstrap(values: np.ndarray, others: np.ndarray, block: int = 1) -> tuple[float, float, float]:
    """Returns the mean of values - others (N,) with the bounds of its 95 % interval. An interval without 0 shows a change.

    Args:
        values: (N,).
        others: (N,).
        block: as in `bootstrap_mean`.

    Raises:
        ValueError: if the two series have different lengths.
    """
    if values.shape != others.shape:
        raise ValueError(f"paired values have shapes {values.shape} and {others.shape}")
    return bootstrap_mean(values - others, block=block)
