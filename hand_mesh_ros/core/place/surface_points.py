"""Points of the surfaces that a depth camera measured near a hand.

`skin_depth` asks for the depth at each vertex. A finger that the estimate puts beside its true place then measures the wall. A
point of the surface instead looks for the nearest skin, and pulls the finger sideways.
"""

import cv2
import numpy as np

from hand_mesh_ros.core.geometry import camera
from hand_mesh_ros.core.place.skin_depth import RANGE_M, SPAN_M
from hand_mesh_ros.core.types import Frame

# Points are used up to this distance around the estimate, sideways and in depth [m].
_MARGIN_M = 0.03
# About this number of points is used, on a regular grid of pixels.
_MOST = 400


def surface_points(vertices_m: np.ndarray, frame: Frame) -> np.ndarray:
    """Measured points (N, 3) in the camera frame, on the hand and on objects near the hand. N may be 0.

    The grid of pixels is symmetric about the hand, so that a mirrored image gives the mirrored points.

    Args:
        vertices_m: (V, 3) in the camera frame, near the true position of the hand.
        frame: a calibrated camera with depth.

    Raises:
        ValueError: if the frame has no depth.
    """
    if frame.depth_m is None:
        raise ValueError("the frame has no depth image")
    in_front = vertices_m[vertices_m[:, 2] > RANGE_M[0]]
    if not len(in_front):
        return np.zeros((0, 3))
    low, high = _window(in_front, frame)
    if np.any(high - low < 2):
        return np.zeros((0, 3))
    depth = frame.depth_m[low[1] : high[1] + 1, low[0] : high[0] + 1]
    is_sound = _is_sound(depth, (in_front[:, 2].min() - _MARGIN_M, in_front[:, 2].max() + _MARGIN_M))
    step = max(1, round(float(np.sqrt(np.count_nonzero(is_sound) / _MOST))))
    rows, columns = (_symmetric_grid(length, step) for length in depth.shape)
    chosen = np.argwhere(is_sound[np.ix_(rows, columns)])
    row, column = rows[chosen[:, 0]], columns[chosen[:, 1]]
    if not len(row):
        return np.zeros((0, 3))
    rays = camera.rays_from_pixels(low + np.stack([column, row], -1), frame.camera_matrix, frame.distortion)
    return depth[row, column, None] * np.concatenate([rays, np.ones((len(rays), 1))], -1)


def _window(vertices_m: np.ndarray, frame: Frame) -> tuple[np.ndarray, np.ndarray]:
    """First and last pixel (x, y) of the window around the hand, inside the image."""
    pixels = camera.project(vertices_m, frame.camera_matrix, frame.distortion)
    margin_px = _MARGIN_M * frame.camera_matrix[0, 0] / float(np.median(vertices_m[:, 2]))
    height, width = frame.rgb.shape[:2]
    last = np.array([width - 1, height - 1])
    low, high = np.floor(pixels.min(0) - margin_px), np.ceil(pixels.max(0) + margin_px)
    return np.clip(low, 0, last).astype(int), np.clip(high, 0, last).astype(int)


def _is_sound(depth_m: np.ndarray, between_m: tuple[float, float]) -> np.ndarray:
    """(H, W) bool: measured between two depths, and not at an outline."""
    is_measured = np.isfinite(depth_m) & (depth_m > RANGE_M[0]) & (depth_m < RANGE_M[1])
    around = np.ones((3, 3), np.uint8)
    nearest = cv2.erode(np.where(is_measured, depth_m, RANGE_M[1]).astype(np.float32), around)
    farthest = cv2.dilate(np.where(is_measured, depth_m, 0).astype(np.float32), around)
    return is_measured & (farthest - nearest < SPAN_M) & (depth_m > between_m[0]) & (depth_m < between_m[1])


def _symmetric_grid(length: int, step: int) -> np.ndarray:
    """Every step-th index of a range, counted from the middle in both directions."""
    middle = 0.5 * (length - 1)
    from_middle = np.arange(middle % 1, middle + 0.5, step)
    return np.unique(np.concatenate([middle - from_middle, middle + from_middle]).astype(int))
