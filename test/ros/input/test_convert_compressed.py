"""Compressed images become the images that were compressed; whatever is none is refused with a reason before it costs memory."""

import resource
import struct
import time
import zlib
from contextlib import suppress

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage

from hand_mesh_ros.ros.input.convert_compressed import MOST_PIXELS, decompress
from hand_mesh_ros.ros.input.convert_image import ConversionError, decode_rgb
from hand_mesh_ros.synthetic.camera import SyntheticCamera


@pytest.fixture(scope="module")
def rgb(model) -> np.ndarray:
    """A rendered hand, (240, 320, 3)."""
    return SyntheticCamera(model, (320, 240)).at(0.0).rgb


def file_of(rgb: np.ndarray, extension: str = ".jpg") -> bytes:
    """An encoded image (H, W, 3)."""
    return cv2.imencode(extension, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].tobytes()


def message(data: bytes, format_: str = "jpeg") -> CompressedImage:
    return CompressedImage(format=format_, data=data)


def png_of_size(width: int, height: int) -> bytes:
    """A complete PNG of black grey pixels, some kilobytes however many they are."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    packed = zlib.compressobj(9)
    rows = b"".join(packed.compress(bytes(width + 1)) for _ in range(height)) + packed.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("format_", ["jpeg", "rgb8; jpeg compressed bgr8", "bgr8; jpeg compressed bgr8", "", "JPEG"])
def test_a_jpeg_comes_back_almost_as_it_was(rgb, header, format_):
    image = decompress(CompressedImage(header=header, format=format_, data=file_of(rgb)))
    assert image.header == header
    assert np.abs(decode_rgb(image).astype(int) - rgb).mean() < 3


@pytest.mark.parametrize("format_", ["png", "rgb8; png compressed bgr8"])
def test_a_png_comes_back_as_it_was(rgb, format_):
    assert np.array_equal(decode_rgb(decompress(message(file_of(rgb, ".png"), format_))), rgb)


@pytest.mark.parametrize("extension", [".jpg", ".png"])
def test_grey_images_become_colours(rgb, extension):
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    decoded = decode_rgb(decompress(message(cv2.imencode(extension, grey)[1].tobytes(), f"mono8; {extension} compressed mono8")))
    assert np.abs(decoded.astype(int) - grey[..., None]).mean() < 3


def test_sixteen_bits_and_transparency_of_a_png_are_left_out(rgb):
    bgra = np.dstack([rgb[..., ::-1], np.full(rgb.shape[:2], 9, np.uint8)])
    for pixels in (bgra, bgra[..., :3].astype(np.uint16) * 257):
        assert np.array_equal(decode_rgb(decompress(message(cv2.imencode(".png", pixels)[1].tobytes(), "png"))), rgb)


def test_a_rotation_noted_in_the_file_does_not_turn_the_image(rgb):
    # Exif with the orientation 6: "turn by 90 degrees to show".
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    data = file_of(rgb)
    turned = data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]
    assert cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR).shape == (320, 240, 3)
    image = decompress(message(turned))
    assert (image.width, image.height) == (320, 240)


def test_a_thumbnail_in_the_file_does_not_hide_that_it_is_cut_off(rgb):
    data, small = file_of(rgb), file_of(rgb[::4, ::4])
    with_small = data[:2] + b"\xff\xe1" + struct.pack(">H", len(small) + 2) + small + data[2:]
    assert decompress(message(with_small)).width == 320
    with pytest.raises(ConversionError, match="cut off"):
        decompress(message(with_small[:-2000]))


KINDS = {
    "colours": (),
    "without subsampling": (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
    "with restart markers": (cv2.IMWRITE_JPEG_RST_INTERVAL, 20),
    "grey": (),
}


def jpeg_of_kind(rgb: np.ndarray, kind: str) -> bytes:
    pixels = rgb[..., 1] if kind == "grey" else rgb[..., ::-1]
    return cv2.imencode(".jpg", pixels, KINDS[kind])[1].tobytes()


@pytest.mark.parametrize("end", [b"", b"\xff", bytes(100), b"\xff\xd9"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_complete_jpeg_without_its_end_marker_is_decoded(rgb, kind, end):
    data = jpeg_of_kind(rgb, kind)
    expected = decode_rgb(decompress(message(data)))
    assert np.array_equal(decode_rgb(decompress(message(data[:-2] + end))), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_jpeg_without_its_end_marker_is_refused_wherever_it_is_cut(rgb, kind):
    data = jpeg_of_kind(rgb, kind)
    begin = data.index(b"\xff\xda") + 14
    places = np.linspace(begin, len(data) - 20, 60).astype(int).tolist()
    # Just before and after restart markers, too.
    marks = [place for place in range(begin, len(data)) if data[place] == 0xFF and 0xD0 <= data[place + 1] <= 0xD7]
    assert bool(marks) == (kind == "with restart markers")
    for place in [*places, *marks, *(mark + 1 for mark in marks), *(mark + 2 for mark in marks)]:
        with pytest.raises(ConversionError, match="cut off"):
            decompress(message(data[:place]))


def test_a_progressive_jpeg_without_its_end_marker_is_refused(rgb):
    data = cv2.imencode(".jpg", rgb, (cv2.IMWRITE_JPEG_PROGRESSIVE, 1))[1].tobytes()
    assert decompress(message(data)).width == 320
    with pytest.raises(ConversionError, match="cut off"):
        decompress(message(data[:-2]))


@pytest.mark.parametrize("share", [0.0005, 0.01, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("extension", [".jpg", ".png"])
def test_a_file_that_breaks_off_is_refused_and_not_half_decoded(rgb, extension, share):
    data = file_of(rgb, extension)
    with pytest.raises(ConversionError, match=r"cut off|neither JPEG nor PNG"):
        decompress(message(data[: int(share * len(data))], extension))


def test_a_damaged_png_is_refused(rgb):
    data = bytearray(file_of(rgb, ".png"))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(ConversionError, match="damaged"):
        decompress(message(bytes(data), "png"))


@pytest.mark.parametrize(
    "format_", ["16UC1; compressedDepth png", "16UC1; png compressed ", "32FC1; compressedDepth", "bayer_rggb8; jpeg compressed "]
)
def test_depth_and_raw_sensor_pixels_are_refused_by_name(rgb, format_):
    with pytest.raises(ConversionError, match=format_.split(";")[0]):
        decompress(message(file_of(rgb, ".png"), format_))


def test_another_format_is_named_with_its_first_bytes(rgb):
    with pytest.raises(ConversionError, match=r"'h264' begins with 00 00 00 01 67"):
        decompress(message(b"\x00\x00\x00\x01\x67" + bytes(100), "h264"))
    with pytest.raises(ConversionError, match="is empty"):
        decompress(message(b""))
    with pytest.raises(ConversionError, match="neither JPEG nor PNG"):
        decompress(message(file_of(rgb, ".webp"), "webp"))


def test_an_image_that_would_fill_the_memory_is_refused_before_it_is_decoded(rgb):
    bomb = png_of_size(15000, 15000)
    assert len(bomb) < 1_000_000
    most_kb, started_s = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(ConversionError, match=f"15000x15000 px; allowed are 1 to {MOST_PIXELS}"):
        decompress(message(bomb, "png"))
    place = (jpeg := file_of(rgb)).index(b"\xff\xc0")
    with pytest.raises(ConversionError, match="65535x65535"):
        decompress(message(jpeg[: place + 5] + b"\xff\xff\xff\xff" + jpeg[place + 9 :]))
    assert time.process_time() - started_s < 0.5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most_kb < 10_000


def test_an_image_without_pixels_is_refused(rgb):
    jpeg = file_of(rgb)
    place = jpeg.index(b"\xff\xc0")
    with pytest.raises(ConversionError, match="declares 0x0 px"):
        decompress(message(jpeg[: place + 5] + bytes(4) + jpeg[place + 9 :]))


@pytest.mark.parametrize("extension", [".jpg", ".png"])
def test_whatever_bytes_come_there_is_an_image_of_the_stated_size_or_a_reason(rgb, extension):
    rng = np.random.default_rng(0)
    whole = np.frombuffer(file_of(rgb, extension), np.uint8)
    for number in range(300):
        data = whole.copy()
        # The head decides most, so half of the damage goes there.
        reach = 700 if number % 2 else len(data)
        places = rng.integers(0, reach, rng.integers(1, 20))
        data[places] = rng.integers(0, 256, len(places))
        with suppress(ConversionError):
            image = decompress(message(data.tobytes(), "png"))
            assert len(image.data) == 3 * image.width * image.height
    for length in rng.integers(0, 2000, 100):
        with pytest.raises(ConversionError):
            decompress(message(b"\xff\xd8\xff" + rng.bytes(int(length))))
