"""All that is remembered of the hands of a stream: who they are and how they moved."""

from collections.abc import Sequence

from hand_mesh_ros.core.config import TrackConfig
from hand_mesh_ros.core.track.association import duplicates
from hand_mesh_ros.core.track.smooth import HandSmoother
from hand_mesh_ros.core.track.tracker import Tracker
from hand_mesh_ros.core.types import Frame, HandDetection, HandEstimate, TrackState


class HandTracks:
    """The tracks of one stream of images."""

    def __init__(self, config: TrackConfig) -> None:
        """Starts without tracks."""
        self._config = config
        self._tracker = Tracker(config.max_hands, 1e-3 * config.predict_ms, config.one_per_side)
        self._smoothers: dict[str, HandSmoother] = {}  # of the hands of the last image, by id

    def reconfigure(self, config: TrackConfig) -> None:
        """Uses other `live` settings; the tracks stay."""
        self._config = config
        self._tracker.predict_s = 1e-3 * config.predict_ms
        for smoother in self._smoothers.values():
            smoother.reconfigure(config)

    def forget(self) -> None:
        """Drops all tracks. Ids are never given again."""
        self._tracker.forget()
        self._smoothers = {}

    def following_at(self, stamp_s: float) -> Sequence[HandDetection]:
        """Hands to look for in an image of this stamp, with their ids, where they should be then."""
        return self._tracker.following_at(stamp_s)

    @property
    def missing(self) -> Sequence[HandDetection]:
        """Hands that the last image did not show and that may come back."""
        return self._tracker.missing

    def update(self, detections: Sequence[HandDetection], stamp_s: float) -> list[tuple[HandDetection, TrackState]]:
        """The hands of the next image with their ids and states, as `Tracker.update`."""
        return self._tracker.update(detections, stamp_s)

    def smoothed(self, hands: Sequence[HandDetection], seen: Sequence[HandEstimate], frame: Frame) -> list[HandEstimate]:
        """The answer in the order of `hands`: smoothed where a hand is seen, predicted where not, no two hands in one place.

        Args:
            hands: of `update`.
            seen: estimates of those that are seen.
            frame: their image.
        """
        for track_id in duplicates(seen):
            self._tracker.drop(track_id)
            hands = [hand for hand in hands if hand.track_id != track_id]
        # A hand that is not among these is lost, and its past with it.
        self._smoothers = {hand.track_id: self._smoothers.get(hand.track_id) or HandSmoother(self._config) for hand in hands}
        estimates = {estimate.track_id: estimate for estimate in seen}
        answer = []
        for hand in hands:
            smoother, estimate = self._smoothers[hand.track_id], estimates.get(hand.track_id)
            answer.append(smoother.predict(hand, frame) if estimate is None else smoother.step(estimate, frame))
        return answer
