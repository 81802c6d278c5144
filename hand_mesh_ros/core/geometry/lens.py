"""Lens distortion: where a ray meets the image plane of a real lens, and back.

A lens model is a polynomial. Outside the field in which the lens was calibrated, the polynomial turns back: a point far outside
the image would appear inside the image. So a model is used only up to the edge of its field, the angle at which its radius almost
stops to grow. Beyond the edge the radius continues with its mean slope. Then each pixel has one ray and each ray has one pixel.
"""

from dataclasses import dataclass

import cv2
import numpy as np

# Rays are x/z, y/z, so they end before 90 degrees from the optical axis. Largest angle of a ray [rad].
WIDEST_RAD = np.deg2rad(85.0)
# The field of a model ends where its radius grows more slowly than this. In the image centre the slope is 1.
_LEAST_SLOPE = 0.05
_TABLE_SIZE = 1024
# A pixel is undistorted by at most this number of steps, until its ray returns to the pixel. Errors in the plane z = 1.
_STEPS, _GOOD_ENOUGH, _USABLE = 20, 1e-7, 1e-4


@dataclass(frozen=True)
class Fisheye:
    """The lens model `equidistant` of ROS, `cv2.fisheye` of OpenCV: the radius is a polynomial of the angle.

    Coefficients that are all zero are a fisheye too: the radius is the angle, not its tangent.
    """

    coefficients: np.ndarray  # (4,)

    def __post_init__(self) -> None:
        if np.shape(self.coefficients) != (4,):
            raise ValueError(f"a fisheye has 4 coefficients, not {np.size(self.coefficients)}")


# OpenCV's plumb_bob or rational_polynomial coefficients (4, 5, 8, 12 or 14,), a fisheye, or None for an image without distortion.
Distortion = np.ndarray | Fisheye | None


def is_plain(distortion: Distortion) -> bool:
    """True if the image has no distortion."""
    return distortion is None or (not isinstance(distortion, Fisheye) and not np.any(distortion))


def distort(points: np.ndarray, distortion: np.ndarray | Fisheye) -> np.ndarray:
    """Position (N, 2) in the plane z = 1 of the image, of points (N, 3) in the optical frame.

    Points beyond the edge of the field are outside the image of the field. A fisheye also sees points with z <= 0.
    """
    with np.errstate(all="ignore"):  # calibrations with arbitrary numbers overflow
        return _distort(np.asarray(points, np.float64), distortion, _profile(distortion))


def undistort(positions: np.ndarray, distortion: np.ndarray | Fisheye) -> tuple[np.ndarray, np.ndarray]:
    """Rays of positions (N, 2) in the plane z = 1 of the image: the inverse of `distort`.

    Returns:
        rays (N, 2) x/z, y/z, always finite, and (N,) bool: True if the ray can be trusted. A ray beyond the edge of the field or
        beyond `WIDEST_RAD` is only a guess, and so is a ray that does not return to its position.
    """
    with np.errstate(all="ignore"):
        profile = _profile(distortion)
        points, angles = _towards(positions, profile)
        target, error = np.array(positions, np.float64), np.full(len(positions), np.inf)
        for _ in range(_STEPS):
            # The radial part is inverted by the table. The rest is small: tangential terms, a tilted sensor, table errors.
            missing = positions - _distort(points, distortion, profile)
            error = np.linalg.norm(missing, axis=-1)
            if not np.any(error > _GOOD_ENOUGH):
                break
            target += missing
            points, angles = _towards(target, profile)
        returns = error < _USABLE
        first_points, first_angles = _towards(positions, profile)
        points, angles = np.where(returns[:, None], points, first_points), np.where(returns, angles, first_angles)
        return _rays(points, angles, profile), returns & (angles <= min(profile.edge, profile.widest))


