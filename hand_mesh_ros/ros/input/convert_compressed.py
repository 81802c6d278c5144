"""sensor_msgs/CompressedImage, as image_transport's "compressed" sends it, to sensor_msgs/Image: JPEG and PNG, by OpenCV.

What a message claims is checked before anything is decoded: a few kilobytes may claim to hold an image that fills the memory, and
a JPEG that breaks off would be decoded with grey where the rest is missing.
"""

import struct
from array import array

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from hand_mesh_ros.ros.input.convert_image import ConversionError

# 8192 x 4320: more than cameras have, 106 MB as colours.
MOST_PIXELS = 8192 * 4320
# What compressed_image_transport states as the encoding before compression, of images that are no colours.
_NO_COLOURS = ("16UC1", "32FC1", "bayer_")
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_JPEG_END, _PNG_END = b"\xff\xd9", b"IEND"
# Markers of JPEG: frames carry the size (of these codes three are tables), scans the pixels; some stand alone, without a length.
_FRAMES, _TABLES, _SCAN = range(0xC0, 0xD0), (0xC4, 0xC8, 0xCC), 0xDA
_ALONE = (0x01, *range(0xD0, 0xD9))


def decompress(compressed: CompressedImage) -> Image:
    """The image, bgr8, under the same header. A rotation that is noted in the file is not applied: the calibration knows of none.

    Raises:
        ConversionError: for depth, raw sensor pixels, another format, an image that is empty, cut off, damaged or too large.
    """
    _refuse_no_colours(compressed.format)
    data = bytes(compressed.data)
    width, height = _size_in_header(data, compressed.format)
    if not 0 < width * height <= MOST_PIXELS:
        raise ConversionError(f"compressed image claims {width}x{height} px; allowed are up to {MOST_PIXELS} px in all")
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise ConversionError(f"{_told(data, compressed.format)} cannot be decoded: {error.err}") from error
    if bgr is None or bgr.shape != (height, width, 3):
        raise ConversionError(f"{_told(data, compressed.format)} is damaged and cannot be decoded")
    pixels = array("B", bgr.tobytes())
    return Image(header=compressed.header, height=height, width=width, encoding="bgr8", step=3 * width, data=pixels)


def _refuse_no_colours(format_: str) -> None:
    encoding = format_.split(";")[0].strip()
    if "compressedDepth" in format_ or encoding.startswith(_NO_COLOURS):
        raise ConversionError(f"compressed image has the format '{format_}': this is no colour image, choose another topic")


def _size_in_header(data: bytes, format_: str) -> tuple[int, int]:
    """Width and height that a complete file claims."""
    if data.startswith(_JPEG):
        return _size_of_jpeg(data)
    if data.startswith(_PNG):
        return _size_of_png(data)
    begins = f"begins with {data[:8].hex(' ')}" if data else "is empty"
    raise ConversionError(f"compressed image of format '{format_}' {begins}: neither JPEG nor PNG")


def _size_of_jpeg(data: bytes) -> tuple[int, int]:
    size, place = None, 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        code = data[place + 1]
        if code == 0xFF or code in _ALONE:
            place += 1 if code == 0xFF else 2
            continue
        if code in _FRAMES and code not in _TABLES and place + 9 <= len(data):
            height, width = struct.unpack(">HH", data[place + 5 : place + 9])
            size = (width, height)
        if code == _SCAN:
            break
        place += 2 + struct.unpack(">H", data[place + 2 : place + 4])[0]
    # The end of a thumbnail comes before the first scan.
    if size is None or data.find(_JPEG_END, place) < 0:
        raise ConversionError(f"JPEG of {len(data)} bytes is cut off or damaged: it has no {'size' if size is None else 'end'}")
    return size


def _size_of_png(data: bytes) -> tuple[int, int]:
    if len(data) < 24 or data[12:16] != b"IHDR" or _PNG_END not in data[-16:]:
        raise ConversionError(f"PNG of {len(data)} bytes is cut off or damaged")
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def _told(data: bytes, format_: str) -> str:
    return f"compressed image of {len(data)} bytes, format '{format_}',"
