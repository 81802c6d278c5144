"""Figures that show why images have no depth: rates, delays and stamps of images and depth in the last seconds."""

from collections import deque
from dataclasses import dataclass

import numpy as np

# After a longer time without an answer, the figures begin again [s].
_WINDOW_S, _LONGEST_PAUSE_S = 2.2, 2.0
# The window contains at least this number of answers, so that a slow camera is judged too.
_LEAST_ANSWERS = 8
# Smallest number of images between the first and the last stamp of depth for a share of pairs.
_LEAST_COVERED = 5
# Images in a longer gap of depth are not counted: depth was off [ns].
_LONGEST_GAP_NS = 1_000_000_000
_MOST = 256


@dataclass(frozen=True)
class PairFigures:
    """Images and depth of the last seconds."""

    answered: int  # images that were taken while depth arrived
    without_depth: int  # of these
    image_hz: float  # by the stamps; NaN if unknown
    depth_hz: float
    seconds: float  # time since the first of these images
    paired_share: float  # share of images for which a depth with the same stamp arrived, early or late; NaN if unknown
    delay_s: float  # 90th percentile of the absolute time between the arrivals of an image and its depth; NaN without pairs
    depth_is_later: bool  # the depth arrives after its image


class DepthPairs:
    """Stamps and arrival times of images and depth. Not thread-safe."""

    def __init__(self) -> None:
        """Starts without messages."""
        self.clear()

    def clear(self) -> None:
        """Forgets all messages."""
        self._images: deque[tuple[int, float]] = deque(maxlen=_MOST)  # stamp [ns], arrival [s]
        self._depths: deque[tuple[int, float]] = deque(maxlen=_MOST)
        self._answers: deque[tuple[bool, float]] = deque(maxlen=_MOST)  # with depth, time [s]

    def image_came(self, stamp_ns: int, now_s: float) -> None:
        """Stores the arrival of an image."""
        self._images.append((stamp_ns, now_s))

    def depth_came(self, stamp_ns: int, now_s: float) -> None:
        """Stores the arrival of a depth image. After a gap, the answers of the time before are dropped: depth was off."""
        if self._depths and now_s - self._depths[-1][1] > 1e-9 * _LONGEST_GAP_NS:
            self._answers.clear()
        self._depths.append((stamp_ns, now_s))

    def image_answered(self, with_depth: bool, now_s: float) -> None:
        """Stores that an image was taken while depth arrived."""
        if self._answers and now_s - self._answers[-1][1] > _LONGEST_PAUSE_S:
            self._answers.clear()
        self._answers.append((with_depth, now_s))

    def figures(self, slop_ns: int, now_s: float) -> PairFigures | None:
        """Figures of the last seconds; None while there are too few answers.

        Args:
            slop_ns: largest stamp difference between an image and its depth.
            now_s: current time, of the same clock as the arrivals.
        """
        while len(self._answers) > _LEAST_ANSWERS and now_s - self._answers[0][1] > _WINDOW_S:
            self._answers.popleft()
        if len(self._answers) < _LEAST_ANSWERS or now_s - self._answers[-1][1] > _LONGEST_PAUSE_S:
            return None
        # Images after the last depth are not counted: depth has ended.
        last_s = self._depths[-1][1] if self._depths else now_s
        answers = [with_depth for with_depth, answered_s in self._answers if answered_s <= last_s]
        if not answers:
            return None
        since_s = min(self._answers[0][1], now_s - _WINDOW_S)
        images, depths = (np.array([each for each in came if each[1] >= since_s]) for came in (self._images, self._depths))
        delays_s, share = _delays(images, depths, slop_ns)
        return PairFigures(
            answered=len(answers),
            without_depth=answers.count(False),
            seconds=now_s - self._answers[0][1],
            image_hz=_rate(images),
            depth_hz=_rate(depths),
            paired_share=share,
            delay_s=float(np.percentile(np.abs(delays_s), 90)) if len(delays_s) else float("nan"),
            # The mean, because most of the pairs may be older than the delay.
            depth_is_later=bool(len(delays_s) and np.mean(delays_s) > 0),
        )


def _delays(images: np.ndarray, depths: np.ndarray, slop_ns: int) -> tuple[np.ndarray, float]:
    """Times (N,) in seconds from an image to its depth, and the share of images with a depth.

    Only images between two stamps of depth are used, because depth of the others may come later.
    """
    if not len(images) or len(depths) < 2:
        return np.zeros(0), float("nan")
    depths = depths[np.argsort(depths[:, 0])]
    images = images[(images[:, 0] >= depths[0, 0] - slop_ns) & (images[:, 0] <= depths[-1, 0] + slop_ns)]
    after = np.clip(np.searchsorted(depths[:, 0], images[:, 0]), 1, len(depths) - 1)
    pairs = np.stack([after - 1, after])
    differences = np.abs(depths[pairs, 0] - images[:, 0])
    nearest = np.take_along_axis(pairs, differences.argmin(0)[None], 0)[0]
    is_covered = depths[pairs[1], 0] - depths[pairs[0], 0] < _LONGEST_GAP_NS
    if is_covered.sum() < _LEAST_COVERED:
        return np.zeros(0), float("nan")
    is_paired = differences.min(0) <= slop_ns
    return depths[nearest[is_paired], 1] - images[is_paired, 1], float(is_paired[is_covered].mean())


def _rate(came: np.ndarray) -> float:
    """Messages per second, by their stamps."""
    span_ns = float(np.ptp(came[:, 0])) if len(came) else 0.0
    return 1e9 * (len(came) - 1) / span_ns if span_ns else float("nan")
