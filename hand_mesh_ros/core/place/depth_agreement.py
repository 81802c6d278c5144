"""Compares measured depth with the distance of the hand by its size in the image.

A wrong unit of depth, a depth image that is not registered to the colours, and the calibration of another camera change the ratio
of the two distances. The ratio is also the size of the hand relative to an average adult's hand. So a ratio that a human hand can
have shows no fault: depth times 0.8 before an adult looks exactly like correct depth before a child. In this case
`user_size.depth_doubt` makes the covariances larger.
"""

import math
from collections import deque
from collections.abc import Iterable, Sequence

import numpy as np

from hand_mesh_ros.core.place.user_size import Scale
from hand_mesh_ros.core.types import Frame

# Sizes of hands relative to an average adult: from a child of about four years (length of the hand 115 mm) to the 99.5th
# percentile of men (220 mm, from the numbers in `user_size`), with the error of the ratio.
_USUAL_SIZES = (0.6, 1.2)
# Standard deviation of the ratio for a hand of known size: errors of the detector and of the shape, alike in all images.
_RATIO_STD = 0.05
# A known size that differs by more standard deviations than this shows a fault.
_GATE = 3.0
# The skin is in front of the joints [m].
_SKIN_M = 0.010
# Smallest number of joints with a measured depth.
_LEAST_JOINTS = 8
# Window of the median [s], its length while it has too few images [s], smallest number of images, and largest half width of the
# middle half of the log ratios. A wrong unit gives the same ratio in all images. A wall beside the hand does not.
_WINDOW_S, _LONGEST_S, _LEAST_IMAGES, _WIDEST = 2.0, 3.0, 8, 0.12


def depth_ratio(joints_m: np.ndarray, keypoints_px: np.ndarray, frame: Frame) -> float | None:
    """Median of measured depth divided by expected depth at the joints of a hand. None if too few joints have a depth.

    Args:
        joints_m: (21, 3) in the camera frame, at average size.
        keypoints_px: (21, 2) of the same joints.
        frame: a calibrated camera with depth.
    """
    if frame.depth_m is None:
        return None
    height, width = frame.depth_m.shape
    column, row = np.round(keypoints_px).astype(int).T
    inside = (column >= 0) & (row >= 0) & (column < width) & (row < height)
    measured = frame.depth_m[row[inside], column[inside]]
    is_measured = np.isfinite(measured) & (measured > 0)
    if is_measured.sum() < _LEAST_JOINTS:
        return None
    expected = np.maximum(joints_m[inside, 2] - _SKIN_M, _SKIN_M)
    return float(np.median(measured[is_measured] / expected[is_measured]))


class DepthAgreement:
    """The ratio of depth and distance by size over the last seconds of a stream."""

    def __init__(self) -> None:
        """Starts without images."""
        self._seen: deque[tuple[float, float]] = deque()  # stamp [s], log ratio

    def reset(self) -> None:
        """Forgets all images."""
        self._seen.clear()

    def step(self, ratios: Iterable[float], stamp_s: float) -> None:
        """Adds the ratios of the hands in the next image."""
        self._seen.extend((stamp_s, math.log(ratio)) for ratio in ratios)
        while self._seen and not 0 <= stamp_s - self._seen[0][0] <= self._window_s:
            self._seen.popleft()

    @property
    def _window_s(self) -> float:
        return _WINDOW_S if len(self._seen) > _LEAST_IMAGES else _LONGEST_S

    @property
    def ratio(self) -> float | None:
        """The ratio if it is the same in enough images, else None. After a change, the newer half of the images is enough."""
        log_ratios = [log_ratio for _, log_ratio in self._seen]
        newer = log_ratios[-max(_LEAST_IMAGES, len(log_ratios) // 2) :]
        return next(filter(None, map(_common_ratio, (log_ratios, newer))), None)

    def fault(self, known: Scale) -> float | None:
        """The ratio, if no hand of the size that is known without depth explains the ratio; else None."""
        ratio = self.ratio
        if ratio is None:
            return None
        low, high = _USUAL_SIZES
        if known.source == "user":
            tolerance = math.exp(_GATE * math.hypot(known.rel_std, _RATIO_STD))
            low, high = known.factor / tolerance, known.factor * tolerance
        return None if low <= ratio <= high else ratio


def _common_ratio(log_ratios: Sequence[float]) -> float | None:
    if len(log_ratios) < _LEAST_IMAGES:
        return None
    low, middle, high = np.percentile(log_ratios, [25, 50, 75])
    return float(np.exp(middle)) if high - low < 2 * _WIDEST else None
