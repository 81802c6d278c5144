"""Converts sensor_msgs/Image to arrays. Handles row padding and byte order.

Uses numpy and OpenCV for common encodings and cv_bridge for others. cv_bridge is only the fallback, because the cv_bridge of some
distributions cannot be imported with numpy 2.
"""

from collections.abc import Callable

import cv2
import numpy as np
from sensor_msgs.msg import Image

try:
    from cv_bridge import CvBridge, CvBridgeError
except (ImportError, AttributeError):  # AttributeError: built for another numpy version
    CvBridge = None


class ConversionError(ValueError):
    """The message is unusable. The error text contains the reason and the values."""


# encoding: (numpy type of a channel, channels in memory, conversion to rgb)
_COLOUR: dict[str, tuple[str, int, Callable[[np.ndarray], np.ndarray]]] = {
    "rgb8": ("u1", 3, np.ascontiguousarray),
    "bgr8": ("u1", 3, lambda image: cv2.cvtColor(image, cv2.COLOR_BGR2RGB)),
    "8UC3": ("u1", 3, lambda image: cv2.cvtColor(image, cv2.COLOR_BGR2RGB)),
    "rgba8": ("u1", 4, lambda image: cv2.cvtColor(image, cv2.COLOR_RGBA2RGB)),
    "bgra8": ("u1", 4, lambda image: cv2.cvtColor(image, cv2.COLOR_BGRA2RGB)),
    "mono8": ("u1", 1, lambda image: cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)),
    "8UC1": ("u1", 1, lambda image: cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)),
    "mono16": ("u2", 1, lambda image: cv2.cvtColor(_high_byte(image), cv2.COLOR_GRAY2RGB)),
    "rgb16": ("u2", 3, lambda image: _high_byte(image)),
    "bgr16": ("u2", 3, lambda image: cv2.cvtColor(_high_byte(image), cv2.COLOR_BGR2RGB)),
    # OpenCV names the second row of the pattern: BG is rggb. OpenCV 4.5.4 (Ubuntu 22.04) lacks the names by the first row.
    "bayer_rggb8": ("u1", 1, lambda image: cv2.cvtColor(image, cv2.COLOR_BayerBG2RGB)),
    "bayer_bggr8": ("u1", 1, lambda image: cv2.cvtColor(image, cv2.COLOR_BayerRG2RGB)),
    "bayer_gbrg8": ("u1", 1, lambda image: cv2.cvtColor(image, cv2.COLOR_BayerGR2RGB)),
    "bayer_grbg8": ("u1", 1, lambda image: cv2.cvtColor(image, cv2.COLOR_BayerGB2RGB)),
    "yuv422": ("u1", 2, lambda image: cv2.cvtColor(image, cv2.COLOR_YUV2RGB_UYVY)),
    "uyvy": ("u1", 2, lambda image: cv2.cvtColor(image, cv2.COLOR_YUV2RGB_UYVY)),
    "yuv422_yuy2": ("u1", 2, lambda image: cv2.cvtColor(image, cv2.COLOR_YUV2RGB_YUYV)),
    "yuyv": ("u1", 2, lambda image: cv2.cvtColor(image, cv2.COLOR_YUV2RGB_YUYV)),
}
# encoding: (numpy type, metres per unit)
_DEPTH = {"16UC1": ("u2", 0.001), "mono16": ("u2", 0.001), "32FC1": ("f4", 1.0)}


def decode_rgb(image: Image) -> np.ndarray:
    """Returns colours, (H, W, 3) uint8 in rgb order. The result is a view into the message if the layout allows a view.

    Raises:
        ConversionError: if the encoding or the sizes are invalid. The text contains the values.
    """
    if image.encoding not in _COLOUR:
        return _decode_by_cv_bridge(image)
    dtype, channels, to_rgb = _COLOUR[image.encoding]
    if image.encoding in ("yuv422", "uyvy", "yuv422_yuy2", "yuyv") and image.width % 2:
        raise ConversionError(f"{image.encoding} image has an odd width of {image.width} px")
    return to_rgb(_pixels(image, dtype, channels))


def decode_depth(image: Image) -> np.ndarray:
    """Returns depth along z, (H, W) float32 in metres. Invalid values (0, negative, NaN or infinite) become 0.

    Raises:
        ConversionError: if the encoding or the sizes are invalid. The text contains the values.
    """
    if image.encoding not in _DEPTH:
        raise ConversionError(f"depth encoding '{image.encoding}' is not one of 16UC1 (millimetres), 32FC1 (metres)")
    dtype, metres = _DEPTH[image.encoding]
    depth_m = _pixels(image, dtype, 1).astype(np.float32) * np.float32(metres)
    depth_m[~(np.isfinite(depth_m) & (depth_m > 0))] = 0
    return depth_m


def _high_byte(image: np.ndarray) -> np.ndarray:
    return (image >> 8).astype(np.uint8)


def _pixels(image: Image, dtype: str, channels: int) -> np.ndarray:
    """Returns the pixels, (H, W) or (H, W, channels), without row padding, in the byte order of this machine."""
    bytes_per_row = image.width * channels * np.dtype(dtype).itemsize
    if not (image.width and image.height):
        raise ConversionError(f"image is empty: {image.width}x{image.height} px")
    if image.step < bytes_per_row:
        raise ConversionError(f"step is {image.step} bytes, {image.width} px of {image.encoding} need {bytes_per_row}")
    if len(image.data) < image.step * image.height:
        raise ConversionError(
            f"image contains {len(image.data)} bytes, {image.height} rows of {image.step} bytes need {image.step * image.height}"
        )
    rows = np.frombuffer(image.data, np.uint8, image.step * image.height).reshape(image.height, image.step)
    stored = np.ascontiguousarray(rows[:, :bytes_per_row]).view(np.dtype(dtype).newbyteorder(">" if image.is_bigendian else "<"))
    native = stored.astype(np.dtype(dtype), copy=False)
    return native.reshape(image.height, image.width, channels) if channels > 1 else native


def _decode_by_cv_bridge(image: Image) -> np.ndarray:
    if CvBridge is None:
        raise ConversionError(
            f"encoding '{image.encoding}' needs cv_bridge, which is not installed; publish one of {', '.join(_COLOUR)}"
        )
    try:
        return CvBridge().imgmsg_to_cv2(image, "rgb8")
    except CvBridgeError as error:
        raise ConversionError(f"cv_bridge cannot decode encoding '{image.encoding}': {error}") from error
