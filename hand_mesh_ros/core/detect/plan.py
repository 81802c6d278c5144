"""What the search of one image is to do: which parts, in which order, for how long. The detector notes in it what it did."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hand_mesh_ros.core.detect.tiles import Tile, coarse, interest, layout
from hand_mesh_ros.core.types import HandDetection

# An image alone is searched in at most this many parts, the most promising ones: an image of 33 million pixels has thousands.
_MOST_TILES = 150


@dataclass
class Plan:
    """The search of one image."""

    tiles: Sequence[Tile]  # in the order in which they are to be searched
    budget_s: float = np.inf  # of the image, hands that are followed included
    step_s: float = 0.0  # what the next tile or look takes, about
    most_looks: int = 0  # palms looked at per tile; 0 for twice as many as hands wanted
    is_due: bool = True  # False: only if no hand is followed any more
    is_alone: bool = False  # no other image will confirm what is found
    visited: list[Tile] = field(default_factory=list)
    unfinished: Tile | None = None  # its palms are still to be looked at
    doubtful: list[HandDetection] = field(default_factory=list)  # found in a part of the image only

    def has_time(self, spent_s: float) -> bool:
        """Whether another step fits; the first tile always does."""
        return not self.visited or spent_s + self.step_s <= self.budget_s

    def note(self, hand: HandDetection, tile: Tile) -> None:
        """That a hand was found in a tile."""
        if not tile.is_whole:
            self.doubtful.append(hand)


def whole_plan(rgb: np.ndarray, min_hand_px: float) -> Plan:
    """For an image (H, W, 3) alone: the whole of it, then all parts that show something, from large to small."""
    tiles = layout(rgb.shape[1], rgb.shape[0], min_hand_px)
    promise = interest(tiles, coarse(rgb, min_hand_px))
    chosen = [index for index in np.argsort(-promise, kind="stable")[:_MOST_TILES] if promise[index] > 0]
    # Large ones first: what they show well is not looked for in its parts.
    chosen.sort(key=lambda index: (-tiles[index].width * tiles[index].height, -promise[index]))
    return Plan([tiles[index] for index in chosen], is_alone=True)
