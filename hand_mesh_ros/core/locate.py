"""Where a hand is: closed-form translation of a skeleton from the rays of its joints, for a size that is known or assumed.

A camera alone sees the shape of a hand but not whether it is small and near or large and far: scaling everything about the
optical centre changes no pixel. So the hand is first placed at average size; its size then scales size and distance alike.
Depth can tell both apart: `anchor`.
"""

from dataclasses import dataclass

import numpy as np

from hand_mesh_ros.core import camera
from hand_mesh_ros.core.scale import Scale, SizeMeasure
from hand_mesh_ros.core.topology import N_JOINTS
from hand_mesh_ros.core.types import Frame, HandDetection

# Solutions with a joint nearer than this to the camera's plane are geometrically impossible; none is placed beyond the far limit.
_NEAR_M, _FAR_M = 0.05, 20.0
_REWEIGHTINGS = 3
# 21 joints whose errors go together within a finger and over the palm weigh like this many independent ones.
INDEPENDENT_JOINTS = 6
# The detector's noise per axis, as a share of the hand's extent in the image.
KEYPOINT_NOISE = 0.03
# Keypoints of no confidence still say a little; without any the place of the hand would be undefined.
_LEAST_CERTAINTY = 1e-3


@dataclass(frozen=True)
class Location:
    """Where a hand is, how large, and what depth turned it by; metres in the camera frame."""

    translation_m: np.ndarray  # (3,) of the wrist
    # (7, 7) of the place of the hand's centre [m], the logarithm of its size, and a turn about its centre [rad].
    covariance: np.ndarray
    scale: Scale
    from_rays_m: np.ndarray  # (3,) of the wrist by its rays alone, at average size
    turn: np.ndarray  # (3, 3) rotation about the wrist that depth asks for; without depth the identity, of no stated doubt
    anchored: np.ndarray  # (21,) bool: joints whose skin was measured where it is now
    size_seen: SizeMeasure | None = None  # what this image alone says of the size, where depth tells it

    @property
    def is_anchored(self) -> bool:
        """Whether depth has placed the hand."""
        return bool(self.anchored.any())

    @property
    def covariance_m2(self) -> np.ndarray:
        """(3, 3) of the place of the hand's centre, if its size were known."""
        of_place, with_size, of_size = self.covariance[:3, :3], self.covariance[:3, 3], self.covariance[3, 3]
        return of_place - np.outer(with_size, with_size) / of_size


def locate(
    joints_m: np.ndarray, rays: np.ndarray, weights: np.ndarray, joint_std_m: np.ndarray, scale: Scale, gain: float
) -> Location:
    """Place of one hand by its rays.

    Args:
        joints_m: (21, 3) camera axes, wrist in the origin, average size.
        rays: (21, 2) undistorted x/z, y/z.
        weights: (21,) confidences of the rays.
        joint_std_m: (21,) standard deviation of the joints relative to the hand, per axis.
        scale: what is known of the size.
        gain: `Calibration.location_gain`.
    """
    translation = translate(joints_m[None], rays, weights)[0][0]
    placed = joints_m + translation
    of_place = gain * translation_covariance(placed, rays, weights, KEYPOINT_NOISE * extent(rays), joint_std_m)
    # A size that is wrong moves the centre along its ray.
    along = np.append(scale.factor * placed.mean(0), 1.0)
    covariance = np.zeros((7, 7))
    covariance[:3, :3] = scale.factor**2 * of_place
    covariance[:4, :4] += scale.rel_std**2 * np.outer(along, along)
    return Location(scale.factor * translation, covariance, scale, translation, np.eye(3), np.zeros(N_JOINTS, bool))


def rays_of(detection: HandDetection, frame: Frame) -> tuple[np.ndarray, np.ndarray]:
    """Rays (21, 2) of the keypoints, undistorted x/z, y/z, and how much they count, (21,) above 0."""
    rays = camera.rays_from_pixels(detection.keypoints_px, frame.working_camera_matrix, frame.distortion)
    return rays, np.maximum(detection.keypoint_conf, _LEAST_CERTAINTY)


def place_covariances(from_centre_m: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """What place, size and turn add to the doubt about points, (N, 3, 3) m^2.

    Args:
        from_centre_m: (N, 3) points relative to the hand's centre.
        covariance: `Location.covariance`.
    """
    x, y, z = from_centre_m.T
    none = np.zeros_like(x)
    # A turn by w moves a point p by w x p.
    turned = np.stack([np.stack([none, z, -y], -1), np.stack([-z, none, x], -1), np.stack([y, -x, none], -1)], -2)
    moved = np.concatenate([np.broadcast_to(np.eye(3), turned.shape), from_centre_m[:, :, None], turned], -1)
    return moved @ covariance @ np.swapaxes(moved, -1, -2)


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
    information = np.einsum("jar,jas,ja->rs", rows, rows, 1 / variance) * (INDEPENDENT_JOINTS / N_JOINTS)
    # Rays that meet in one point say nothing of the distance: nothing is known better than within the far limit.
    return np.linalg.inv(information + np.eye(3) / _FAR_M**2)


def scale_covariances(points_m: np.ndarray, rel_std: float) -> np.ndarray:
    """What an uncertain size adds, (..., 3, 3) m^2: points (..., 3) move along their rays from the optical centre."""
    return rel_std**2 * points_m[..., :, None] * points_m[..., None, :]
