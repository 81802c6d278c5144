"""Converts sensor_msgs/CompressedImage (image_transport "compressed", JPEG or PNG) to sensor_msgs/Image with OpenCV.

This module checks the file header before it decodes. A small file can declare an image that fills the memory. OpenCV decodes a
truncated JPEG and fills the missing part with grey.

Some cameras leave out the end marker of complete images. To tell these images from truncated ones, the image is decoded with two
different continuations: only a truncated image depends on the continuation.
"""

import struct
from array import array

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from hand_mesh_ros.ros.input.convert_image import ConversionError

# 8192 x 4320 px: larger than camera images. An rgb image of this size takes 106 MB.
MOST_PIXELS = 8192 * 4320
# Original encodings in the format field of compressed_image_transport that are not colour images.
_NO_COLOURS = ("16UC1", "32FC1", "bayer_")
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_JPEG_END, _PNG_END = b"\xff\xd9", b"IEND"
# Continuation of a JPEG that has no end: pixels and all restart markers, so that missing pixels come from here.
_MORE_PIXELS = b"".join(bytes([0x55, 0xAA, 0x33, 0xCC]) * 8 + bytes([0xFF, restart]) for restart in range(0xD0, 0xD8))
_BASELINE = (0xC0, 0xC1)
# JPEG markers. Frame headers contain the size; three codes in their range are tables. Scans contain the pixels. Some markers have
# no length field.
_FRAMES, _TABLES, _SCAN = range(0xC0, 0xD0), (0xC4, 0xC8, 0xCC), 0xDA
_ALONE = (0x01, *range(0xD0, 0xD9))


def decompress(compressed: CompressedImage) -> Image:
    """Returns the decoded bgr8 image with the same header. Ignores EXIF rotation, because the calibration does not include it.

    Raises:
        ConversionError: for depth, raw sensor pixels, an unknown format, or an empty, truncated, damaged or too large image.
    """
    _refuse_no_colours(compressed.format)
    data = bytes(compressed.data)
    width, height = _size_in_header(data, compressed.format)
    if not 0 < width * height <= MOST_PIXELS:
        raise ConversionError(f"compressed image declares {width}x{height} px; allowed are 1 to {MOST_PIXELS} px in total")
    try:
        bgr = _decoded_without_end(data) if data.startswith(_JPEG) and not _has_end(data) else _decoded(data)
    except cv2.error as error:
        raise ConversionError(f"{_told(data, compressed.format)} cannot be decoded: {error.err}") from error
    if bgr is None or bgr.shape != (height, width, 3):
        raise ConversionError(f"{_told(data, compressed.format)} is damaged and cannot be decoded")
    pixels = array("B", bgr.tobytes())
    return Image(header=compressed.header, height=height, width=width, encoding="bgr8", step=3 * width, data=pixels)


def _decoded(data: bytes) -> np.ndarray | None:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)


def _decoded_without_end(data: bytes) -> np.ndarray:
    data = data.removesuffix(_JPEG_END[:1])  # half of an end marker
    bgr, continued = _decoded(data + _JPEG_END), _decoded(data + _MORE_PIXELS + _JPEG_END)
    if bgr is None or continued is None or not np.array_equal(bgr, continued):
        raise ConversionError(f"JPEG of {len(data)} bytes is cut off or damaged: end is missing")
    return bgr


def _refuse_no_colours(format_: str) -> None:
    encoding = format_.split(";")[0].strip()
    if "compressedDepth" in format_ or encoding.startswith(_NO_COLOURS):
        raise ConversionError(f"compressed image has the format '{format_}': this is not a colour image, choose another topic")


def _size_in_header(data: bytes, format_: str) -> tuple[int, int]:
    """Returns width and height from the header of a complete file."""
    if data.startswith(_JPEG):
        return _size_of_jpeg(data)
    if data.startswith(_PNG):
        return size_of_png(data)
    begins = f"begins with {data[:8].hex(' ')}" if data else "is empty"
    raise ConversionError(f"compressed image of format '{format_}' {begins}: neither JPEG nor PNG")


def _has_end(data: bytes) -> bool:
    """Returns whether a JPEG has its end marker. The end marker of a thumbnail is before the first scan."""
    return data.find(_JPEG_END, _parsed_jpeg(data)[2]) >= 0


def _size_of_jpeg(data: bytes) -> tuple[int, int]:
    size, frame, place = _parsed_jpeg(data)
    if size is None or place + 4 > len(data):
        raise ConversionError(f"JPEG of {len(data)} bytes is cut off or damaged: {'size' if size is None else 'end'} is missing")
    # The scans of a progressive image each contain all pixels, so a missing scan cannot be noticed.
    if frame not in _BASELINE and data.find(_JPEG_END, place) < 0:
        raise ConversionError(f"JPEG of {len(data)} bytes is cut off or damaged: end is missing")
    return size


def _parsed_jpeg(data: bytes) -> tuple[tuple[int, int] | None, int, int]:
    """Returns width and height, the code of the frame header, and the place of the first scan or of the end of the data."""
    size, frame, place = None, 0, 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        code = data[place + 1]
        if code == 0xFF or code in _ALONE:
            place += 1 if code == 0xFF else 2
            continue
        if code in _FRAMES and code not in _TABLES and place + 9 <= len(data):
            height, width = struct.unpack(">HH", data[place + 5 : place + 9])
            size, frame = (width, height), code
        if code == _SCAN:
            break
        place += 2 + struct.unpack(">H", data[place + 2 : place + 4])[0]
    return size, frame, place


def size_of_png(data: bytes) -> tuple[int, int]:
    """Returns width and height from the header of a complete PNG.

    Raises:
        ConversionError: if the PNG is truncated.
    """
    if len(data) < 24 or data[12:16] != b"IHDR" or _PNG_END not in data[-16:]:
        raise ConversionError(f"PNG of {len(data)} bytes is cut off or damaged")
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def _told(data: bytes, format_: str) -> str:
    return f"compressed image of {len(data)} bytes, format '{format_}',"
