"""Grasp cues of a hand for a gripper: pinch point, aperture, palm centre and palm normal, with their uncertainties.

Covariances are propagated to first order. The error of joint j is e_j + a_j. e_j is the error of the whole hand (position,
attitude, size), and a_j is the error of the shape. C_j is the covariance of the absolute position, and A_j is the covariance of
the articulation. Then e_j has the covariance S_j = max(C_j - A_j, 0). The errors a of two joints have the correlation of the
hypotheses of the main mode, shrunk because of their small number: A_jk = g sqrt(A_j) corr(h_j, h_k) sqrt(A_k),
g = (n - 1) / (n - 1 + 4). With sum(w_j) = 1:

- point sum(w_j x_j) (pinch point, palm centre): sum(w_j S_j) + sum(w_j w_k A_jk). The error e is common to all joints.
- aperture |d|, d = x_i - x_t, along u = d / |d|: u' (A_i + A_t - A_it - A_ti) u + (scale_rel_std |d|)^2. A motion of the whole
  hand does not change the aperture. If |d| is not clearly larger than the standard deviation, the true aperture is probably
  larger than |d|.
- palm normal n: a rotation w of the wrist with covariance R moves n by w x n, so the covariance is [n] R [n]'. The standard
  deviation is for the worst direction.
"""

from dataclasses import dataclass

import numpy as np

from hand_mesh_ros.core.geometry import rigid
from hand_mesh_ros.core.topology import FINGERTIPS, PALM_JOINTS
from hand_mesh_ros.core.types import HandEstimate

PINCH_JOINTS = FINGERTIPS[:2]
# As in `calibration`: the prior has the same weight as this number of hypotheses. Here the prior is independent errors of joints.
_PRIOR_SAMPLES = 4.0


@dataclass(frozen=True)
class GraspCues:
    """Cues of one hand; camera optical frame, metres."""

    pinch_point_m: np.ndarray  # (3,) between the tips of thumb and index
    pinch_point_covariance_m2: np.ndarray  # (3, 3)
    aperture_m: float  # distance between the tips of thumb and index
    aperture_std_m: float
    palm_centre_m: np.ndarray  # (3,) mean of the wrist and the MCPs of the fingers
    palm_centre_covariance_m2: np.ndarray  # (3, 3)
    palm_normal: np.ndarray  # (3,) unit vector out of the palm: x of the wrist frame
    palm_normal_std: float  # radians, in the worst direction


def grasp_cues(estimate: HandEstimate) -> GraspCues:
    """The grasp cues of a hand with a known position.

    Raises:
        ValueError: if the hand is relative to its wrist, because the camera is not calibrated.
    """
    if estimate.scale_source == "none":
        raise ValueError(f"hand {estimate.track_id} has no position: the camera is not calibrated")
    thumb, index = estimate.joints_m[PINCH_JOINTS]
    aperture = float(np.linalg.norm(index - thumb))
    pinch = articulation_covariance(estimate, PINCH_JOINTS)
    normal = estimate.wrist_pose[:3, 0]
    turned = np.cross(np.cross(normal, estimate.wrist_covariance[3:, 3:], axisb=0, axisc=0), -normal, axisa=1, axisc=1)
    return GraspCues(
        pinch_point_m=0.5 * (thumb + index),
        pinch_point_covariance_m2=_mean_covariance(estimate, PINCH_JOINTS, pinch),
        aperture_m=aperture,
        aperture_std_m=float(np.hypot(_distance_std(index - thumb, pinch), estimate.scale_rel_std * aperture)),
        palm_centre_m=estimate.joints_m[PALM_JOINTS].mean(0),
        palm_centre_covariance_m2=_mean_covariance(estimate, PALM_JOINTS, articulation_covariance(estimate, PALM_JOINTS)),
        palm_normal=normal,
        palm_normal_std=float(np.sqrt(max(np.linalg.eigvalsh(turned)[-1], 0.0))),
    )


def articulation_covariance(estimate: HandEstimate, joints: np.ndarray) -> np.ndarray:
    """Joint covariance of the shape at n joints, (n, n, 3, 3) m^2: `articulation_covariance_m2` and the cross-covariances."""
    roots = _square_root(estimate.articulation_covariance_m2[joints])
    correlation = _correlation(estimate, joints)
    return np.einsum("jrs,jkst,ktu->jkru", roots, correlation, roots)


def _correlation(estimate: HandEstimate, joints: np.ndarray) -> np.ndarray:
    """Correlation of n joints, (n, n, 3, 3), from the hypotheses of the main mode after alignment with the hand.

    The blocks on the diagonal are identity matrices.
    """
    is_main = estimate.mode == 0
    share = estimate.weights[is_main] / estimate.weights[is_main].sum()
    n_samples = 1 / np.sum(share**2)
    hypotheses = estimate.hypotheses_m[is_main].astype(np.float64)
    onto_mean = rigid.align(hypotheses, estimate.joints_m, with_scale=True)
    points = rigid.transform(hypotheses, *onto_mean)[:, joints]
    offsets = points - np.tensordot(share, points, axes=1)
    covariance = np.einsum("i,ijr,iks->jkrs", share, offsets, offsets)
    own = np.arange(len(joints))
    whitening = _square_root(covariance[own, own], inverse=True)
    correlation = np.einsum("jrs,jkst,ktu->jkru", whitening, covariance, whitening)
    correlation *= (n_samples - 1) / (n_samples - 1 + _PRIOR_SAMPLES)
    correlation[own, own] = np.eye(3)
    return correlation


def _square_root(covariances: np.ndarray, inverse: bool = False) -> np.ndarray:
    """Symmetric square roots of (..., 3, 3), or the pseudo-inverses of the roots. Directions without variance stay zero."""
    variances, axes = np.linalg.eigh(covariances)
    stds = np.sqrt(np.maximum(variances, 0))
    if inverse:
        is_seen = stds > 1e-6 * stds.max(-1, keepdims=True, initial=0)
        stds = np.divide(1.0, stds, out=np.zeros_like(stds), where=is_seen & (stds > 0))
    return (axes * stds[..., None, :]) @ np.swapaxes(axes, -1, -2)


def _mean_covariance(estimate: HandEstimate, joints: np.ndarray, articulation: np.ndarray) -> np.ndarray:
    """Covariance (3, 3) of the mean of some joints."""
    whole = estimate.joint_covariance_m2[joints] - estimate.articulation_covariance_m2[joints]
    variances, axes = np.linalg.eigh(whole)
    whole = (axes * np.maximum(variances, 0)[..., None, :]) @ np.swapaxes(axes, -1, -2)
    return whole.mean(0) + articulation.mean((0, 1))


def _distance_std(offset: np.ndarray, articulation: np.ndarray) -> float:
    """Standard deviation of the distance of two joints with covariance (2, 2, 3, 3).

    If the distance is 0, the standard deviation is for the worst direction.
    """
    covariance = articulation[0, 0] + articulation[1, 1] - articulation[0, 1] - articulation[1, 0]
    length = np.linalg.norm(offset)
    variance = offset @ covariance @ offset / length**2 if length > 0 else np.linalg.eigvalsh(covariance)[-1]
    return float(np.sqrt(max(variance, 0.0)))
