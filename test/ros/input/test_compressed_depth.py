"""Compressed depth comes back as it was; what is damaged is refused with its numbers."""

import contextlib
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from depth_files import compressed_depth
from sensor_msgs.msg import CompressedImage

from hand_mesh_ros.ros.input.compressed_depth import decompress_depth
from hand_mesh_ros.ros.input.convert_image import ConversionError, decode_depth

SHAPE = (48, 64)


@pytest.fixture
def depth_m(rng: np.random.Generator) -> np.ndarray:
    """A slope with holes, in whole millimetres."""
    slope = np.broadcast_to(np.linspace(0.3, 4.0, SHAPE[1]), SHAPE) + rng.normal(0, 0.01, SHAPE)
    holes = rng.uniform(size=SHAPE) < 0.3
    return np.where(holes, 0, np.round(slope, 3)).astype(np.float32)


@pytest.mark.parametrize("codec", ["png", "rvl", ""])
def test_millimetres_come_back_as_they_were(depth_m, header, codec):
    message = compressed_depth(depth_m, "16UC1", codec)
    message.header = header
    image = decompress_depth(message)
    assert (image.header, image.encoding, image.width, image.height) == (header, "16UC1", *SHAPE[::-1])
    np.testing.assert_allclose(decode_depth(image), depth_m, atol=1e-6)


@pytest.mark.parametrize("codec", ["png", "rvl"])
def test_metres_come_back_within_their_quantisation(depth_m, codec):
    decoded = decode_depth(decompress_depth(compressed_depth(depth_m, "32FC1", codec)))
    assert np.array_equal(decoded > 0, depth_m > 0)
    # A step of the stored inverse, at the largest depth of the picture.
    np.testing.assert_allclose(decoded, depth_m, atol=4.1**2 / 10100)


def test_a_picture_of_holes_and_one_without_holes_come_back(depth_m):
    for picture in (0 * depth_m, np.maximum(depth_m, 0.001)):
        np.testing.assert_allclose(decode_depth(decompress_depth(compressed_depth(picture, "16UC1", "rvl"))), picture, atol=1e-6)


def test_a_png_without_a_header_is_depth_too(depth_m):
    png = cv2.imencode(".png", np.round(1000 * depth_m).astype(np.uint16))[1].tobytes()
    for format_ in ("16UC1; png compressed ", "16UC1; compressedDepth"):
        np.testing.assert_allclose(decode_depth(decompress_depth(CompressedImage(format=format_, data=png))), depth_m, atol=1e-6)
    with pytest.raises(ConversionError, match="no header"):
        decompress_depth(CompressedImage(format="32FC1; compressedDepth png", data=png))


@pytest.mark.parametrize(
    ("codec", "spoil", "needle"),
    [
        ("png", lambda data: data[:600], "cut off"),
        ("png", lambda data: data[:12], "is empty"),
        ("png", lambda data: b"", "is empty"),
        ("png", lambda data: data[:12] + bytes(range(100)), "neither PNG nor RVL"),
        ("png", lambda data: data[:12] + cv2.imencode(".png", np.zeros((4, 4), np.uint8))[1].tobytes(), "uint8"),
        ("rvl", lambda data: data[:600], "cut off at pixel|damaged at pixel"),
        ("rvl", lambda data: data[:16], "cut off"),
        ("rvl", lambda data: data[:12] + b"\xff" * 8 + data[20:], "claims 4294967295x4294967295"),
        ("rvl", lambda data: data[:20] + b"\xff" * 400, "cut off|damaged"),
        ("rvl", lambda data: data[:20] + bytes(400), "damaged at pixel 0"),
    ],
)
def test_damaged_depth_is_refused_with_its_numbers(depth_m, codec, spoil: Callable, needle):
    message = compressed_depth(depth_m, "16UC1", codec)
    message.data = spoil(bytes(message.data))
    with pytest.raises(ConversionError, match=needle):
        decompress_depth(message)


def test_colours_and_unknown_numbers_are_refused(depth_m):
    message = compressed_depth(depth_m, "32FC1")
    message.data = bytes(12) + bytes(message.data)[12:]
    with pytest.raises(ConversionError, match="quantisation 0, 0"):
        decompress_depth(message)
    with pytest.raises(ConversionError, match="'rgb8; jpeg compressed bgr8'"):
        decompress_depth(CompressedImage(format="rgb8; jpeg compressed bgr8", data=b"1"))


def test_random_bytes_are_refused(depth_m, rng):
    for codec in ("png", "rvl"):
        message = compressed_depth(depth_m, "16UC1", codec)
        for _ in range(50):
            data = np.frombuffer(bytes(message.data), np.uint8).copy()
            data[rng.integers(20, len(data), 40)] = rng.integers(0, 256, 40)
            message.data = data.tobytes()
            with contextlib.suppress(ConversionError):
                assert decompress_depth(message).width == SHAPE[1]
