"""Converts sensor_msgs/Image to arrays. Handles row padding and byte order.

Uses numpy and OpenCV for common encodings and cv_bridge for others. cv_bridge is only the fallback, because the cv_bridge of some
distributions cannot be imported with numpy 2.
"""

from copy import copy

import cv2
import numpy as np
from sensor_msgs.msg import Image

from hand_mesh_ros.ros.input.watch.brightness import Stretch

try:
    from cv_bridge import CvBridge, CvBridgeError
except (ImportError, AttributeError):  # AttributeError: built for another numpy version
    CvBridge = None


class ConversionError(ValueError):
    """The message is unusable. The error text contains the reason and the values."""


# encoding: (numpy type of a channel, channels in memory, conversion to rgb from 8 bits; None for rgb)
_COLOUR: dict[str, tuple[str, int, int | None]] = {
    "rgb8": ("u1", 3, None),
    "bgr8": ("u1", 3, cv2.COLOR_BGR2RGB),
    "8UC3": ("u1", 3, cv2.COLOR_BGR2RGB),
    "rgba8": ("u1", 4, cv2.COLOR_RGBA2RGB),
    "bgra8": ("u1", 4, cv2.COLOR_BGRA2RGB),
    "mono8": ("u1", 1, cv2.COLOR_GRAY2RGB),
    "8UC1": ("u1", 1, cv2.COLOR_GRAY2RGB),
    "mono16": ("u2", 1, cv2.COLOR_GRAY2RGB),
    "rgb16": ("u2", 3, None),
    "bgr16": ("u2", 3, cv2.COLOR_BGR2RGB),
    # OpenCV names the second row of the pattern: BG is rggb. OpenCV 4.5.4 (Ubuntu 22.04) lacks the names by the first row.
    "bayer_rggb8": ("u1", 1, cv2.COLOR_BayerBG2RGB),
    "bayer_bggr8": ("u1", 1, cv2.COLOR_BayerRG2RGB),
    "bayer_gbrg8": ("u1", 1, cv2.COLOR_BayerGR2RGB),
    "bayer_grbg8": ("u1", 1, cv2.COLOR_BayerGB2RGB),
    "bayer_rggb16": ("u2", 1, cv2.COLOR_BayerBG2RGB),
    "bayer_bggr16": ("u2", 1, cv2.COLOR_BayerRG2RGB),
    "bayer_gbrg16": ("u2", 1, cv2.COLOR_BayerGR2RGB),
    "bayer_grbg16": ("u2", 1, cv2.COLOR_BayerGB2RGB),
    "yuv422": ("u1", 2, cv2.COLOR_YUV2RGB_UYVY),
    "uyvy": ("u1", 2, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422_yuy2": ("u1", 2, cv2.COLOR_YUV2RGB_YUYV),
    "yuyv": ("u1", 2, cv2.COLOR_YUV2RGB_YUYV),
}
# A plane of luma, then a plane of half as many rows with the two colour differences of every 2 x 2 pixels.
_SEMI_PLANAR = {"nv12": cv2.COLOR_YUV2RGB_NV12, "nv21": cv2.COLOR_YUV2RGB_NV21}
# Encodings with the same layout that drivers mistake for each other.
_MISTAKEN = {
    **{"rgb8": "bgr8", "8UC3": "rgb8", "rgba8": "bgra8", "rgb16": "bgr16"},
    **{
        "bayer_rggb8": "bayer_bggr8",
        "bayer_gbrg8": "bayer_grbg8",
        "bayer_rggb16": "bayer_bggr16",
        "bayer_gbrg16": "bayer_grbg16",
    },
    **{"uyvy": "yuyv", "yuv422": "yuv422_yuy2", "nv12": "nv21"},
}
_MISTAKEN = {**{other: one for one, other in _MISTAKEN.items()}, **_MISTAKEN, "bgr8": "rgb8"}
# encoding: (numpy type, metres per unit)
_DEPTH = {"16UC1": ("u2", 0.001), "mono16": ("u2", 0.001), "32FC1": ("f4", 1.0)}


def decode_rgb(image: Image, stretch: Stretch | None = None) -> np.ndarray:
    """Returns colours, (H, W, 3) uint8 in rgb order. The result is a view into the message if the layout allows a view.

    Args:
        image: the message.
        stretch: brightness of the earlier 16-bit images of the stream; None for an image alone.

    Raises:
        ConversionError: if the encoding or the sizes are invalid. The text contains the values.
    """
    if image.encoding in _SEMI_PLANAR:
        return cv2.cvtColor(_planes(image), _SEMI_PLANAR[image.encoding])
    if image.encoding not in _COLOUR:
        return _decode_by_cv_bridge(image)
    dtype, channels, conversion = _COLOUR[image.encoding]
    if image.encoding in ("yuv422", "uyvy", "yuv422_yuy2", "yuyv") and image.width % 2:
        raise ConversionError(f"{image.encoding} image has an odd width of {image.width} px")
    pixels = _pixels(image, dtype, channels)
    if dtype == "u2":
        pixels = (stretch or Stretch())(pixels)
    return np.ascontiguousarray(pixels) if conversion is None else cv2.cvtColor(pixels, conversion)


def decode_as_mistaken(image: Image) -> tuple[str, np.ndarray] | None:
    """Returns another encoding of the same layout, and the colours (H, W, 3) that it gives. None if there is no such encoding.

    For mono16 this is the other byte order.

    Raises:
        ConversionError: as `decode_rgb`.
    """
    other = copy(image)  # shares the pixels
    if image.encoding == "mono16":
        other.is_bigendian = 1 - bool(image.is_bigendian)
        return f"mono16 with is_bigendian {other.is_bigendian}", decode_rgb(other)
    if image.encoding not in _MISTAKEN:
        return None
    other.encoding = _MISTAKEN[image.encoding]
    return other.encoding, decode_rgb(other)


def decode_depth(image: Image, scale: float = 1.0) -> np.ndarray:
    """Returns depth along z, (H, W) float32 in metres. Invalid values (0, negative, NaN or infinite) become 0.

    Args:
        image: millimetres as 16UC1, or metres as 32FC1.
        scale: factor on depth, for a camera with another unit.

    Raises:
        ConversionError: if the encoding or the sizes are invalid. The text contains the values.
    """
    if image.encoding not in _DEPTH:
        raise ConversionError(f"depth encoding '{image.encoding}' is not one of 16UC1 (millimetres), 32FC1 (metres)")
    dtype, metres = _DEPTH[image.encoding]
    depth_m = _pixels(image, dtype, 1).astype(np.float32) * np.float32(metres * scale)
    depth_m[~(np.isfinite(depth_m) & (depth_m > 0))] = 0
    return depth_m


def _planes(image: Image) -> np.ndarray:
    """Returns luma and colour differences of a semi-planar image, (3 * H / 2, W) uint8, without row padding."""
    width, height, size = image.width, image.height, len(image.data)
    if not (width and height):
        raise ConversionError(f"image is empty: {width}x{height} px")
    if width % 2 or height % 2:
        raise ConversionError(f"{image.encoding} image has an odd size of {width}x{height} px")
    # `step` is the length of a row of luma. Some drivers count the bytes of the colour differences too.
    step = width if 2 * image.step == 3 * width and 2 * size == 3 * width * height else image.step
    if step < width:
        raise ConversionError(f"step is {step} bytes, {width} px of {image.encoding} need {width}")
    rows = 3 * height // 2
    # The last row may lack its padding.
    needed = step * (rows - 1) + width
    if size < needed:
        reason = f"{image.encoding} image contains {size} bytes, {height} px need {rows} rows of {step} bytes"
        if size >= step * height:
            reason += f": set height to {2 * size // (3 * step)}, without the rows of the colour differences"
        raise ConversionError(reason)
    planes = np.zeros((rows, step), np.uint8)
    stored = np.frombuffer(image.data, np.uint8, min(size, rows * step))
    if len(stored) == planes.size:
        return np.ascontiguousarray(stored.reshape(rows, step)[:, :width])
    planes.ravel()[: len(stored)] = stored
    return np.ascontiguousarray(planes[:, :width])


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
            f"encoding '{image.encoding}' needs cv_bridge, which is not installed; "
            f"publish one of {', '.join([*_COLOUR, *_SEMI_PLANAR])}"
        )
    try:
        return CvBridge().imgmsg_to_cv2(image, "rgb8")
    except CvBridgeError as error:
        raise ConversionError(f"cv_bridge cannot decode encoding '{image.encoding}': {error}") from error
