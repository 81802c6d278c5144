"""What the detector, its search and the tracks make of a row of images, without the stages after them."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from benchmarks.reach.pastes import Paste
from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.detect.detector import HandDetector
from hand_mesh_ros.core.detect.search import Search
from hand_mesh_ros.core.track.tracker import Tracker
from hand_mesh_ros.core.types import Frame, HandDetection

RATE_HZ = 30.0
# Keypoints within this of the true ones on average, in radii of the hand, are on it.
_ON = 0.6


class Stream:
    """Images in a row, as `HandMeshPipeline` sees them."""

    def __init__(self, detector: HandDetector, config: PipelineConfig) -> None:
        self._detector, self._search = detector, Search(config)
        self._tracker = Tracker(config.max_hands, 1e-3 * config.predict_ms, config.one_per_side)
        self._images = 0
        self.took_ms = 0.0  # processor time of the last image

    def step(self, rgb: np.ndarray) -> list[HandDetection]:
        """Hands that are seen in the next image, with their ids."""
        stamp_s = self._images / RATE_HZ
        frame = Frame(rgb, np.zeros((3, 3)), stamp_s=stamp_s)
        self._images += 1
        started_s = time.thread_time()
        following = self._tracker.following_at(stamp_s)
        plan = self._search.plan(frame, following, self._tracker.missing)
        hands = self._detector.detect(frame, [*following, *self._search.waiting], plan.is_due, plan)
        hands = self._tracker.update(self._search.settle(plan, hands), stamp_s)
        self.took_ms = 1e3 * (time.thread_time() - started_s)
        return [hand for hand, state in hands if state != "predicted"]


@dataclass(frozen=True)
class Sight:
    """What became of one paste."""

    found_after: int  # images until it was reported; 0 if it never was
    error: float  # of its keypoints then, in radii of the hand; NaN if it was not found
    settled_error: float  # some images later
    others: int  # hands reported that lie on something else, or are a second one on the same hand
    longest_ms: float  # of the images before it was found


def watch(stream: Stream, paste: Paste, images: int, after: int = 4) -> Sight:
    """Shows a paste until its hand is found, then for `after` images more."""
    found_after, error, settled, others, longest = 0, np.nan, np.nan, set(), 0.0
    for index, rgb in enumerate(paste.images(images + after), 1):
        hands = stream.step(rgb)
        errors = {hand.track_id: _error(hand, paste) for hand in hands}
        best = min(errors, key=errors.__getitem__, default=None)
        on_it = best is not None and errors[best] < _ON
        others |= {name for name in errors if not on_it or name != best}
        if on_it:
            settled = errors[best]
            if not found_after:
                found_after, error = index, settled
        else:
            longest = max(longest, stream.took_ms)
        if (found_after and index >= found_after + after) or (not found_after and index >= images):
            break
    return Sight(found_after, error, settled, len(others), longest)


def false_hands(stream: Stream, images: Iterable[np.ndarray]) -> tuple[int, list[float]]:
    """Different hands reported in images without any, and the time of every image in milliseconds."""
    names, took_ms = set(), []
    for rgb in images:
        names |= {hand.track_id for hand in stream.step(rgb)}
        took_ms.append(stream.took_ms)
    return len(names), took_ms


def _error(hand: HandDetection, paste: Paste) -> float:
    return float(np.linalg.norm(hand.keypoints_px - paste.keypoints_px, axis=1).mean() / paste.radius_px)
