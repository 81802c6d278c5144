"""The search of a stream: the one place that remembers where was looked, what was lost and what waits for a second image."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hand_mesh_ros.core.config import DetectorConfig
from hand_mesh_ros.core.detect.plan import Plan
from hand_mesh_ros.core.detect.tiles import Coarse, Tile, coarse, interest, layout
from hand_mesh_ros.core.types import Frame, HandDetection

# While a hand is followed, new ones are looked for in every so many images only: a second hand may appear 0.2 s later. Half-way
# between, one part of the image is searched.
_SEARCH_EVERY = 6
# How long a hand that was lost is looked for where it was [images], and in a part so many times as large as it.
_REMEMBERED, _AROUND = 15, 2.5
# The whole image shows hands well down to one part in so many of its longer side.
_SMALL = 4
# Time of a palm call or a landmark look on a processor [s].
_STEP_S = 0.010
# Palms looked at per part of the image: what looks like a palm and is none costs a look.
_MOST_LOOKS = 2
_WAITING = "waiting "


class Search:
    """Plans the search of every image and keeps back what one image alone does not prove."""

    def __init__(self, config: DetectorConfig) -> None:
        """Begins with no past."""
        self._config = config
        self.reset()

    def reconfigure(self, config: DetectorConfig) -> None:
        """Goes on with other settings."""
        if config.min_hand_px != self._config.min_hand_px:
            self.reset()
        self._config = config

    def reset(self) -> None:
        """Forgets the past: a new stream begins."""
        self._images = 0
        self._tiles: list[Tile] = []
        self._seen_at = np.zeros(0)
        self._before: Coarse | None = None
        self._unfinished: Tile | None = None
        self._waiting: list[HandDetection] = []
        self._lost: list[tuple[int, HandDetection]] = []

    def plan(self, frame: Frame, following: Sequence[HandDetection], missing: Sequence[HandDetection]) -> Plan:
        """What to search in the next image.

        Args:
            frame: the image.
            following: hands that are followed.
            missing: those of them that the last image did not show.
        """
        index, self._images = self._images, self._images + 1
        self._lost = [(when, hand) for when, hand in self._lost if index - when <= _REMEMBERED]
        self._lost += [(index, hand) for hand in missing]
        if following and not missing:
            return self._beside(frame, following, index)
        first = [self._unfinished] if self._unfinished else []
        first += [_around(hand, frame.rgb) for hand in missing]
        budget_s = 1e-3 * self._config.search_budget_ms
        # The whole image in every image: a hand of usual size is found in the first image that shows it.
        first.append(_whole(frame.rgb))
        return Plan([*first, *self._due(frame, index)], budget_s, _STEP_S, _MOST_LOOKS)

    def _beside(self, frame: Frame, following: Sequence[HandDetection], index: int) -> Plan:
        """While hands are followed, no more time is spent than the whole image takes."""
        if index % _SEARCH_EVERY == _SEARCH_EVERY // 2 and (parts := self._due(frame, index)):
            return Plan(parts[:1], 0.0, most_looks=1)
        largest = max(hand.box_px[2:].max() for hand in following)
        small = largest * _SMALL < max(frame.rgb.shape[:2])
        is_due = index % _SEARCH_EVERY == 0
        # One that is followed may be lost in this very image.
        place = _around(following[0], frame.rgb) if small and not is_due else _whole(frame.rgb)
        return Plan([place], 0.0, most_looks=_MOST_LOOKS, is_due=is_due)

    def _due(self, frame: Frame, index: int) -> list[Tile]:
        """Parts of the image, those first that promise most and were not looked at for long."""
        height, width = frame.rgb.shape[:2]
        if not self._tiles or (self._tiles[0].width, self._tiles[0].height) != (width, height):
            self._tiles, self._before = layout(width, height, self._config.min_hand_px), None
            self._seen_at = np.full(len(self._tiles), index - 1.0)
        image = coarse(frame.rgb, self._config.min_hand_px)
        promise = interest(self._tiles, image, self._before)
        self._before = image
        for _, hand in self._lost:
            middle = hand.keypoints_px.mean(0)
            promise[[tile.contains(middle) for tile in self._tiles]] = 1.0
        due = promise * (index - self._seen_at) ** 2
        return [self._tiles[chosen] for chosen in np.argsort(-due, kind="stable") if due[chosen] > 0 and chosen > 0]

    @property
    def waiting(self) -> list[HandDetection]:
        """Hands of the last image that are reported if the next one shows them too: to be followed as if they were."""
        return self._waiting

    def settle(self, plan: Plan, hands: Sequence[HandDetection]) -> list[HandDetection]:
        """The hands that are to be reported: all but new ones that only a part of a single image shows."""
        self._unfinished = plan.unfinished
        for tile in plan.visited:
            self._seen_at[[tile == other for other in self._tiles]] = self._images - 1
        new = [hand for hand in hands if any(hand is other for other in plan.doubtful)]
        self._waiting = [replace(hand, track_id=f"{_WAITING}{number}") for number, hand in enumerate(new)]
        return [
            replace(hand, track_id="") if hand.track_id.startswith(_WAITING) else hand
            for hand in hands
            if not any(hand is other for other in new)
        ]


def _whole(rgb: np.ndarray) -> Tile:
    return Tile(0, 0, rgb.shape[1], rgb.shape[0], is_whole=True)


def _around(hand: HandDetection, rgb: np.ndarray) -> Tile:
    """A square part of the image around where a hand should be."""
    height, width = rgb.shape[:2]
    side = int(np.clip(_AROUND * hand.box_px[2:].max(), 16, max(width, height)))
    size = np.minimum([side, side], [width, height])
    corner = np.clip(hand.keypoints_px.mean(0) - 0.5 * size, 0, np.array([width, height]) - size).astype(int)
    return Tile(int(corner[0]), int(corner[1]), int(size[0]), int(size[1]))
