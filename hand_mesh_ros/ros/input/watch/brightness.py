"""Brightness of images: 16-bit images that use their low bits become 8-bit images, and images that show nothing are named."""

import cv2
import numpy as np

# Grid of the pixels that are measured, and the width of the squares that show whether an image has structure [px].
_GRID, _SQUARE = 4, 8
# The brightness is measured in every so many images. It may fall in so many measurements until the image is stretched more.
_MEASURED_EVERY, _PATIENCE = 8, 3
# Stretched more only if the bright pixels stay below this share of the range, so that brightness at a limit does not flicker.
_LOW = 0.35
# Means of squares vary by more than this factor above the variation of pure noise.
_STRUCTURE = 2.0
_BRIGHT, _DARK = 99.0, 1.0  # percentiles
# In 8-bit images: bright pixels below the first value, dark pixels above the second, or a smaller difference than the third.
_BLACK, _WHITE, _FLAT = 20, 235, 2


class Stretch:
    """Shifts 16-bit images to 8 bits so that the bright pixels use the range. The shift changes rarely."""

    def __init__(self) -> None:
        """Starts without images. The first image sets the shift."""
        self._shift: int | None = None
        self._images = self._lower = 0

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """The image, uint16 of any shape, as uint8. Without a stretch this is the high byte. Pure noise is not stretched."""
        if self._shift is None or self._images % _MEASURED_EVERY == 0:
            self._measure(image)
        self._images += 1
        if self._shift == 8:
            return (image >> 8).astype(np.uint8)
        return np.minimum(image >> self._shift, 255).astype(np.uint8)

    def _measure(self, image: np.ndarray) -> None:
        bright = int(np.percentile(image[::_GRID, ::_GRID], _BRIGHT))
        wanted = min(max(bright.bit_length() - 8, 0), 8) if has_structure(image) else 8
        if self._shift is None or wanted > self._shift:
            self._shift, self._lower = wanted, 0
        elif wanted < self._shift and bright < _LOW * 2 ** (8 + self._shift):
            self._lower += 1
            if self._lower >= _PATIENCE:
                self._shift, self._lower = wanted, 0
        else:
            self._lower = 0


def has_structure(image: np.ndarray) -> bool:
    """Whether an image (H, W) or (H, W, C) shows more than noise that differs from pixel to pixel."""
    grey = image if image.ndim == 2 else image[..., 1]
    size = grey.shape[1] // _SQUARE, grey.shape[0] // _SQUARE
    if min(size) < 2:
        return True
    # Single hot pixels are no structure.
    grey = np.minimum(grey, np.percentile(grey[::_GRID, ::_GRID], _BRIGHT).astype(grey.dtype))
    means = cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    noise = float(np.std(grey[::_GRID, ::_GRID].astype(np.float32))) / _SQUARE
    return float(np.std(means)) > _STRUCTURE * noise


def shows_nothing(rgb: np.ndarray) -> str:
    """Returns why an image (H, W, 3) uint8 cannot show a hand, with what to do. The text is empty if the brightness is usable."""
    brightest = rgb[::_GRID, ::_GRID].max(-1)
    dark, bright = np.percentile(brightest, [_DARK, _BRIGHT])
    if bright < _BLACK:
        return (
            f"is nearly black: {_BRIGHT:.0f} % of its pixels are below {bright + 1:.0f} of 255: raise exposure, gain or light, "
            "remove what covers the lens"
        )
    if dark > _WHITE:
        return f"is nearly white: {_BRIGHT:.0f} % of its pixels are above {dark - 1:.0f} of 255: lower exposure, gain or light"
    if bright - dark <= _FLAT:
        return "is of one colour only: check the camera and its encoding"
    return ""
