"""Plan of the search in one image: parts of the image, their order, and the time budget. The detector adds its results."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hand_mesh_ros.core.detect.tiles import Tile, coarse, interest, layout
from hand_mesh_ros.core.types import HandDetection

# Maximum number of parts that are searched in a single image: the most interesting ones. An image of 33 million pixels has
# thousands of parts.
_MOST_TILES = 150


@dataclass
class Plan:
    """The search of one image."""

    tiles: Sequence[Tile]  # in search order
    budget_s: float = np.inf  # time budget of the image, including followed hands
    step_s: float = 0.0  # approximate time of the next tile or look
    most_looks: int = 0  # maximum number of palms to examine per tile; 0 for twice `max_hands`
    is_due: bool = True  # False: search only if no hand is followed any more
    is_alone: bool = False  # True: no other image will confirm the new hands
    visited: list[Tile] = field(default_factory=list)
    unfinished: Tile | None = None  # tile with palms that were not examined
    doubtful: list[HandDetection] = field(default_factory=list)  # hands that were found only in a part of the image

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
    """Plan for a single image (H, W, 3): the whole image, then all parts with content, from large to small."""
    tiles = layout(rgb.shape[1], rgb.shape[0], min_hand_px)
    promise = interest(tiles, coarse(rgb, min_hand_px))
    chosen = [index for index in np.argsort(-promise, kind="stable")[:_MOST_TILES] if promise[index] > 0]
    # Large parts come first. Hands that are found there are not searched again in smaller parts.
    chosen.sort(key=lambda index: (-tiles[index].width * tiles[index].height, -promise[index]))
    return Plan([tiles[index] for index in chosen], is_alone=True)
