"""16-bit images that use their low bits are as bright as others; noise stays dark; brightness does not flicker."""

import numpy as np
import pytest

from hand_mesh_ros.ros.input.watch.brightness import Stretch, has_structure, shows_nothing

SHAPE = (240, 320)


@pytest.fixture
def picture(rng: np.random.Generator) -> np.ndarray:
    """Grey shapes with noise, (H, W) float64 in 0..1."""
    row, column = np.mgrid[: SHAPE[0], : SHAPE[1]]
    shapes = 0.3 + 0.25 * np.sin(row / 30) + 0.3 * (np.hypot(row - 120, column - 160) < 60)
    return np.clip(shapes + rng.normal(0, 0.01, SHAPE), 0, 1)


@pytest.mark.parametrize("bits", [9, 10, 12, 14, 16])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_low_bits_become_eight_bits(picture, bits, channels):
    deep = ((2**bits - 1) * picture).astype(np.uint16)
    image = Stretch()(deep if channels == 1 else np.repeat(deep[..., None], channels, -1))
    assert image.dtype == np.uint8
    assert image.shape == (deep.shape if channels == 1 else (*SHAPE, channels))
    grey = image if channels == 1 else image[..., 0]
    np.testing.assert_allclose(grey, 255 * picture, atol=2)


def test_a_few_hot_pixels_change_nothing(picture, rng):
    deep = (1023 * picture).astype(np.uint16)
    hot = deep.copy()
    hot.ravel()[rng.integers(0, hot.size, 100)] = 65535
    difference = Stretch()(hot).astype(int) - Stretch()(deep)
    assert (difference != 0).sum() <= 100


@pytest.mark.parametrize(("level", "noise"), [(0, 0), (0, 20), (64, 8), (1000, 60)])
def test_noise_of_a_black_picture_is_not_amplified(rng, level, noise):
    black = np.clip(rng.normal(level, noise, SHAPE), 0, 65535).astype(np.uint16)
    assert Stretch()(black).max() <= (level + 6 * noise) / 256
    assert not has_structure(black)


def test_brightness_at_a_limit_does_not_flicker_and_a_darker_scene_is_followed(picture, rng):
    stretch, factors = Stretch(), []
    deep = 1020 * picture / np.percentile(picture, 99)
    for _ in range(200):
        image = np.clip(deep * rng.uniform(0.85, 1.15), 0, 65535).astype(np.uint16)
        shown = stretch(image)
        factors.append(round(float(np.median(image.astype(float) / np.maximum(shown, 1)))))
    assert len(set(factors[10:])) == 1
    for _ in range(40):
        shown = stretch((deep / 8).astype(np.uint16))
    assert np.percentile(shown, 99) > 60
    # Brighter is followed within some images, so that little is clipped.
    for _ in range(10):
        shown = stretch((deep * 8).astype(np.uint16))
    assert (shown == 255).mean() < 0.02


def test_what_shows_nothing_is_named_and_what_shows_something_is_not(picture, rng):
    rgb = np.repeat((255 * picture).astype(np.uint8)[..., None], 3, -1)
    assert shows_nothing(rgb) == ""
    assert shows_nothing(rgb // 8) == ""
    assert "nearly black" in shows_nothing(rgb // 16)
    assert "nearly black" in shows_nothing(rng.integers(0, 10, rgb.shape).astype(np.uint8))
    assert "nearly white" in shows_nothing(255 - rgb // 16)
    assert "one colour" in shows_nothing(np.full_like(rgb, 127))
    # A dark room with a small lamp, a wall in daylight.
    lamp = rgb // 16
    lamp[:40, :40] = 200
    assert shows_nothing(lamp) == ""
    assert shows_nothing(np.clip(rng.normal(200, 3, rgb.shape), 0, 255).astype(np.uint8)) == ""
