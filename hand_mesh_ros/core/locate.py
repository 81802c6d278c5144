"""Where a hand is: closed-form translation of a skeleton from the rays of its joints, and its size from whatever tells it.

A camera alone sees the shape of a hand but not whether it is small and near or large and far: scaling everything about the
optical centre changes no pixel. So the hand is first placed at average size; `Scale` then multiplies size and distance alike.
"""

from dataclasses import dataclass

import numpy as np

from hand_mesh_ros.core import camera
from hand_mesh_ros.core.topology import FINGER_BASES, FINGERTIPS, N_JOINTS, WRIST
from hand_mesh_ros.core.types import Frame, ScaleSource

# Size of an adult's hand relative to the average: hand length is 194 +- 10 mm in men, 180 +- 10 mm in women (Gordon et al. 1989,
# "1988 Anthropometric Survey of US Army Personnel", NATICK/TR-89/044), 6.3 % over both; the rest is for other populations.
PRIOR_REL_STD = 0.08
USER_REL_STD = 0.02
# Solutions with a joint nearer than this to the camera's plane are geometrically impossible; none is placed beyond the far limit.
_NEAR_M, _FAR_M = 0.05, 20.0
_REWEIGHTINGS = 3
# 21 joints whose errors go together within a finger and over the palm weigh like this many independent ones.
_INDEPENDENT_JOINTS = 6
# The detector's noise per axis, as a share of the hand's extent in the image.
KEYPOINT_NOISE = 0.03
# Skin lies this far before the joint centre [m]: wrist, finger bases, tips, and the joints between.
_DEPTH_OF_JOINT_M = np.full(N_JOINTS, 0.008)
_DEPTH_OF_JOINT_M[[WRIST, *FINGER_BASES]], _DEPTH_OF_JOINT_M[FINGERTIPS] = 0.012, 0.005
# A measured size is believed if enough joints agree on it within this distance, and if it can be that of a human hand.
_DEPTH_GATE_M, _MIN_DEPTH_JOINTS, _DEPTH_SCALES, _DEPTH_REL_STD = 0.04, 7, (0.55, 1.5), 0.015
_WINDOW_M, _WINDOW_SAMPLES = 0.008, 5


@dataclass(frozen=True)
class Scale:
    """Size of the hand relative to an average adult's, and how it is known."""

    factor: float
    rel_std: float
    source: ScaleSource
    anchored: np.ndarray  # (21,) bool: joints whose measured depth agrees with it


@dataclass(frozen=True)
class Location:
    """Where a hand of average size is, and how its true size changes that."""

    translation_m: np.ndarray  # (3,) camera frame, of the wrist
    covariance_m2: np.ndarray  # (3, 3) of the translation if the size were known
    scale: Scale


def locate(
    joints_m: np.ndarray, rays: np.ndarray, weights: np.ndarray, joint_std_m: np.ndarray, frame: Frame, user_hand_scale: float
) -> Location:
    """Place and size of one hand.

    Args:
        joints_m: (21, 3) camera axes, wrist in the origin, average size.
        rays: (21, 2) undistorted x/z, y/z.
        weights: (21,) confidences of the rays.
        joint_std_m: (21,) standard deviation of the joints relative to the hand, per axis.
        frame: its depth and calibration are used.
        user_hand_scale: `PipelineConfig.user_hand_scale`.
    """
    translation = translate(joints_m[None], rays, weights)[0][0]
    placed = joints_m + translation
    covariance = translation_covariance(placed, rays, weights, KEYPOINT_NOISE * extent(rays), joint_std_m)
    return Location(translation, covariance, find_scale(placed, frame, user_hand_scale))


def extent(rays: np.ndarray) -> float:
    """Root mean square distance of rays (N, 2) from their centre in the plane z = 1: how large the hand appears."""
    return float(np.sqrt(np.mean(np.sum((rays - rays.mean(0)) ** 2, axis=-1))))


