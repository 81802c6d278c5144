"""Where a hand is: closed-form translation of a skeleton from the rays of its joints, for a size that is known or assumed.

A camera alone sees the shape of a hand but not whether it is small and near or large and far: scaling everything about the
optical centre changes no pixel. So the hand is first placed at average size; its size then scales size and distance alike.
Depth can tell both apart: `anchor`.
"""

from dataclasses import dataclass

import numpy as np

from hand_mesh_ros.core.geometry import rotations
from hand_mesh_ros.core.geometry.rays import FAR_M, KEYPOINT_NOISE, ray_extent, translate_onto_rays
from hand_mesh_ros.core.place.user_size import Scale, SizeMeasure
from hand_mesh_ros.core.topology import N_JOINTS

# 21 joints whose errors go together within a finger and over the palm weigh like this many independent ones.
INDEPENDENT_JOINTS = 6


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
    joints_m: np.ndarray, rays: np.ndarray, confidence: np.ndarray, joint_std_m: np.ndarray, scale: Scale, gain: float
) -> Location:
    """Place of one hand by its rays.

    Args:
        joints_m: (21, 3) camera axes, wrist in the origin, average size.
        rays: (21, 2) undistorted x/z, y/z.
        confidence: (21,) confidences of the rays.
        joint_std_m: (21,) standard deviation of the joints relative to the hand, per axis.
        scale: what is known of the size.
        gain: `Calibration.location_gain`.
    """
    translation = translate_onto_rays(joints_m[None], rays, confidence)[0][0]
    placed = joints_m + translation
    of_place = gain * translation_covariance(placed, rays, confidence, KEYPOINT_NOISE * ray_extent(rays), joint_std_m)
    # A size that is wrong moves the centre along its ray.
    along = np.append(scale.factor * placed.mean(0), 1.0)
    covariance = np.zeros((7, 7))
    covariance[:3, :3] = scale.factor**2 * of_place
    covariance[:4, :4] += scale.rel_std**2 * np.outer(along, along)
    return Location(scale.factor * translation, covariance, scale, translation, np.eye(3), np.zeros(N_JOINTS, bool))


def place_covariances(from_centre_m: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """What place, size and turn add to the doubt about points, (N, 3, 3) m^2.

    Args:
        from_centre_m: (N, 3) points relative to the hand's centre.
        covariance: `Location.covariance`.
    """
    # A turn by w moves a point p by w x p = -[p] w.
    turned = -rotations.cross_matrices(from_centre_m)
    moved = np.concatenate([np.broadcast_to(np.eye(3), turned.shape), from_centre_m[:, :, None], turned], -1)
    return moved @ covariance @ np.swapaxes(moved, -1, -2)


def translation_covariance(
    joints_m: np.ndarray, rays: np.ndarray, confidence: np.ndarray, ray_std: float, joint_std_m: np.ndarray
) -> np.ndarray:
    """Covariance of the translation of one placed skeleton of known size, (3, 3) m^2.

    Args:
        joints_m: (21, 3) in the camera frame.
        rays: (21, 2) undistorted x/z, y/z.
        confidence: (21,) as given to `translate_onto_rays`.
        ray_std: standard deviation of a ray of weight 1 in the plane z = 1, per axis.
        joint_std_m: (21,) standard deviation of the joints relative to the hand, per axis.
    """
    ones, zeros = np.ones(N_JOINTS), np.zeros(N_JOINTS)
    rows = np.stack([np.stack([ones, zeros, -rays[:, 0]], -1), np.stack([zeros, ones, -rays[:, 1]], -1)], axis=1)
    of_ray = (ray_std * joints_m[:, 2]) ** 2 / np.maximum(confidence, 1e-3)
    variance = of_ray[:, None] + joint_std_m[:, None] ** 2 * (1 + rays**2)
    information = np.einsum("jar,jas,ja->rs", rows, rows, 1 / variance) * (INDEPENDENT_JOINTS / N_JOINTS)
    # Rays that meet in one point say nothing of the distance: nothing is known better than within the far limit.
    return np.linalg.inv(information + np.eye(3) / FAR_M**2)


def scale_covariances(points_m: np.ndarray, rel_std: float) -> np.ndarray:
    """What an uncertain size adds, (..., 3, 3) m^2: points (..., 3) move along their rays from the optical centre."""
    return rel_std**2 * points_m[..., :, None] * points_m[..., None, :]
