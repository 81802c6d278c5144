"""Real lenses against OpenCV's forward models and closed forms: every pixel has one ray, nothing folds back into the image."""

import cv2
import numpy as np
import pytest

from hand_mesh_ros.core.geometry import camera
from hand_mesh_ros.core.geometry.lens import Fisheye

VGA, K = (640, 480), np.array([[400.0, 0, 320], [0, 400, 240], [0, 0, 1]])
BARREL = np.array([-0.36, 0, 0, 0, 0])
# Cameras on which OpenCV's five steps of undistortPoints end tens to hundreds of pixels away, and the size of their images.
HARD = {
    "rational": (
        np.array([[2421.79, 0, 1919.61], [0, 2421.79, 1090.35], [0, 0, 1]]),
        np.array([2.99721646, -6.09288263, 0.00057462, -4.857e-05, -1.26187622, 3.53409385, -4.27079391, -5.30235195]),
        (3840, 2160),
    ),
    "pincushion": (np.array([[100.0, 0, 4], [0, 100, 3], [0, 0, 1]]), np.array([0.5, 0, 0, 0]), (305, 305)),
    "tilted": (K, np.array([0.1, -0.2, 0.001, 0.002, 0.05, 0.01, 0.02, 0, 0.001, 0.002, 0.001, 0.001, 0.02, 0.03]), VGA),
    "barrel": (K, np.array([-0.36, 0.1, 0.001, -0.002, 0.01]), VGA),
}
FISHEYES = [np.zeros(4), np.array([-0.02, 0.01, -0.005, 0.001]), np.array([0.1, 0, 0, 0])]
WIDE = np.array([[200.0, 0, 320], [0, 200, 240], [0, 0, 1]])


def pixels_of(size: tuple[int, int], margin_px: float = 0.0) -> np.ndarray:
    """A grid of pixels, (N, 2), up to a margin outside the image."""
    steps = [np.linspace(-margin_px, length - 1 + margin_px, 33) for length in size]
    return np.stack(np.meshgrid(*steps), -1).reshape(-1, 2)


def points_on(rays: np.ndarray) -> np.ndarray:
    return np.concatenate([rays, np.ones((len(rays), 1))], -1)


def opencv_pixels(rays: np.ndarray, matrix: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    return cv2.projectPoints(points_on(rays), np.zeros(3), np.zeros(3), matrix, distortion)[0].reshape(-1, 2)


@pytest.mark.parametrize("name", HARD)
def test_a_ray_in_the_field_returns_to_its_pixel_by_opencvs_own_model(name):
    matrix, distortion, size = HARD[name]
    pixels = pixels_of(size)
    rays, in_field = camera.sights(pixels, matrix, distortion)
    assert in_field.mean() > 0.6
    np.testing.assert_allclose(opencv_pixels(rays[in_field], matrix, distortion), pixels[in_field], atol=0.01)


def test_a_pixel_far_outside_the_image_keeps_its_side_and_the_order():
    # The polynomial of this lens reaches 257 px from the centre and turns back there.
    out = np.arange(0.0, 700.0, 5.0)
    rays, in_field = camera.sights(np.stack([320 + out, np.full_like(out, 240.0)], -1), K, BARREL)
    assert np.all(np.diff(rays[:, 0]) > 0)
    np.testing.assert_allclose(rays[:, 1], 0, atol=1e-9)
    assert in_field[out < 250].all()
    assert not in_field[out > 260].any()
    assert rays[out == 260][0, 0] < 1.1, "a guess near the edge of the field is near the edge"
    np.testing.assert_allclose(camera.project(points_on(rays), K, BARREL)[:, 0], 320 + out, atol=0.01)


def test_a_point_that_the_polynomial_folds_back_is_not_drawn_inside_the_image():
    side = np.array([[1.5, 0, 1.0], [1.67, 0, 1.0], [3.0, 0.2, 1.0]])
    folded = opencv_pixels(side[:, :2], K, BARREL)
    assert np.abs(folded[:2, 0] - 320).max() < 250
    pixels = camera.project(side, K, BARREL)
    assert np.all(np.diff(pixels[:, 0]) > 0)
    assert pixels[0, 0] > 640 - 64


@pytest.mark.parametrize("coefficients", FISHEYES)
def test_a_fisheye_is_opencvs_fisheye(coefficients):
    points = np.random.default_rng(0).uniform((-0.6, -0.5, 0.1), (0.6, 0.5, 0.8), (200, 3))
    expected = cv2.fisheye.projectPoints(points[:, None], np.zeros(3), np.zeros(3), WIDE, coefficients)[0].reshape(-1, 2)
    pixels = camera.project(points, WIDE, Fisheye(coefficients))
    np.testing.assert_allclose(pixels, expected, atol=1e-9)
    rays, in_field = camera.sights(pixels, WIDE, Fisheye(coefficients))
    wide = np.hypot(*points[:, :2].T) / points[:, 2] > np.tan(np.deg2rad(85))
    assert in_field[~wide].all()
    np.testing.assert_allclose(rays[~wide], (points[:, :2] / points[:, 2:])[~wide], rtol=1e-4, atol=1e-6)


def test_a_fisheye_without_coefficients_is_no_pinhole():
    angles = np.deg2rad([0, 10, 40, 80])
    pixels = np.stack([320 + 200 * angles, np.full(4, 240.0)], -1)
    np.testing.assert_allclose(camera.rays_from_pixels(pixels, WIDE, Fisheye(np.zeros(4)))[:, 0], np.tan(angles), atol=1e-6)


@pytest.mark.parametrize("degrees", [88, 90, 95, 130, 179])
def test_a_fisheye_sees_behind_its_image_plane_but_gives_no_ray_there(degrees):
    angle = np.deg2rad(degrees)
    pixel = np.array([[320 + 200 * angle, 240.0]])
    np.testing.assert_allclose(camera.project(np.array([[np.sin(angle), 0, np.cos(angle)]]), WIDE, Fisheye(np.zeros(4))), pixel)
    (ray,), (in_field,) = camera.sights(pixel, WIDE, Fisheye(np.zeros(4)))
    assert not in_field
    np.testing.assert_allclose(ray, (np.tan(np.deg2rad(85)), 0), atol=1e-6)


def test_any_numbers_give_finite_rays():
    rng = np.random.default_rng(0)
    for _ in range(300):
        count = int(rng.choice([4, 5, 8, 12, 14]))
        numbers = rng.choice([0.0, -1.0, 1e300, -1e9, 1e-300, 100.0, *rng.normal(size=4)], count)
        for distortion in (numbers, Fisheye(numbers[:4])):
            rays, in_field = camera.sights(pixels_of(VGA, 300)[::40], K, distortion)
            assert np.isfinite(rays).all()
            assert in_field.dtype == bool


def test_a_fisheye_has_four_coefficients():
    with pytest.raises(ValueError, match="not 5"):
        Fisheye(np.zeros(5))
