"""Divides an image into overlapping squares, in which the palm model finds small hands. Computes the interest of each square.

The whole image is also searched in other views, in which the palm model finds hands that it misses in the plain view.

The palm model scales its input to 192 x 192 px. A hand must have at least a quarter of this size. So there are squares of several
sizes. Each size is twice the size before, up to the whole image. The interest is computed from a coarse copy of the image. It is
high for regions of the size of a hand that differ from their surroundings in skin colour, brightness, edges or motion.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from hand_mesh_ros.core.detect.palm_input import OTHER_VIEWS, PART_VIEWS, PLAIN, InputView

# Size of a square relative to the smallest hand to find in it, and ratio of successive sizes. Larger hands are found in larger
# squares.
_SIDE_PER_HAND, _GROWTH = 3.4, 2.0
# Step between squares relative to their side. A hand at the border of one square is well inside the next square.
_STEP = 0.62
# Squares that are larger than this share of the longer side of the image are not used: they are almost the whole image.
_ALMOST_WHOLE = 0.8
# Side of the squares that a single image shows in other views, relative to its longer side.
_TURNED_SIDE = 0.62
# Cells of the coarse image per smallest hand.
_CELLS_PER_HAND = 6
# Centre of the skin colours in YCrCb (Chai and Ngan 1999: Cr 133 to 173, Cb 77 to 127), and their standard deviation.
_SKIN_CR_CB, _SKIN_STD = (153.0, 102.0), 15.0
# Weights of brightness, redness and motion relative to skin [per grey level].
_BRIGHTNESS, _REDNESS, _MOTION = 0.3 / 64, 0.5 / 64, 0.5 / 16
# Margin of a square relative to its side. The next square shows the margin better.
_MARGIN = 0.2
# Smallest interest of a square with any content, relative to the most interesting square.
_FLOOR = 0.08
# A cell moved if its brightness changed by more than the first value [grey levels]. Sensor noise changes the brightness by less.
# An image moved if the share of such cells is above the second value.
_VISIBLE_MOTION, _LEAST_MOVED = 20.0, 0.003
# Side of a close-up relative to the side of its square. A close-up shows small hands that the palm model misses in the square.
_CLOSE_UP = 0.8
# Interest of another view.
_VIEW_INTEREST = 0.2


@dataclass(frozen=True)
class Tile:
    """A part of the image."""

    left: int
    top: int
    width: int
    height: int
    is_whole: bool = False  # the whole image in the plain view
    view: InputView = PLAIN

    @property
    def is_square(self) -> bool:
        """True for a part of the image in the plain view."""
        return not self.is_whole and self.view == PLAIN

    def cut(self, rgb: np.ndarray) -> np.ndarray:
        """The part as a view, (height, width, 3)."""
        return rgb[self.top : self.top + self.height, self.left : self.left + self.width]

    def close_up(self, middle_px: np.ndarray) -> "Tile":
        """A smaller square around a point (2,) of the tile, inside the tile."""
        whole, corner = np.array([self.width, self.height]), np.array([self.left, self.top])
        size = np.maximum(np.rint(_CLOSE_UP * whole), 1).astype(int)
        low = np.clip(np.rint(middle_px - 0.5 * size), corner, corner + whole - size).astype(int)
        return Tile(*low.tolist(), *size.tolist())

    def contains(self, point_px: np.ndarray) -> bool:
        """True if a point (2,) is in the tile and not in its margin."""
        margin = 0.0 if self.is_whole else _MARGIN * min(self.width, self.height)
        low, size = np.array([self.left, self.top]), np.array([self.width, self.height])
        return bool(np.all(point_px >= low + margin) and np.all(point_px <= low + size - margin))


@dataclass(frozen=True)
class Coarse:
    """A small copy of an image, to find motion and regions that differ from their surroundings."""

    channels: np.ndarray  # (h, w, 3) float32 brightness, Cr, Cb
    step: int  # image pixels per cell


def layout(width: int, height: int, min_hand_px: float) -> list[Tile]:
    """The whole image in all views, then squares from large to small. The squares of each size cover the image."""
    longest, side = max(width, height), _SIDE_PER_HAND * min_hand_px
    sizes = []
    while side < _ALMOST_WHOLE * longest:
        sizes.append(round(side))
        side *= _GROWTH
    tiles = [Tile(0, 0, width, height, is_whole=True), *(Tile(0, 0, width, height, view=view) for view in OTHER_VIEWS)]
    for size in reversed(sizes):
        tiles += [
            Tile(left, top, min(size, width), min(size, height)) for top in _starts(height, size) for left in _starts(width, size)
        ]
    return tiles


def turned_parts(width: int, height: int) -> list[Tile]:
    """Large squares in other views. They show hands that are too small in the other views of the whole image."""
    side = round(_TURNED_SIDE * max(width, height))
    places = [(left, top) for top in {0, max(height - side, 0)} for left in {0, max(width - side, 0)}]
    return [Tile(*place, min(side, width), min(side, height), view=view) for view in PART_VIEWS for place in places]


def _starts(length: int, size: int) -> list[int]:
    if size >= length:
        return [0]
    count = int(np.ceil((length - size) / (_STEP * size))) + 1
    return np.linspace(0, length - size, count).round().astype(int).tolist()


def coarse(rgb: np.ndarray, min_hand_px: float) -> Coarse:
    """A small copy of an image (H, W, 3) uint8. It takes single pixels, which is fast."""
    step = max(1, int(min_hand_px / _CELLS_PER_HAND))
    offset = min(step // 2, rgb.shape[0] - 1, rgb.shape[1] - 1)
    cells = np.ascontiguousarray(rgb[offset::step, offset::step])
    return Coarse(cv2.cvtColor(cells, cv2.COLOR_RGB2YCrCb).astype(np.float32), step)


def has_moved(image: Coarse, before: Coarse | None) -> bool:
    """True if a visible share of an image differs from the last image, or if there is no comparable last image."""
    if before is None or before.channels.shape != image.channels.shape:
        return True
    differs = np.abs(image.channels[..., 0] - before.channels[..., 0]) > _VISIBLE_MOTION
    return bool(differs.mean() > _LEAST_MOVED)


def interest(tiles: list[Tile], image: Coarse, before: Coarse | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Interest of each tile, and its most interesting place.

    Args:
        tiles: tiles of the image.
        image: small copy of the image.
        before: small copy of the last image with the same size, or None.

    Returns:
        Interest (T,): 0 for a single colour, 1 for the plain whole image and the best square of each size. Places (T, 2) in
        pixels, for squares only.
    """
    layers = _layers(image, before)
    values, places = np.zeros(len(tiles)), np.zeros((len(tiles), 2))
    sides = np.array([max(tile.width, tile.height) if tile.is_square else 0 for tile in tiles])
    for side in set(sides.tolist()) - {0}:
        squares = np.flatnonzero(sides == side)
        layer = _standing_out(layers, side / _SIDE_PER_HAND / image.step)
        for index in squares:
            values[index], places[index] = _most(layer, tiles[index], image.step)
        # Large squares differ less from their surroundings than small squares, so only squares of one size are comparable.
        if (most := values[squares].max()) > 1e-6:
            values[squares] = np.where(values[squares] > 1e-9, np.maximum(values[squares] / most, _FLOOR), 0.0)
    if values.any():
        values[[tile.view != PLAIN for tile in tiles]] = _VIEW_INTEREST
    return np.where([tile.is_whole for tile in tiles], 1.0, values), places


