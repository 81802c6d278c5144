"""Calibration of a camera from its known or assumed field of view."""

import numpy as np


def assumed_matrix(width: int, height: int, hfov_deg: float) -> np.ndarray:
    """Returns K, (3, 3), for a horizontal field of view, with the principal point in the middle; all zero for 0 degrees."""
    if not hfov_deg:
        return np.zeros((3, 3))
    focal = 0.5 * width / np.tan(0.5 * np.deg2rad(hfov_deg))
    return np.array([[focal, 0, 0.5 * (width - 1)], [0, focal, 0.5 * (height - 1)], [0, 0, 1]])
