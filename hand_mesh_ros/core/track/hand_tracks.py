"""State of the hands in a stream of images: ids and filters."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from hand_mesh_ros.core.config import TrackConfig
from hand_mesh_ros.core.track.association import duplicates
from hand_mesh_ros.core.track.shape import Shape
from hand_mesh_ros.core.track.smooth import HandSmoother
from hand_mesh_ros.core.track.tracker import Tracker
from hand_mesh_ros.core.types import Frame, HandDetection, HandEstimate, TrackState


class HandTracks:
    """The tracks of one stream of images."""

    def __init__(self, config: TrackConfig) -> None:
        """Starts without tracks."""
        self._config = config
        self._tracker = Tracker(config.max_hands, 1e-3 * config.predict_ms, config.one_per_side)
        self._smoothers: dict[str, HandSmoother] = {}  # filters of the hands of the last image, by id

    def reconfigure(self, config: TrackConfig) -> None:
        """Uses other `live` settings from now on. The tracks stay."""
        self._config = config
        self._tracker.predict_s = 1e-3 * config.predict_ms
        for smoother in self._smoothers.values():
            smoother.reconfigure(config)

    def forget(self) -> None:
        """Drops all tracks. Ids are never used again."""
        self._tracker.forget()
        self._smoothers = {}

    def following_at(self, stamp_s: float) -> Sequence[HandDetection]:
        """Hands to search in an image with this stamp, with their ids, at their expected positions."""
        return self._tracker.following_at(stamp_s)

    @property
    def missing(self) -> Sequence[HandDetection]:
        """Tracked hands that were not detected in the last image."""
        return self._tracker.missing

    def update(self, detections: Sequence[HandDetection], stamp_s: float) -> list[tuple[HandDetection, TrackState]]:
        """The hands of the next image with their ids and states, like `Tracker.update`."""
        return self._tracker.update(detections, stamp_s)

    def smoothed(
        self,
        hands: Sequence[HandDetection],
        seen: Sequence[HandEstimate],
        frame: Frame,
        by_rays: Mapping[str, Shape] = MappingProxyType({}),
    ) -> list[HandEstimate]:
        """Estimates in the order of `hands`. Detected hands are smoothed, other hands are predicted, and duplicates are removed.

        Args:
            hands: result of `update`.
            seen: estimates of the detected hands.
            frame: the image of the hands.
            by_rays: hands without the depth of the image, by id, for the estimates that depth had an influence on.
        """
        for track_id in duplicates(seen):
            self._tracker.drop(track_id)
            hands = [hand for hand in hands if hand.track_id != track_id]
        # Other hands are lost, so their filters are removed.
        self._smoothers = {hand.track_id: self._smoothers.get(hand.track_id) or HandSmoother(self._config) for hand in hands}
        estimates = {estimate.track_id: estimate for estimate in seen}
        answer = []
        for hand in hands:
            smoother, estimate = self._smoothers[hand.track_id], estimates.get(hand.track_id)
            if estimate is None:
                answer.append(smoother.predict(hand, frame))
            else:
                answer.append(smoother.step(estimate, frame, by_rays.get(hand.track_id)))
        return answer