def _layers(image: Coarse, before: Coarse | None) -> np.ndarray:
    """(h, w, 5): skin, brightness, redness, edges, motion."""
    brightness, cr, cb = cv2.split(image.channels)
    unlike = ((cr - _SKIN_CR_CB[0]) ** 2 + (cb - _SKIN_CR_CB[1]) ** 2) / _SKIN_STD**2
    edges = cv2.magnitude(cv2.Sobel(brightness, -1, 1, 0), cv2.Sobel(brightness, -1, 0, 1))
    moved = np.zeros_like(brightness)
    if before is not None and before.channels.shape == image.channels.shape:
        moved = np.abs(brightness - before.channels[..., 0])
    return cv2.merge([cv2.exp(-0.5 * unlike), _BRIGHTNESS * brightness, _REDNESS * (cr - cb), edges, _MOTION * moved])


def _standing_out(layers: np.ndarray, hand_cells: float) -> np.ndarray:
    """(h, w): difference between a region of the size of a hand and its surroundings, at each position."""
    # For large hands, fewer cells are enough.
    fewer = max(1, int(hand_cells / _CELLS_PER_HAND))
    small = layers[fewer // 2 :: fewer, fewer // 2 :: fewer] if min(layers.shape[:2]) > fewer else layers
    reach = max(0.4 * hand_cells / fewer, 0.8)
    near, around = (cv2.blur(small, 2 * [2 * round(1.2 * width) + 1]) for width in (reach, 2.5 * reach))
    apart = near - around
    colour = np.maximum(apart[..., 0], 0) + np.abs(apart[..., 1]) + np.maximum(apart[..., 2], 0)
    found = (colour + np.maximum(apart[..., 4], 0)) * near[..., 3]
    return found if fewer == 1 else cv2.resize(found, layers.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def _most(values: np.ndarray, tile: Tile, step: int) -> tuple[float, tuple[float, float]]:
    """The largest of the values (h, w) in a tile without its margin, and its place in the image."""
    across, down = _MARGIN * tile.width, _MARGIN * tile.height
    left, top = int((tile.left + across) / step), int((tile.top + down) / step)
    right, bottom = int((tile.left + tile.width - across) / step), int((tile.top + tile.height - down) / step)
    part = values[top : max(bottom, top + 1), left : max(right, left + 1)]
    if not part.size:
        return 0.0, (tile.left + 0.5 * tile.width, tile.top + 0.5 * tile.height)
    _, most, _, (x, y) = cv2.minMaxLoc(part)
    return max(most, 0.0), (step * (left + x + 0.5), step * (top + y + 0.5))
