"""Position of a hand: closed-form translation of a skeleton from the rays of its joints, for a known or assumed size.

Scaling the scene about the optical centre does not change the image. So one colour image cannot distinguish a small near hand
from a large far hand. The hand is first placed at average size. Then the size factor scales the size and the distance of the hand
equally. With depth, `anchor` can distinguish size and distance.
"""

from dataclasses import dataclass

import numpy as np

from hand_mesh_ros.core.geometry import rotations
from hand_mesh_ros.core.geometry.rays import FAR_M, KEYPOINT_NOISE, ray_extent, translate_onto_rays
from hand_mesh_ros.core.place.user_size import Scale, SizeMeasure
from hand_mesh_ros.core.topology import N_JOINTS

# The errors of joints in one finger and in the palm are correlated. So 21 joints count as this number of independent joints.
INDEPENDENT_JOINTS = 6


@dataclass(frozen=True)
class Location:
    """Position and size of a hand, and the rotation from depth; metres in the camera frame."""

    translation_m: np.ndarray  # (3,) of the wrist
    # (7, 7) of the position of the centre of the hand [m], the logarithm of the size, and the rotation about the centre [rad].
    # With depth, without the error of the unit of depth: `scale.depth_std`.
    covariance: np.ndarray
    scale: Scale
    from_rays_m: np.ndarray  # (3,) of the wrist from the rays only, at average size
    turn: np.ndarray  # (3, 3) rotation about the wrist from depth; without depth the identity, with covariance 0
    anchored: np.ndarray  # (21,) bool: joints for which the measured depth agrees with the skin
    is_bent: bool = False  # True if depth has also bent the fingers
    size_seen: SizeMeasure | None = None  # size from the depth of this image only; None without a size from depth

    @property
    def is_known(self) -> bool:
        """False without calibration: then the hand is relative to the wrist."""
        return self.scale.source != "none"

    @property
    def is_anchored(self) -> bool:
        """True if the position of the hand is from depth."""
        return bool(self.anchored.any())

    @property
    def covariance_m2(self) -> np.ndarray:
        """(3, 3) of the position of the centre of the hand, for a known size."""
        of_place, with_size, of_size = self.covariance[:3, :3], self.covariance[:3, 3], self.covariance[3, 3]
        return of_place - np.outer(with_size, with_size) / of_size


def locate(
    joints_m: np.ndarray,
    rays: np.ndarray,
    confidence: np.ndarray,
    joint_std_m: np.ndarray,
    scale: Scale,
    gain: float,
    translation_m: np.ndarray | None = None,
) -> Location:
    """Position of one hand from its rays.

    Args:
        joints_m: (21, 3) camera axes, wrist in the origin, average size.
        rays: (21, 2) undistorted x/z, y/z.
        confidence: (21,) of the rays.
        joint_std_m: (21,) standard deviation of the joints relative to the hand, per axis.
        scale: current estimate of the size.
        gain: `Calibration.location_gain`.
        translation_m: (3,) of the joints, from `translate_onto_rays`; None to compute the translation here.
    """
    translation = translate_onto_rays(joints_m[None], rays, confidence)[0][0] if translation_m is None else translation_m
    placed = joints_m + translation
    of_place = gain * translation_covariance(placed, rays, confidence, KEYPOINT_NOISE * ray_extent(rays), joint_std_m)
    # A wrong size moves the centre along its ray.
    along = np.append(scale.factor * placed.mean(0), 1.0)
    covariance = np.zeros((7, 7))
    covariance[:3, :3] = scale.factor**2 * of_place
    covariance[:4, :4] += scale.rel_std**2 * np.outer(along, along)
    return Location(scale.factor * translation, covariance, scale, translation, np.eye(3), np.zeros(N_JOINTS, bool))


def place_covariances(from_centre_m: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Covariance of points caused by the errors of position, size and rotation, (N, 3, 3) m^2.

    Args:
        from_centre_m: (N, 3) points relative to the centre of the hand.
        covariance: `Location.covariance`.
    """
    # A rotation by w moves a point p by w x p = -[p] w.
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
        confidence: (21,) as in `translate_onto_rays`.
        ray_std: standard deviation of a ray of confidence 1 in the plane z = 1, per axis.
        joint_std_m: (21,) standard deviation of the joints relative to the hand, per axis.
    """
    planes = np.zeros((N_JOINTS, 2, 3))
    planes[:, 0, 0], planes[:, 1, 1], planes[:, :, 2] = 1, 1, -rays
    rows = planes.reshape(-1, 3)
    of_ray = (ray_std * joints_m[:, 2]) ** 2 / np.maximum(confidence, 1e-3)
    variance = of_ray[:, None] + joint_std_m[:, None] ** 2 * (1 + rays**2)
    information = (rows.T / variance.ravel()) @ rows * (INDEPENDENT_JOINTS / N_JOINTS)
    # If all rays are the same ray, the distance is unknown. The prior is the far limit.
    return np.linalg.inv(information + np.eye(3) / FAR_M**2)


def scale_covariances(points_m: np.ndarray, rel_std: float) -> np.ndarray:
    """Covariance caused by an uncertain size, (..., 3, 3) m^2: points (..., 3) move along their rays from the optical centre."""
    return rel_std**2 * points_m[..., :, None] * points_m[..., None, :]
