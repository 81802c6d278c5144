"""Decodes compressed depth: image_transport "compressedDepth" (PNG or RVL behind a header), and 16-bit PNG without a header.

The header contains the two numbers of the quantisation of 32FC1: the file stores B + A / depth as 16 bits, 0 for no measurement.
RVL stores runs of zeros, and differences of the other pixels, in groups of three bits. See Wilson 2017, "Fast Lossless Depth
Image Compression".
"""

import struct
from array import array

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from hand_mesh_ros.ros.input.convert_compressed import MOST_PIXELS, size_of_png
from hand_mesh_ros.ros.input.convert_image import ConversionError

_HEADER = struct.Struct("<iff")  # kind, A, B
_PNG = b"\x89PNG\r\n\x1a\n"


def decompress_depth(compressed: CompressedImage) -> Image:
    """Returns depth as 16UC1 or 32FC1 with the same header.

    Raises:
        ConversionError: for another encoding, or an empty, truncated, damaged or too large image.
    """
    encoding, _, codec = (part.strip() for part in compressed.format.partition(";"))
    if encoding not in ("16UC1", "32FC1", "mono16"):
        raise ConversionError(f"compressed depth has the format '{compressed.format}': it must begin with 16UC1 or 32FC1")
    data = bytes(compressed.data)
    has_header = not data.startswith(_PNG)
    content = data[_HEADER.size :] if has_header else data
    stored = _from_rvl(content) if codec.endswith("rvl") else _from_png(content, compressed.format)
    if encoding == "32FC1":
        stored = _metres(stored, data, has_header)
    height, width = stored.shape
    pixels = array("B", stored.astype(stored.dtype.newbyteorder("<"), copy=False).tobytes())
    step = width * stored.itemsize
    return Image(header=compressed.header, height=height, width=width, encoding=encoding, step=step, data=pixels)


def _metres(stored: np.ndarray, data: bytes, has_header: bool) -> np.ndarray:
    """Depth (H, W) float32 from its quantised inverse, NaN for no measurement."""
    if not has_header:
        raise ConversionError("compressed depth of 32FC1 has no header with its quantisation: publish it as compressedDepth")
    _, a, b = _HEADER.unpack(data[: _HEADER.size])
    if not (np.isfinite(a) and np.isfinite(b) and a > 0):
        raise ConversionError(f"compressed depth of 32FC1 has the quantisation {a:g}, {b:g}: it is damaged")
    with np.errstate(divide="ignore", invalid="ignore"):
        depth_m = np.float32(a) / (stored.astype(np.float32) - np.float32(b))
    depth_m[stored == 0] = np.nan
    return depth_m


def _from_png(content: bytes, format_: str) -> np.ndarray:
    if not content.startswith(_PNG):
        begins = f"begins with {content[:8].hex(' ')}" if content else "is empty"
        raise ConversionError(f"compressed depth of format '{format_}' {begins}: neither PNG nor RVL")
    _check_size(*size_of_png(content))
    try:
        stored = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ConversionError(f"compressed depth of {len(content)} bytes cannot be decoded: {error.err}") from error
    if stored is None:
        raise ConversionError(f"compressed depth of {len(content)} bytes is damaged and cannot be decoded")
    if stored.dtype != np.uint16 or stored.ndim != 2:
        raise ConversionError(f"compressed depth is a PNG of {stored.dtype} of shape {stored.shape}, expected 16 bits of grey")
    return stored


def _from_rvl(content: bytes) -> np.ndarray:
    """Pixels (H, W) uint16 of RVL data behind its width and height."""
    if len(content) < 8:
        raise ConversionError(f"compressed depth of {len(content)} bytes is cut off")
    width, height = struct.unpack("<II", content[:8])
    _check_size(width, height)
    values = _groups(np.frombuffer(content[8:], "<u4", (len(content) - 8) // 4))
    pixels, place, index = np.zeros(width * height, np.uint16), 0, 0
    runs: list[tuple[int, int, int]] = []  # place in the image, place in the values, length
    while place < len(pixels):
        if index + 2 > len(values):
            raise ConversionError(
                f"compressed depth of {len(content)} bytes is cut off: it ends at pixel {place} of {len(pixels)}"
            )
        zeros, length = int(values[index]), int(values[index + 1])
        place, index = place + zeros, index + 2
        if not zeros + length or place + length > len(pixels) or index + length > len(values):
            raise ConversionError(f"compressed depth of {len(content)} bytes is damaged at pixel {place} of {len(pixels)}")
        runs.append((place, index, length))
        place, index = place + length, index + length
    steps = np.concatenate([values[start : start + length] for _, start, length in runs])
    depths = np.cumsum((steps >> 1) ^ -(steps & 1)).astype(np.uint16)
    used = 0
    for where, _, length in runs:
        pixels[where : where + length] = depths[used : used + length]
        used += length
    return pixels.reshape(height, width)


def _groups(words: np.ndarray) -> np.ndarray:
    """Numbers (N,) int64 in 32-bit words: eight groups of four bits each, highest first. The fourth bit says that more follow."""
    groups = ((words[:, None] >> np.arange(28, -1, -4, dtype=np.uint32)) & 15).ravel().astype(np.int64)
    ends = np.flatnonzero(groups < 8)
    if not len(ends):
        return np.zeros(0, np.int64)
    groups = groups[: ends[-1] + 1]
    begins = np.concatenate([[0], ends[:-1] + 1])
    # A number has at most 32 bits. More groups are from damaged data.
    shift = np.minimum(3 * (np.arange(len(groups)) - np.repeat(begins, ends + 1 - begins)), 30)
    return np.add.reduceat((groups & 7) << shift, begins)


def _check_size(width: int, height: int) -> None:
    if not 0 < width * height <= MOST_PIXELS:
        raise ConversionError(f"compressed depth claims {width}x{height} px; allowed are up to {MOST_PIXELS} px in all")
