"""Search for new hands. A `Plan` has the parts of one image, their order, and the time budget. The detector adds its results.

In a stream, `Search` stores the searched parts, the lost hands, and the hands that need a second image.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias, TypeVar

import numpy as np

from hand_mesh_ros.core.config import DetectorConfig
from hand_mesh_ros.core.detect.tiles import Coarse, Tile, coarse, has_moved, interest, layout, turned_parts
from hand_mesh_ros.core.hand.model import palm_length
from hand_mesh_ros.core.types import Frame, HandDetection

# While a hand is followed, only every twelfth image is searched as a whole. So at 30 Hz a second hand is found up to 0.4 s later.
# Halfway between, one part of the image is searched.
_SEARCH_EVERY = 12
# After another hand was lost, a search starts in every third image, for this number of images. The hand may be behind the
# followed hand, or it may come back into the image.
_SEARCH_AFTER_LOSS, _AFTER_LOSS = 3, 45
# Without motion and without a followed hand, the whole image is searched in every third image.
_WHOLE_EVERY = 3
# Number of images in which a lost hand is searched at its last position, and size of the searched part relative to the hand.
_REMEMBERED, _AROUND = 15, 2.5
# Largest ratio of sizes of the same hand in two successive images.
_SIZE_FACTOR = 1.5
# In the whole image, hands are found if they are larger than the longer side divided by this value.
_SMALL = 4
# A large image has more than this number of parts. Its search may take this factor more time, enough for a third part.
_MANY_PARTS, _MORE_TIME = 150, 1.4
# Time of one run of the palm model or the landmark model on a CPU [s].
_STEP_S = 0.010
# Maximum number of palms to examine per part of the image, because each false palm takes the time of a look.
_MOST_LOOKS = 2
# After its first search, a part comes again as a close-up, as if it were not searched, but with this share of its interest.
_CLOSE_UP_INTEREST = 0.4
_WAITING = "waiting "
# Maximum number of parts that are searched in a single image: the most interesting ones. An image of 33 million pixels has
# thousands of parts.
_MOST_TILES = 150
Result = TypeVar("Result")
# Several looks of the landmark model. The caller decides when the next look is taken.
Looks: TypeAlias = Generator[None, None, Result]
# A search whose looks are spread over several images. Each look is at the image in which the search started. The last look at a
# palm may give a hand.
LaterHands: TypeAlias = Generator[HandDetection | None, None, None]


@dataclass
class Plan:
    """The search of one image."""

    tiles: Sequence[Tile]  # in search order
    budget_s: float = np.inf  # time budget of the image, including followed hands
    step_s: float = 0.0  # approximate time of the next tile or look
    most_looks: int = 0  # maximum number of palms to examine per tile; 0 for twice `max_hands`
    is_due: bool = True  # False: search only if no hand is followed any more
    is_spread: bool = False  # True: while hands are followed, each later image takes one look of a search
    is_alone: bool = False  # True: no other image will confirm the new hands
    visited: list[Tile] = field(default_factory=list)
    unfinished: Tile | None = None  # tile with palms that were not examined
    searches: list[LaterHands] = field(default_factory=list)  # unfinished searches of this image and of earlier images
    doubtful: list[HandDetection] = field(default_factory=list)  # hands that need a second image

    def has_time(self, spent_s: float) -> bool:
        """True if there is time for another step. The first tile is always searched."""
        return not self.visited or spent_s + self.step_s <= self.budget_s

    def note(self, hand: HandDetection, tile: Tile) -> None:
        """Stores a hand that was found in a tile."""
        if not tile.is_whole:
            self.doubtful.append(hand)


def one_look(rgb: np.ndarray) -> Plan:
    """For an image (H, W, 3) alone, in a short time: the whole image without its parts."""
    return Plan([Tile(0, 0, rgb.shape[1], rgb.shape[0], is_whole=True)], most_looks=2)


def whole_plan(rgb: np.ndarray, min_hand_px: float) -> Plan:
    """Plan for a single image (H, W, 3): the whole image in all views, then all parts with content, from large to small."""
    tiles = layout(rgb.shape[1], rgb.shape[0], min_hand_px) + turned_parts(rgb.shape[1], rgb.shape[0])
    promise, _ = interest(tiles, coarse(rgb, min_hand_px))
    chosen = [index for index in np.argsort(-promise, kind="stable")[:_MOST_TILES] if promise[index] > 0]
    # Large parts come first. Hands that are found there are not searched again in smaller parts.
    chosen.sort(key=lambda index: (-tiles[index].width * tiles[index].height, -promise[index]))
    return Plan([tiles[index] for index in chosen], is_alone=True)


class Search:
    """Plans the search of every image. Holds back uncertain hands until a second image confirms them."""

    def __init__(self, config: DetectorConfig) -> None:
        """Starts without earlier images."""
        self._config = config
        self.reset()

    def reconfigure(self, config: DetectorConfig) -> None:
        """Uses other settings from now on."""
        if config.min_hand_px != self._config.min_hand_px:
            self.reset()
        self._config = config

    def reset(self) -> None:
        """Forgets all earlier images, because a new stream begins."""
        self._images = 0
        self._tiles: list[Tile] = []
        self._seen_at, self._visits = np.zeros(0), np.zeros(0, int)
        self._close_ups: dict[Tile, Tile] = {}  # close-ups that the next image may search, with their parts
        self._before: Coarse | None = None
        self._has_moved = True
        self._unfinished: Tile | None = None
        self._searches: list[LaterHands] = []
        self._waiting: list[HandDetection] = []
        self._lost: list[tuple[int, HandDetection]] = []
        self._last_lost: tuple[int, HandDetection] | None = None
        self._followed: Sequence[HandDetection] = []

    def plan(self, frame: Frame, following: Sequence[HandDetection], missing: Sequence[HandDetection]) -> Plan:
        """The plan for the next image.

        Args:
            frame: the image.
            following: the followed hands.
            missing: followed hands that were not found in the last image.
        """
        index, self._images = self._images, self._images + 1
        self._followed = following
        self._lost = [(when, hand) for when, hand in self._lost if index - when <= _REMEMBERED]
        self._lost += [(index, hand) for hand in missing]
        if missing:
            self._last_lost = index, missing[0]
        if following and not missing:
            return self._beside(frame, following, index)
        first = [self._unfinished] if self._unfinished else []
        first += [_around(hand, frame.rgb) for hand in missing]
        parts = self._due(frame, index)
        budget_s = 1e-3 * self._config.search_budget_ms * (_MORE_TIME if len(self._tiles) > _MANY_PARTS else 1.0)
        # After motion the whole image is searched, so that a hand of usual size is found in its first image. In a still picture,
        # this time is for the parts.
        if missing or self._has_moved or index - self._seen_at[0] >= _WHOLE_EVERY:
            first.append(_whole(frame.rgb))
        return Plan([*first, *parts], budget_s, _STEP_S, _MOST_LOOKS)

    def _beside(self, frame: Frame, following: Sequence[HandDetection], index: int) -> Plan:
        """Plan while hands are followed. The search takes at most the time of one run of the palm model."""
        left = self._searches
        if self._last_lost and any(hand.track_id == self._last_lost[1].track_id for hand in following):
            self._last_lost = None  # it is back
        if self._last_lost and index - self._last_lost[0] <= _AFTER_LOSS:
            return self._after_loss(frame, index, *self._last_lost)
        if index % _SEARCH_EVERY == _SEARCH_EVERY // 2 and (parts := self._due(frame, index)):
            return Plan(parts[:1], 0.0, most_looks=1, is_spread=True, searches=left)
        # This image is not compared with the next one, so the next search must not compare with an older image.
        self._before = None
        is_due = index % _SEARCH_EVERY == 0
        # A followed hand may be lost in this image.
        place = _around(following[0], frame.rgb) if _are_small(following, frame.rgb) and not is_due else _whole(frame.rgb)
        return Plan([place], 0.0, most_looks=_MOST_LOOKS, is_due=is_due, is_spread=True, searches=left)

    def _after_loss(self, frame: Frame, index: int, lost_at: int, lost: HandDetection) -> Plan:
        """Plan while hands are followed, after another hand was lost. A small hand is also searched where it was lost."""
        self._before = None
        number, left_over = divmod(index - lost_at, _SEARCH_AFTER_LOSS)
        place = _around(lost, frame.rgb) if number % 2 and _are_small([lost], frame.rgb) else _whole(frame.rgb)
        is_due = left_over == 0 and not self._searches
        return Plan([place], 0.0, most_looks=_MOST_LOOKS, is_due=is_due, is_spread=True, searches=self._searches)

    def _due(self, frame: Frame, index: int) -> list[Tile]:
        """Parts of the image. Parts with high interest that were not searched for a long time come first."""
        height, width = frame.rgb.shape[:2]
        if not self._tiles or (self._tiles[0].width, self._tiles[0].height) != (width, height):
            self._tiles, self._before = layout(width, height, self._config.min_hand_px), None
            self._seen_at, self._visits = np.full(len(self._tiles), index - 1.0), np.zeros(len(self._tiles), int)
        self._close_ups = {cut: tile for cut, tile in self._close_ups.items() if cut == self._unfinished}
        image = coarse(frame.rgb, self._config.min_hand_px)
        self._has_moved = has_moved(image, self._before)
        promise, places = interest(self._tiles, image, self._before)
        self._before = image
        for _, hand in self._lost:
            middle = hand.keypoints_px.mean(0)
            promise[[tile.contains(middle) for tile in self._tiles]] = 1.0
        due = promise * np.where(self._visits == 1, _CLOSE_UP_INTEREST, 1.0) * (index - self._seen_at) ** 3
        chosen = [number for number in np.argsort(-due, kind="stable").tolist() if due[number] > 0 and number > 0]
        return [self._next_cut(number, places[number]) for number in chosen]

    def _next_cut(self, number: int, place_px: np.ndarray) -> Tile:
        """A part, or a close-up of its most interesting place (2,). The two alternate."""
        tile = self._tiles[number]
        if not (tile.is_square and self._visits[number] % 2):
            return tile
        close_up = tile.close_up(place_px)
        self._close_ups[close_up] = tile
        return close_up

    @property
    def waiting(self) -> list[HandDetection]:
        """Uncertain hands of the last image. The detector follows them. They are reported if the next image confirms them."""
        return self._waiting

    def settle(self, plan: Plan, hands: Sequence[HandDetection]) -> list[HandDetection]:
        """The hands to report: all hands except new hands that need a second image.

        A hand in place of a followed hand that was lost in this image is not new.
        """
        self._unfinished, self._searches = plan.unfinished, plan.searches
        for tile in plan.visited:
            is_seen = [self._close_ups.get(tile, tile) == other for other in self._tiles]
            self._visits[is_seen] += 1
            # The close-up of a part follows soon after its first search.
            if not tile.is_square or self._visits[is_seen].max(initial=0) != 1:
                self._seen_at[is_seen] = self._images - 1
        kept = {hand.track_id for hand in hands}
        lost = [hand for hand in self._followed if hand.track_id not in kept]
        new = [hand for hand in hands if any(hand is other for other in plan.doubtful) and not _takes_place_of(hand, lost)]
        self._waiting = [replace(hand, track_id=f"{_WAITING}{number}") for number, hand in enumerate(new)]
        return [
            replace(hand, track_id="") if hand.track_id.startswith(_WAITING) else hand
            for hand in hands
            if not any(hand is other for other in new)
        ]


def _takes_place_of(hand: HandDetection, lost: Sequence[HandDetection]) -> bool:
    """True if a hand is as large as a lost hand, and in the part of the image where the lost hand is searched."""
    size, middle = palm_length(hand.keypoints_px), hand.keypoints_px.mean(0)
    return any(
        max(size, other_size) < _SIZE_FACTOR * min(size, other_size)
        and np.abs(middle - other.keypoints_px.mean(0)).max() < 0.5 * _AROUND * other.box_px[2:].max()
        for other in lost
        if (other_size := palm_length(other.keypoints_px)) > 0
    )


def _whole(rgb: np.ndarray) -> Tile:
    return Tile(0, 0, rgb.shape[1], rgb.shape[0], is_whole=True)


def _are_small(hands: Sequence[HandDetection], rgb: np.ndarray) -> bool:
    """True if the palm model may miss all these hands in the whole image."""
    return bool(max(hand.box_px[2:].max() for hand in hands) * _SMALL < max(rgb.shape[:2]))


def _around(hand: HandDetection, rgb: np.ndarray) -> Tile:
    """A square part of the image around the expected position of a hand."""
    height, width = rgb.shape[:2]
    side = int(np.clip(_AROUND * hand.box_px[2:].max(), 16, max(width, height)))
    size = np.minimum([side, side], [width, height])
    corner = np.clip(hand.keypoints_px.mean(0) - 0.5 * size, 0, np.array([width, height]) - size).astype(int)
    return Tile(int(corner[0]), int(corner[1]), int(size[0]), int(size[1]))
