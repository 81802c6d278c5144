"""Every encoding, padding and byte order gives the same picture; what is damaged is refused with its numbers."""

from array import array

import numpy as np
import pytest
from sensor_msgs.msg import Image

from hand_mesh_ros.ros.input import convert_image
from hand_mesh_ros.ros.input.convert_image import ConversionError, decode_depth, decode_rgb

HEIGHT, WIDTH = 6, 8


def message(pixels: np.ndarray, encoding: str, padding: int = 0, big_endian: bool = False) -> Image:
    """An Image whose rows end with `padding` bytes of rubbish."""
    ordered = pixels.astype(pixels.dtype.newbyteorder(">" if big_endian else "<"))
    rows = np.frombuffer(ordered.tobytes(), np.uint8).reshape(pixels.shape[0], -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=0xAB)
    image = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding, step=rows.shape[1], is_bigendian=big_endian)
    image.data = array("B", rows.tobytes())
    return image


@pytest.fixture
def rgb(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


@pytest.mark.parametrize("padding", [0, 5])
def test_colour_channels_come_out_as_rgb(rgb, padding):
    alpha = np.full((HEIGHT, WIDTH, 1), 9, np.uint8)
    stored = {
        "rgb8": rgb,
        "bgr8": rgb[..., ::-1],
        "rgba8": np.concatenate([rgb, alpha], -1),
        "bgra8": np.concatenate([rgb[..., ::-1], alpha], -1),
    }
    for encoding, pixels in stored.items():
        np.testing.assert_array_equal(decode_rgb(message(pixels, encoding, padding)), rgb, err_msg=encoding)


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("padding", [0, 4])
def test_sixteen_bits_keep_their_high_byte_in_either_byte_order(rgb, padding, big_endian):
    deep = rgb.astype(np.uint16) * 256 + 77
    np.testing.assert_array_equal(decode_rgb(message(deep, "rgb16", padding, big_endian)), rgb)
    np.testing.assert_array_equal(decode_rgb(message(deep[..., ::-1], "bgr16", padding, big_endian)), rgb)
    grey = decode_rgb(message(deep[..., 0], "mono16", padding, big_endian))
    np.testing.assert_array_equal(grey, np.repeat(rgb[..., :1], 3, -1))


@pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
def test_grey_is_the_same_in_all_channels(rgb, encoding):
    np.testing.assert_array_equal(decode_rgb(message(rgb[..., 0], encoding, 3)), np.repeat(rgb[..., :1], 3, -1))


@pytest.mark.parametrize(("encoding", "luma_first"), [("yuv422", False), ("uyvy", False), ("yuv422_yuy2", True), ("yuyv", True)])
def test_packed_yuv_has_its_luma_where_the_encoding_says(encoding, luma_first):
    luma = np.arange(16, 16 + 4 * HEIGHT * WIDTH, 4, np.int64).reshape(HEIGHT, WIDTH).clip(16, 235).astype(np.uint8)
    neutral = np.full_like(luma, 128)
    packed = np.stack([luma, neutral] if luma_first else [neutral, luma], -1)
    decoded = decode_rgb(message(packed, encoding, 2)).astype(float)
    expected = (luma - 16.0) * 255 / 219
    np.testing.assert_allclose(decoded, np.repeat(expected[..., None], 3, -1), atol=1.5)


def test_packed_yuv_tells_red_from_blue():
    blue_difference, red_difference = 90, 240  # U, V of a reddish pixel
    packed = np.full((HEIGHT, WIDTH, 2), 120, np.uint8)
    packed[:, 0::2, 1], packed[:, 1::2, 1] = blue_difference, red_difference
    red, _, blue = decode_rgb(message(packed, "yuyv"))[0, 0].astype(int)
    assert red > blue + 100


@pytest.mark.parametrize(
    ("encoding", "red_at"), [("bayer_rggb8", (0, 0)), ("bayer_bggr8", (1, 1)), ("bayer_gbrg8", (1, 0)), ("bayer_grbg8", (0, 1))]
)
def test_bayer_puts_red_where_the_encoding_says(encoding, red_at):
    mosaic = np.zeros((HEIGHT, WIDTH), np.uint8)
    mosaic[red_at[0] :: 2, red_at[1] :: 2] = 200
    inner = decode_rgb(message(mosaic, encoding))[2:-2, 2:-2].reshape(-1, 3).mean(0)
    assert inner[0] > 150
    assert inner[1:].max() < 60


def semi_planar(luma: np.ndarray, u: int, v: int, encoding: str, padding: int = 0) -> Image:
    """A picture of one colour difference whose rows end with `padding` bytes of rubbish."""
    colours = np.empty((HEIGHT // 2, WIDTH), np.uint8)
    colours[:, 0::2], colours[:, 1::2] = (u, v) if encoding == "nv12" else (v, u)
    image = message(np.concatenate([luma, colours]), encoding, padding)
    image.height = HEIGHT
    return image


@pytest.mark.parametrize("encoding", ["nv12", "nv21"])
@pytest.mark.parametrize("padding", [0, 8])
def test_semi_planar_yuv_has_luma_and_colours_where_the_encoding_says(encoding, padding):
    luma = np.arange(16, 16 + 4 * HEIGHT * WIDTH, 4, np.int64).reshape(HEIGHT, WIDTH).clip(16, 235).astype(np.uint8)
    grey = decode_rgb(semi_planar(luma, 128, 128, encoding, padding)).astype(float)
    np.testing.assert_allclose(grey, np.repeat((luma[..., None] - 16.0) * 255 / 219, 3, -1), atol=1.5)
    red, _, blue = decode_rgb(semi_planar(luma, 90, 240, encoding, padding))[2, 2].astype(int)
    assert red > blue + 100


def test_semi_planar_yuv_of_other_layouts_is_decoded_too():
    luma = np.full((HEIGHT, WIDTH), 120, np.uint8)
    image = semi_planar(luma, 90, 240, "nv12", 8)
    expected = decode_rgb(image)
    # Without the padding of the last row.
    image.data = image.data[:-8]
    np.testing.assert_array_equal(decode_rgb(image), expected)
    image = semi_planar(luma, 90, 240, "nv12")
    image.step = 3 * WIDTH // 2
    np.testing.assert_array_equal(decode_rgb(image), expected)


@pytest.mark.parametrize(
    ("change", "needle"),
    [
        ({"height": 0}, "8x0"),
        ({"width": 7}, "odd size of 7x6"),
        ({"height": 5}, "odd size of 8x5"),
        ({"step": 7}, "step is 7 bytes, 8 px"),
        # The height of the buffer instead of the height of the picture.
        ({"height": 8}, "set height to 6"),
        ({"height": 700}, "contains 72 bytes, 700 px need 1050 rows of 8"),
    ],
)
def test_semi_planar_yuv_of_wrong_sizes_is_refused_with_its_numbers(change, needle):
    image = semi_planar(np.full((HEIGHT, WIDTH), 120, np.uint8), 128, 128, "nv12")
    for name, value in change.items():
        setattr(image, name, value)
    with pytest.raises(ConversionError, match=needle):
        decode_rgb(image)


@pytest.mark.parametrize("big_endian", [False, True])
def test_depth_is_metres_and_nothing_where_nothing_was_measured(big_endian):
    millimetres = np.array([[0, 1, 250], [1000, 65535, 7]], np.uint16)
    metres = np.array([[np.nan, np.inf, 0.25], [-1.0, 0.0, 3.5]], np.float32)
    np.testing.assert_allclose(
        decode_depth(message(millimetres, "16UC1", 2, big_endian)), [[0, 0.001, 0.25], [1, 65.535, 0.007]], rtol=1e-6
    )
    np.testing.assert_array_equal(decode_depth(message(metres, "32FC1", 8, big_endian)), [[0, 0, 0.25], [0, 0, 3.5]])


def test_no_padding_is_decoded_without_a_copy_of_the_pixels(rgb):
    image = message(rgb, "rgb8")
    assert np.shares_memory(decode_rgb(image), np.frombuffer(image.data, np.uint8))


@pytest.mark.parametrize(
    ("change", "needle"),
    [
        ({"width": 0}, "0x6"),
        ({"height": 0}, "8x0"),
        ({"step": 5}, "step is 5"),
        ({"height": 700}, "16800"),
        ({"width": 4000}, "12000"),
        ({"encoding": "yuyv", "width": 7}, "odd width of 7"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_with_their_numbers(rgb, change, needle):
    image = message(rgb, "rgb8")
    for name, value in change.items():
        setattr(image, name, value)
    with pytest.raises(ConversionError, match=needle):
        decode_rgb(image)


def test_an_unknown_encoding_names_itself_and_the_way_out(monkeypatch, rgb):
    monkeypatch.setattr(convert_image, "CvBridge", None)
    with pytest.raises(ConversionError, match=r"'nv24'.*cv_bridge.*rgb8"):
        decode_rgb(message(rgb, "nv24"))
    with pytest.raises(ConversionError, match=r"'rgb8'.*16UC1"):
        decode_depth(message(rgb, "rgb8"))


def test_an_unknown_encoding_goes_to_cv_bridge_where_that_is_installed(rgb):
    pytest.importorskip("cv_bridge", reason="cv_bridge comes with a full ROS installation only", exc_type=ImportError)
    deep = np.concatenate([rgb, rgb[..., :1]], -1).astype(np.uint16) * 256
    np.testing.assert_allclose(decode_rgb(message(deep, "rgba16")), rgb, atol=1)
