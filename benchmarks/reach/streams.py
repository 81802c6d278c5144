"""Runs the detector, its search and the tracker over a sequence of images, without the later stages."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from benchmarks.metrics import keypoint_error
from benchmarks.reach.pastes import Paste
from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.detect.detector import HandDetector
from hand_mesh_ros.core.detect.search import Search
from hand_mesh_ros.core.track.tracker import Tracker
from hand_mesh_ros.core.types import Frame, HandDetection

RATE_HZ = 30.0
# Keypoints with a smaller mean error, relative to the radius of the hand, are on the hand, or near the hand.
_ON, _NEAR = 0.6, 1.0
# A hand counts as visible if at least this share of the joints that the first image shows is not hidden and in the image.
_VISIBLE = 0.8


class Stream:
    """Processes a sequence of images in the same way as `HandMeshPipeline`."""

    def __init__(self, detector: HandDetector, config: PipelineConfig) -> None:
        self._detector, self._search = detector, Search(config)
        self._tracker = Tracker(config.max_hands, 1e-3 * config.predict_ms, config.one_per_side)
        self._images = 0
        self.took_ms = 0.0  # processor time of the last image

    def step(self, rgb: np.ndarray) -> list[HandDetection]:
        """Returns the detected hands in the next image, with their ids."""
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
class Shot:
    """One image with its truth."""

    rgb: np.ndarray  # (H, W, 3) uint8
    keypoints_px: np.ndarray  # (hands, 21, 2)
    visible: np.ndarray  # (hands,) share of the joints that no other surface hides and that are in the image


@dataclass
class Record:
    """What a stream reported in a film, image by image."""

    shots: list[Shot] = field(default_factory=list)
    ids: list[list[str]] = field(default_factory=list)  # id of the report on each hand, "" without a report
    sides: list[list[str]] = field(default_factory=list)
    doubles: int = 0  # reports of a hand that has another report
    others: int = 0  # reports on no hand
    took_ms: list[float] = field(default_factory=list)

    @property
    def shown(self) -> np.ndarray:
        """(images, hands) bool: the hand is visible."""
        visible = np.array([shot.visible for shot in self.shots])
        return visible >= _VISIBLE * visible[0]

    def add(self, shot: Shot, hands: Sequence[HandDetection], took_ms: float) -> None:
        """Assigns the reported hands to the true hands."""
        errors = np.array([[keypoint_error(hand.keypoints_px, truth) for hand in hands] for truth in shot.keypoints_px]).reshape(
            len(shot.keypoints_px), len(hands)
        )
        ids, sides = [""] * len(errors), [""] * len(errors)
        # Hands of a single image have no id.
        names = [hand.track_id or f"hand {number}" for number, hand in enumerate(hands)]
        for true, found in zip(*linear_sum_assignment(np.minimum(errors, 9.0))):
            if errors[true, found] < _ON:
                ids[true], sides[true] = names[found], hands[found].handedness
        for number, name in enumerate(names):
            if name not in ids:
                nearest = int(errors[:, number].argmin())
                self.doubles += bool(errors[nearest, number] < _NEAR and ids[nearest])
                self.others += bool(errors[nearest, number] >= _NEAR)
        self.shots.append(shot)
        self.ids.append(ids)
        self.sides.append(sides)
        self.took_ms.append(took_ms)


def play(stream: Stream, shots: Iterator[Shot]) -> Record:
    """Shows a film to a stream."""
    record = Record()
    for shot in shots:
        record.add(shot, stream.step(shot.rgb), stream.took_ms)
    return record


@dataclass(frozen=True)
class Sight:
    """Result for one paste."""

    found_after: int  # number of images until the report of the hand; 0 without a report
    error: float  # of the keypoints in this image, relative to the radius of the hand; NaN if the detector missed the hand
    settled_error: float  # the same some images later
    others: int  # reported hands on another object, and second reports of the same hand
    longest_ms: float  # longest time of an image before the report


def watch(stream: Stream, paste: Paste, images: int, after: int = 4) -> Sight:
    """Shows a paste until the detector finds its hand, then for `after` more images."""
    found_after, error, settled, others, longest = 0, np.nan, np.nan, set(), 0.0
    for index, rgb in enumerate(paste.images(images + after), 1):
        hands = stream.step(rgb)
        errors = {hand.track_id: keypoint_error(hand.keypoints_px, paste.keypoints_px) for hand in hands}
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
    """Returns the number of different hands reported in images without a hand, and the time of every image in milliseconds."""
    names, took_ms = set(), []
    for rgb in images:
        names |= {hand.track_id for hand in stream.step(rgb)}
        took_ms.append(stream.took_ms)
    return len(names), took_ms