@dataclass(frozen=True)
class _Profile:
    """Radius in the image as a function of the angle, which grows everywhere."""

    angles: np.ndarray  # (T,) from 0 to the edge; of a fisheye in radians, else the tangent
    radii: np.ndarray  # (T,)
    is_fisheye: bool

    @property
    def edge(self) -> float:
        """Largest angle of the field."""
        return float(self.angles[-1])

    @property
    def slope(self) -> float:
        """Slope beyond the edge."""
        return float(self.radii[-1]) / self.edge

    @property
    def widest(self) -> float:
        """`WIDEST_RAD` in the unit of the angles."""
        return float(WIDEST_RAD if self.is_fisheye else np.tan(WIDEST_RAD))

    def angle_of(self, radius: np.ndarray) -> np.ndarray:
        """Angles (N,) of radii (N,)."""
        beyond = self.edge + (radius - self.radii[-1]) / self.slope
        return np.where(radius <= self.radii[-1], np.interp(radius, self.radii, self.angles), beyond)


def _profile(distortion: np.ndarray | Fisheye) -> _Profile:
    is_fisheye = isinstance(distortion, Fisheye)
    angles = np.linspace(0.0, np.pi, _TABLE_SIZE) if is_fisheye else np.tan(np.linspace(0.0, WIDEST_RAD, _TABLE_SIZE))
    radii = _radius(angles, distortion)
    too_slow = ~(np.diff(radii) > _LEAST_SLOPE * np.diff(angles))
    edge = int(np.argmax(too_slow)) if too_slow.any() else len(angles) - 1
    if not edge:  # numbers that are no lens: a field of almost nothing, in which no ray returns
        return _Profile(angles[:2], angles[:2], is_fisheye)
    return _Profile(angles[: edge + 1], radii[: edge + 1], is_fisheye)


def _radius(angle: np.ndarray, distortion: np.ndarray | Fisheye) -> np.ndarray:
    """The radial part of the model. NaN beyond a pole."""
    square = angle**2
    if isinstance(distortion, Fisheye):
        k1, k2, k3, k4 = distortion.coefficients
        return angle * (1 + square * (k1 + square * (k2 + square * (k3 + square * k4))))
    k1, k2, _, _, k3, k4, k5, k6 = np.pad(distortion, (0, max(0, 8 - len(distortion))))[:8]
    below = 1 + square * (k4 + square * (k5 + square * k6))
    return angle * (1 + square * (k1 + square * (k2 + square * k3))) / np.where(below > 0, below, np.nan)


def _distort(points: np.ndarray, distortion: np.ndarray | Fisheye, profile: _Profile) -> np.ndarray:
    if isinstance(distortion, Fisheye):
        across = np.linalg.norm(points[:, :2], axis=-1)
        angle = np.arctan2(across, points[:, 2])
        radius = _radius(np.minimum(angle, profile.edge), distortion) + profile.slope * np.maximum(angle - profile.edge, 0)
        return points[:, :2] * (radius / np.maximum(across, 1e-12))[:, None]
    rays = points[:, :2] / points[:, 2:]
    tangent = np.linalg.norm(rays, axis=-1, keepdims=True)
    within = rays * np.minimum(1, profile.edge / np.maximum(tangent, 1e-12))
    zero, coefficients = np.zeros(3), np.asarray(distortion, np.float64)
    ahead = np.concatenate([within, np.ones((len(within), 1))], -1)
    positions, _ = cv2.projectPoints(ahead.reshape(-1, 1, 3), zero, zero, np.eye(3), coefficients)
    return positions.reshape(-1, 2) + profile.slope * (rays - within)


def _towards(positions: np.ndarray, profile: _Profile) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 3) and their angles (N,) for positions in the image, from the radial part alone."""
    radius = np.linalg.norm(positions, axis=-1)
    angles = profile.angle_of(radius)
    direction = positions / np.maximum(radius, 1e-12)[:, None]
    if not profile.is_fisheye:
        return np.concatenate([direction * angles[:, None], np.ones((len(angles), 1))], -1), angles
    angles = np.minimum(angles, np.pi)
    return np.concatenate([direction * np.sin(angles)[:, None], np.cos(angles)[:, None]], -1), angles


def _rays(points: np.ndarray, angles: np.ndarray, profile: _Profile) -> np.ndarray:
    """Rays (N, 2) of points (N, 3) at these angles, at most `WIDEST_RAD` from the axis."""
    across = np.linalg.norm(points[:, :2], axis=-1)
    limited = np.minimum(angles, profile.widest)
    tangent = np.tan(limited) if profile.is_fisheye else limited
    return np.nan_to_num(points[:, :2] * (tangent / np.maximum(across, 1e-12))[:, None], posinf=0.0, neginf=0.0)
