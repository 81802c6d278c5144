"""Compressed depth as image_transport makes it."""

import struct

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage

# Quantisation of the plugin for 32FC1: resolution of depth at the largest depth, both of its parameters at their defaults.
_DEPTH_MAX_M, _QUANTISATION = 10.0, 100.0


def compressed_depth(depth_m: np.ndarray, encoding: str, codec: str = "png") -> CompressedImage:
    """Depth (H, W) in metres, 0 for no measurement, as a message without a header."""
    a = b = 0.0
    stored = np.round(1000 * depth_m).astype(np.uint16)
    if encoding == "32FC1":
        a = _QUANTISATION * (_QUANTISATION + 1)
        b = 1 - a / _DEPTH_MAX_M
        with np.errstate(divide="ignore"):
            stored = np.where(depth_m > 0, a / depth_m + b, 0).astype(np.uint16)
    if codec == "rvl":
        content = struct.pack("<II", *depth_m.shape[::-1]) + rvl_of(stored)
    else:
        content = cv2.imencode(".png", stored)[1].tobytes()
    return CompressedImage(format=f"{encoding}; compressedDepth {codec}", data=struct.pack("<iff", 1, a, b) + content)


def rvl_of(stored: np.ndarray) -> bytes:
    """Pixels uint16 as RVL, written pixel by pixel."""
    groups: list[int] = []

    def write(value: int) -> None:
        while True:
            value, low = value >> 3, value & 7
            groups.append(low | (8 if value else 0))
            if not value:
                return

    pixels, place, previous = stored.ravel().astype(int).tolist(), 0, 0
    while place < len(pixels):
        first = next((index for index in range(place, len(pixels)) if pixels[index]), len(pixels))
        last = next((index for index in range(first, len(pixels)) if not pixels[index]), len(pixels))
        write(first - place)
        write(last - first)
        for pixel in pixels[first:last]:
            step, previous = pixel - previous, pixel
            write(2 * step if step >= 0 else -2 * step - 1)
        place = last
    groups += [0] * (-len(groups) % 8)
    words = np.array(groups, np.uint32).reshape(-1, 8) << np.arange(28, -1, -4, dtype=np.uint32)
    return words.sum(1).astype("<u4").tobytes()
