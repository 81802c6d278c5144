"""Calibration of a camera from its known or assumed field of view."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class GivenCamera:
    """Known data of a camera: a calibration, a field of view, or nothing."""

    pinhole_px: tuple[float, float, float, float] | None = None  # fx, fy, cx, cy
    fov_deg: float = 0.0  # horizontal; 0 if unknown

    def __post_init__(self) -> None:
        if self.pinhole_px and not (np.isfinite(self.pinhole_px).all() and min(self.pinhole_px[:2]) > 0):
            numbers = ", ".join(f"{number:g}" for number in self.pinhole_px)
            raise ValueError(f"the camera matrix is {numbers} px: focal lengths must be positive, and all numbers finite")
        if not 0 <= self.fov_deg < 180:
            raise ValueError(f"the field of view is {self.fov_deg:g} degrees, allowed are 0 to less than 180")

    @property
    def is_known(self) -> bool:
        """True if there is a calibration or a field of view."""
        return bool(self.pinhole_px or self.fov_deg)

    def matrix(self, width: int, height: int) -> np.ndarray:
        """Returns K, (3, 3), for images of this size; all zero if the camera is unknown."""
        if self.pinhole_px is None:
            return assumed_matrix(width, height, self.fov_deg)
        fx, fy, cx, cy = self.pinhole_px
        return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])


def assumed_matrix(width: int, height: int, hfov_deg: float) -> np.ndarray:
    """Returns K, (3, 3), for a horizontal field of view, with the principal point in the middle; all zero for 0 degrees."""
    if not hfov_deg:
        return np.zeros((3, 3))
    focal = 0.5 * width / np.tan(0.5 * np.deg2rad(hfov_deg))
    return np.array([[focal, 0, 0.5 * (width - 1)], [0, focal, 0.5 * (height - 1)], [0, 0, 1]])
