"""Tracks hands from image to image: gives ids, selects the hands to report, and predicts hands that are not detected.

A hand is "new" in its first reported image and "tracked" in the next images. While it is not detected, it is "predicted" for a
short time. Then it is lost and not reported any more. The detector changes the side of a followed hand only if several successive
images contradict the side. The tracker keeps the side while the hand is not detected.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hand_mesh_ros.core.detect.detector import SIDE_RATE
from hand_mesh_ros.core.hand.model import palm_length
from hand_mesh_ros.core.track.association import is_near, palm_centre
from hand_mesh_ros.core.types import HandDetection, TrackState

# A hand with fewer images is not predicted, because its motion is unknown and it may be a false detection.
_IMAGES_TO_PREDICT = 3
# Longest extrapolation of the position at which a hand is searched, at its last velocity [s].
_LONGEST_STEP_S = 0.1
# Weight of the newest image in the running means of the support (score times probability of the side) and of the velocity.
_SUPPORT_RATE, _VELOCITY_RATE = 0.2, 0.5
# A change of the motion from image to image is not noise if it is larger than this share of the palm length. Then the velocity
# follows the newest image at once.
_CLEAR_CHANGE = 0.05
# A second hand of the same side replaces the first hand after this number of images, if its support is larger by this margin.
_IMAGES_TO_TAKE_OVER, _TAKE_OVER_MARGIN = 5, 0.15


@dataclass(frozen=True)
class _Track:
    detection: HandDetection  # last detection, extrapolated while the hand is not detected; with its id
    seen: HandDetection
    seen_s: float
    images: int = 1  # number of images with a detection
    velocity_px: tuple[float, float] = (0.0, 0.0)  # per second
    support: float = 0.0
    is_reported: bool = False
    is_seen: bool = True


class Tracker:
    """Gives every hand an id. The id stays while the hand is followed, and is never used again."""

    def __init__(self, max_hands: int = 8, predict_s: float = 0.0, one_per_side: bool = False) -> None:
        """Starts without hands.

        Args:
            max_hands: maximum number of reported hands. Detected hands have priority over predicted hands.
            predict_s: maximum time for which a hand is reported as predicted; 0 for no prediction.
            one_per_side: True to report at most one left and one right hand. The first hand of a side is reported until it is
                lost, or until another hand has clearly more support. The other hand is followed but not reported.
        """
        self._max_hands, self._one_per_side = max_hands, one_per_side
        self.predict_s = predict_s
        self._given = 0
        self._tracks: list[_Track] = []

    @property
    def following(self) -> Sequence[HandDetection]:
        """Hands to search in the next image, with their ids: detected hands first, then predicted hands."""
        return tuple(track.detection for track in sorted(self._tracks, key=lambda track: not track.is_seen))

    def following_at(self, stamp_s: float) -> Sequence[HandDetection]:
        """`following`, with each hand at its expected position at the time `stamp_s`."""
        return tuple(
            self._moved_on(track, stamp_s, _LONGEST_STEP_S).detection if track.is_seen else track.detection
            for track in sorted(self._tracks, key=lambda track: not track.is_seen)
        )

    @property
    def missing(self) -> Sequence[HandDetection]:
        """Predicted hands. Such a hand may be found again anywhere near its predicted position."""
        return tuple(track.detection for track in self._tracks if not track.is_seen)

    def update(self, detections: Sequence[HandDetection], stamp_s: float = 0.0) -> list[tuple[HandDetection, TrackState]]:
        """The hands of the next image with their ids and states. Hands of the last image that are not in the result are lost.

        Args:
            detections: hands of the image. Hands of `following` that were found have their ids.
            stamp_s: stamp of the image. If the stamp does not increase, no hand is predicted.
        """
        known = {track.detection.track_id: track for track in self._tracks}
        missed = [name for name in known if name not in {detection.track_id for detection in detections}]
        predicted = {
            name: self._moved_on(known[name], stamp_s, self.predict_s)
            for name in missed
            if self._is_predictable(known[name], stamp_s)
        }
        seen: list[_Track] = []
        for detection in detections:
            last = known.get(detection.track_id)
            if not detection.track_id and (expected := _expected(detection, predicted.values())):
                name = expected.detection.track_id
                if expected.seen.handedness != detection.handedness:
                    predicted[name] = _contradicted(expected, detection)
                    continue
                last = known[name]
                del predicted[name]
            seen.append(self._seen(detection, last, stamp_s))
        room = max(self._max_hands - len(seen), 0)
        reported = self._reported([*seen, *list(predicted.values())[:room]])
        named = {track.detection.track_id for track in reported}
        waiting = [track for track in seen if track.detection.track_id not in named and not track.is_reported]
        self._tracks = [*(replace(track, is_reported=True) for track in reported), *waiting]
        return [(track.detection, _state(track)) for track in reported]

    def drop(self, track_id: str) -> None:
        """Stops to follow a hand."""
        self._tracks = [track for track in self._tracks if track.detection.track_id != track_id]

    def forget(self) -> None:
        """Stops to follow all hands. The next hands get new ids."""
        self._tracks = []

    def _moved_on(self, track: _Track, stamp_s: float, longest_s: float) -> _Track:
        shift = np.multiply(track.velocity_px, np.clip(stamp_s - track.seen_s, 0, longest_s)).astype(np.float32)
        return replace(track, detection=replace(track.detection, keypoints_px=track.seen.keypoints_px + shift), is_seen=False)

    def _seen(self, detection: HandDetection, last: _Track | None, stamp_s: float) -> _Track:
        support = detection.score * detection.handedness_prob
        if last is None:
            if not detection.track_id:
                self._given += 1
                detection = replace(detection, track_id=str(self._given))
            return _Track(detection, detection, stamp_s, support=support)
        detection, dt_s = replace(detection, track_id=last.detection.track_id), stamp_s - last.seen_s
        velocity = np.zeros(2)
        if dt_s > 0:
            newest = (palm_centre(detection) - palm_centre(last.seen)) / dt_s
            change = newest - last.velocity_px
            is_clear = np.linalg.norm(change) * dt_s > _CLEAR_CHANGE * palm_length(detection.keypoints_px)
            # The first velocity is the difference of the first two images.
            rate = 1.0 if is_clear else max(_VELOCITY_RATE, 1 / last.images)
            velocity = np.add(last.velocity_px, rate * change)
        return replace(
            last,
            detection=detection,
            seen=detection,
            seen_s=stamp_s,
            images=last.images + 1,
            velocity_px=(float(velocity[0]), float(velocity[1])),
            support=last.support + _SUPPORT_RATE * (support - last.support),
            is_seen=True,
        )

    def _is_predictable(self, track: _Track, stamp_s: float) -> bool:
        return track.is_reported and track.images >= _IMAGES_TO_PREDICT and 0 < stamp_s - track.seen_s <= self.predict_s

    def _reported(self, tracks: Sequence[_Track]) -> list[_Track]:
        if not self._one_per_side:
            return list(tracks)
        holders = [_holder([track for track in tracks if track.seen.handedness == side]) for side in ("left", "right")]
        return [track for track in tracks if any(track is holder for holder in holders)]


def _expected(detection: HandDetection, missing: Iterable[_Track]) -> _Track | None:
    """The nearest predicted hand that may be this detection, or None. A hand of the same side has priority."""
    candidates = [track for track in missing if is_near(detection, track.detection)]

    def unlikeness(track: _Track) -> tuple[bool, float]:
        distance = float(np.linalg.norm(palm_centre(detection) - palm_centre(track.detection)))
        return track.seen.handedness != detection.handedness, distance

    return min(candidates, key=unlikeness, default=None)


def _contradicted(track: _Track, found: HandDetection) -> _Track:
    """The predicted hand at the position of a detection with the other side. The probability of its side decreases."""
    known = track.detection
    probability = (1 - SIDE_RATE) * known.handedness_prob + SIDE_RATE * (1 - found.handedness_prob)
    # The crop of `known` is kept, because it determines the side that the detector searches.
    return replace(track, detection=replace(known, keypoints_px=found.keypoints_px, handedness_prob=probability))


def _holder(tracks: Sequence[_Track]) -> _Track | None:
    """The hand to report for one side; None if there is none."""
    if not tracks:
        return None
    holder = max(tracks, key=lambda track: (track.is_reported, track.images if track.is_reported else 0, track.support))
    rivals = [track for track in tracks if track.is_seen and track.images >= _IMAGES_TO_TAKE_OVER]
    best = max(rivals, key=lambda track: track.support, default=holder)
    return best if best.support > holder.support + _TAKE_OVER_MARGIN else holder


def _state(track: _Track) -> TrackState:
    if not track.is_seen:
        return "predicted"
    return "tracked" if track.is_reported else "new"
