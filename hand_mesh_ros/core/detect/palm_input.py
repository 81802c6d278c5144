"""The input of the palm model: a part of an image at 192 x 192 px, as it is or in another view.

The palm model misses many hands that it finds in another view of the same image: smaller, turned, or with a stretched contrast.
An `InputView` describes such a view. A dark or flat image always gets a stretched contrast. All other images stay as they are.
"""

from dataclasses import dataclass

import cv2
import numpy as np

INPUT_PX = 192
_AVERAGED = 4
# An image is flat if its darkest and brightest pixels differ by less than the second value [grey levels]. Below the first value,
# the image has a single colour. One percent of the pixels at either end does not count.
_SINGLE_COLOUR, _FLAT, _IGNORED = 4, 60, 0.01
# Largest gain of the stretch, and standard deviation of the blur after it [input px], because the stretch also amplifies noise.
_MOST_GAIN, _BLUR_PX = 20.0, 1.0


@dataclass(frozen=True)
class InputView:
    """How the palm model sees a part of an image."""

    zoom: float = 1.0  # side of the input relative to the part; larger values make hands smaller in the input
    turn_deg: float = 0.0  # the image appears rotated by this angle, counterclockwise
    is_stretched: bool = False  # contrast stretch, also if the image is not flat


PLAIN = InputView()
# Searched after the plain view, in this order. They were chosen one after the other from 26 views, each for the largest share of
# rendered hands that the palm model finds in addition.
OTHER_VIEWS = (
    InputView(2.0, 90.0, is_stretched=True),
    InputView(1.5, 180.0, is_stretched=True),
    InputView(2.0, 45.0),
    InputView(1.5, 45.0, is_stretched=True),
    InputView(2.0, 180.0, is_stretched=True),
)

# Views of large parts of a single image.
PART_VIEWS = (InputView(1.3, 90.0, is_stretched=True), InputView(1.3, 180.0), InputView(1.3, is_stretched=True))


def letterbox(rgb: np.ndarray, view: InputView = PLAIN) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """The model input with the image in the centre, and the map from input pixels to image pixels, before the turn of the view.

    The plain view has black borders. The other views repeat the edge pixels, because the palm model finds more hands with them.

    Args:
        rgb: (H, W, 3) uint8.
        view: zoom, turn and contrast.

    Returns:
        (192, 192, 3) uint8, and (gain (2,), shift (2,)): image pixel = gain * input pixel + shift. For a turned view, first use
        `turned_back` on the input pixels.
    """
    size = np.array([rgb.shape[1], rgb.shape[0]])
    if rgb.shape[:2] == (1, 1):
        rgb = rgb.repeat(2, 0)  # OpenCV 4.5.4 (Ubuntu 22.04) refuses an image of one pixel
    inner = np.maximum(1, np.rint(size * (INPUT_PX / view.zoom / size.max()))).astype(int)
    corner = (INPUT_PX - inner) // 2
    # The average of all pixels of a large image takes milliseconds. Sampling alone causes aliasing. So sample, then average 4x4.
    finer = _AVERAGED * inner
    if size.max() > finer.max():
        rgb = cv2.resize(rgb, tuple(finer.tolist()), interpolation=cv2.INTER_LINEAR)
    shrinks = size.max() > inner.max()
    small = cv2.resize(rgb, tuple(inner.tolist()), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    low, high = _range(small)
    if high - low >= _SINGLE_COLOUR and (view.is_stretched or high - low < _FLAT):
        small = _stretched(small, low, high)
    (left, top), (right, bottom) = corner.tolist(), (INPUT_PX - inner - corner).tolist()
    border = cv2.BORDER_CONSTANT if view == PLAIN else cv2.BORDER_REPLICATE
    canvas = cv2.copyMakeBorder(small, top, bottom, left, right, border, value=(0, 0, 0))
    if view.turn_deg:
        canvas = cv2.warpAffine(canvas, _turn(view.turn_deg), (INPUT_PX, INPUT_PX), borderMode=cv2.BORDER_REPLICATE)
    gain = size / inner
    return canvas, (gain, gain * (0.5 - corner) - 0.5)


def turned_back(boxes: np.ndarray, keypoints: np.ndarray, view: InputView) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (N, 4) as x0, y0, x1, y1 and keypoints (N, 7, 2) of the input, as if the view were not turned.

    A box keeps its size and its sides stay parallel to the axes. Only its centre turns.
    """
    if not view.turn_deg:
        return boxes, keypoints
    back = cv2.invertAffineTransform(_turn(view.turn_deg))
    centres, half = 0.5 * (boxes[:, :2] + boxes[:, 2:]), 0.5 * (boxes[:, 2:] - boxes[:, :2])
    centres = centres @ back[:, :2].T + back[:, 2]
    return np.concatenate([centres - half, centres + half], axis=1), keypoints @ back[:, :2].T + back[:, 2]


def _turn(turn_deg: float) -> np.ndarray:
    """Rotation about the centre of the input, (2, 3)."""
    middle = 0.5 * (INPUT_PX - 1)
    return cv2.getRotationMatrix2D((middle, middle), turn_deg, 1.0)


def _range(rgb: np.ndarray) -> tuple[int, int]:
    """Brightness of the darkest and of the brightest pixels."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    share = np.cumsum(cv2.calcHist([grey], [0], None, [256], [0, 256]).ravel()) / grey.size
    return int(np.searchsorted(share, _IGNORED)), int(np.searchsorted(share, 1 - _IGNORED))


def _stretched(rgb: np.ndarray, low: int, high: int) -> np.ndarray:
    """The image with brightness `low` at 0 and `high` at 255, then blurred."""
    gain = min(255 / (high - low), _MOST_GAIN)
    table = np.clip((np.arange(256) - low) * gain, 0, 255).astype(np.uint8)
    return cv2.GaussianBlur(cv2.LUT(rgb, table), (0, 0), _BLUR_PX)