def translate(joints_m: np.ndarray, rays: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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
        is_possible = np.all(np.isfinite(refined), axis=-1) & (lowest > _NEAR_M) & (highest < _FAR_M)
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
    nearest = (mean[:, None] - joints)[..., 2].max(-1) + 2 * _NEAR_M
    distance = np.clip(distance, nearest, _FAR_M)
    return np.concatenate([ray_mean * distance[:, None], distance[:, None]], axis=-1) - mean


def _least_squares(joints: np.ndarray, rays: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Solves the linear equations of `translate`, (K, 3), for weights (K, 21) that sum to 1 per skeleton."""
    known = rays * joints[..., 2:] - joints[..., :2]
    known_mean = np.einsum("kj,kjc->kc", weights, known)
    ray_mean = weights @ rays
    centred = rays - ray_mean[:, None]
    # With t_x = mean(known_x) + mean(u) t_z the equations leave one for t_z alone.
    extent = np.einsum("kj,kjc->k", weights, centred**2)
    tz = -np.einsum("kj,kjc->k", weights, centred * (known - known_mean[:, None])) / np.maximum(extent, 1e-15)
    return np.concatenate([known_mean + ray_mean * tz[:, None], tz[:, None]], axis=-1)


def translation_covariance(
    joints_m: np.ndarray, rays: np.ndarray, weights: np.ndarray, ray_std: float, joint_std_m: np.ndarray
) -> np.ndarray:
    """Covariance of the translation of one placed skeleton of known size, (3, 3) m^2.

    Args:
        joints_m: (21, 3) in the camera frame.
        rays: (21, 2) undistorted x/z, y/z.
        weights: (21,) as given to `translate`.
        ray_std: standard deviation of a ray of weight 1 in the plane z = 1, per axis.
        joint_std_m: (21,) standard deviation of the joints relative to the hand, per axis.
    """
    ones, zeros = np.ones(N_JOINTS), np.zeros(N_JOINTS)
    rows = np.stack([np.stack([ones, zeros, -rays[:, 0]], -1), np.stack([zeros, ones, -rays[:, 1]], -1)], axis=1)
    of_ray = (ray_std * joints_m[:, 2]) ** 2 / np.maximum(weights, 1e-3)
    variance = of_ray[:, None] + joint_std_m[:, None] ** 2 * (1 + rays**2)
    information = np.einsum("jar,jas,ja->rs", rows, rows, 1 / variance) * (_INDEPENDENT_JOINTS / N_JOINTS)
    # Rays that meet in one point say nothing of the distance: nothing is known better than within the far limit.
    return np.linalg.inv(information + np.eye(3) / _FAR_M**2)


def scale_covariances(points_m: np.ndarray, rel_std: float) -> np.ndarray:
    """What an uncertain size adds, (..., 3, 3) m^2: points (..., 3) move along their rays from the optical centre."""
    return rel_std**2 * points_m[..., :, None] * points_m[..., None, :]


def find_scale(joints_m: np.ndarray, frame: Frame, user_hand_scale: float) -> Scale:
    """Size of the hand from depth if the image has usable depth, else from the user, else from the population.

    Args:
        joints_m: (21, 3) in the camera frame, placed at average size.
        frame: its depth and calibration are used.
        user_hand_scale: `PipelineConfig.user_hand_scale`.
    """
    nowhere = np.zeros(N_JOINTS, bool)
    known = (
        Scale(user_hand_scale, USER_REL_STD, "user", nowhere) if user_hand_scale else Scale(1.0, PRIOR_REL_STD, "prior", nowhere)
    )
    if not frame.is_calibrated:
        return Scale(known.factor, known.rel_std, "none", nowhere)
    return (frame.depth_m is not None and _scale_from_depth(joints_m, frame)) or known


def _scale_from_depth(joints_m: np.ndarray, frame: Frame) -> Scale | None:
    """Median over the joints of measured by expected depth of the skin, or None where too few agree."""
    measured = _depth_at(joints_m, frame)
    expected = joints_m[:, 2] - _DEPTH_OF_JOINT_M
    with np.errstate(invalid="ignore"):
        ratio = measured / expected
    valid = np.isfinite(ratio)
    if valid.sum() < _MIN_DEPTH_JOINTS:
        return None
    agrees = valid & (np.abs(ratio - np.median(ratio[valid])) * expected < _DEPTH_GATE_M)
    factor = float(np.median(ratio[agrees]))
    is_human = _DEPTH_SCALES[0] < factor < _DEPTH_SCALES[1]
    if not is_human or agrees.sum() < max(_MIN_DEPTH_JOINTS, 0.5 * valid.sum()):
        return None
    spread = 1.4826 * float(np.median(np.abs(ratio[agrees] - factor)))
    return Scale(factor, float(np.hypot(_DEPTH_REL_STD, spread / np.sqrt(_INDEPENDENT_JOINTS))), "depth", agrees)


def _depth_at(joints_m: np.ndarray, frame: Frame) -> np.ndarray:
    """Median of the valid depths in a window of some millimetres around each joint, (21,); NaN where there is none."""
    pixels = camera.project(joints_m, frame.camera_matrix, frame.distortion)
    reach = 0.5 * _WINDOW_M * frame.camera_matrix[0, 0] / joints_m[:, 2]
    steps = np.linspace(-1, 1, _WINDOW_SAMPLES)
    window = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
    samples = np.round(pixels[:, None] + np.maximum(reach, 1.0)[:, None, None] * window).astype(int)
    height, width = frame.depth_m.shape
    inside = ((samples >= 0) & (samples < (width, height))).all(-1)
    column, row = np.clip(samples, 0, (width - 1, height - 1)).transpose(2, 0, 1)
    depths = frame.depth_m[row, column].astype(np.float64)
    is_measured = inside & np.isfinite(depths) & (depths > 0)
    result = np.full(N_JOINTS, np.nan)
    seen = is_measured.any(-1)
    result[seen] = np.nanmedian(np.where(is_measured, depths, np.nan)[seen], axis=-1)
    return result
