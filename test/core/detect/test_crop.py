"""Laws of the crop: round trips, pixel centres, mirroring, where the squares lie."""

import numpy as np
import pytest

from hand_mesh_ros.core.detect import crop
from hand_mesh_ros.core.detect.palm import Palm
from hand_mesh_ros.core.topology import MIDDLE_MCP, WRIST


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def rotation(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def random_crop(rng: np.random.Generator) -> np.ndarray:
    return crop.affine(rng.uniform(50, 400, 2), rotation(rng.uniform(-np.pi, np.pi)), rng.uniform(30, 700))


def hand_keypoints(rng: np.random.Generator) -> np.ndarray:
    """An upright fan of fingers, 100 px long, somewhere in the image."""
    spread = np.deg2rad(np.array([-60, -20, 0, 20, 40]))
    reach = np.array([40, 60, 80, 100])
    fingers = reach[None, :, None] * np.stack([np.sin(spread), -np.cos(spread)], -1)[:, None]
    return np.concatenate([np.zeros((1, 2)), fingers.reshape(-1, 2)]) + rng.uniform(100, 300, 2)


def test_points_come_back(rng: np.random.Generator) -> None:
    for _ in range(20):
        image_from_crop, points = random_crop(rng), rng.uniform(-100, 300, (50, 2))
        back = crop.apply(crop.inverse(image_from_crop), crop.apply(image_from_crop, points))
        np.testing.assert_allclose(back, points, atol=1e-8)


def test_middle_of_the_crop_is_its_centre(rng: np.random.Generator) -> None:
    centre = rng.uniform(0, 100, 2)
    square = crop.affine(centre, rotation(0.7), 90.0)
    np.testing.assert_allclose(crop.apply(square, np.full(2, (crop.SIZE_PX - 1) / 2)), centre)
    assert crop.scale(square) == pytest.approx(90 / crop.SIZE_PX)


def test_mirroring_reverses_the_rows_and_is_its_own_inverse(rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (300, 400, 3), dtype=np.uint8)
    for _ in range(5):
        square = random_crop(rng)
        mirrored = crop.mirror(square)
        assert crop.is_mirrored(mirrored)
        assert not crop.is_mirrored(square)
        np.testing.assert_allclose(crop.mirror(mirrored), square, atol=1e-9)
        # The interpolation works in 1/32 px and rounds halves one way, hence a few differences of a few grey levels.
        difference = crop.cut(image, square)[:, ::-1].astype(int) - crop.cut(image, mirrored)
        assert np.abs(difference).mean() < 3


def test_a_crop_of_the_pixel_grid_is_exact(rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (400, 500, 3), dtype=np.uint8)
    corner = np.array([37, 61])
    square = np.column_stack([np.eye(2), corner])
    np.testing.assert_array_equal(crop.cut(image, square), image[61 : 61 + crop.SIZE_PX, 37 : 37 + crop.SIZE_PX])


def test_a_crop_of_a_ramp_shows_the_coordinates_of_its_pixels(rng: np.random.Generator) -> None:
    x, y = np.meshgrid(np.arange(250), np.arange(250))
    image = np.stack([x, y, 0 * x], -1).astype(np.uint8)
    square = crop.affine(np.array([120.0, 125.0]), rotation(0.4), 150.0)
    v, u = np.mgrid[: crop.SIZE_PX, : crop.SIZE_PX]
    expected = crop.apply(square, np.stack([u, v], -1))
    np.testing.assert_allclose(crop.cut(image, square)[..., :2], expected, atol=0.6)


@pytest.mark.parametrize("shape", [(1, 1), (2, 500), (40, 40), (600, 300)])
def test_beyond_the_image_its_edge_goes_on(rng: np.random.Generator, shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 77, np.uint8)
    for square in (random_crop(rng), crop.affine(np.array([-5000.0, 9000.0]), rotation(1.0), 60.0)):
        cut = crop.cut(image, square)
        assert cut.shape == (crop.SIZE_PX, crop.SIZE_PX, 3)
        assert np.all(cut == 77)


def test_views_are_cut_like_copies(rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (300, 400, 3), dtype=np.uint8)
    square = random_crop(rng)
    for view in (image[:, ::-1], image[..., ::-1], image[::2, ::2], image.transpose(1, 0, 2)):
        np.testing.assert_array_equal(crop.cut(view, square), crop.cut(np.ascontiguousarray(view), square))


def test_the_hand_points_up_in_its_crop(rng: np.random.Generator) -> None:
    keypoints = hand_keypoints(rng)
    for angle in np.linspace(-3, 3, 7):
        turned = keypoints @ rotation(angle).T
        square = crop.around_keypoints(turned)
        upright = crop.apply(crop.inverse(square), turned)
        assert upright[WRIST, 1] > upright[MIDDLE_MCP, 1]
        assert abs(upright[WRIST, 0] - upright[MIDDLE_MCP, 0]) < 25
        assert upright.min() > 0
        assert upright.max() < crop.SIZE_PX - 1


def test_the_crop_turns_grows_and_moves_with_the_hand(rng: np.random.Generator) -> None:
    keypoints = hand_keypoints(rng)
    before = crop.apply(crop.inverse(crop.around_keypoints(keypoints)), keypoints)
    for _ in range(5):
        moved = rng.uniform(0.3, 3) * keypoints @ rotation(rng.uniform(-3, 3)).T + rng.uniform(-500, 500, 2)
        np.testing.assert_allclose(crop.apply(crop.inverse(crop.around_keypoints(moved)), moved), before, atol=1e-6)


def test_the_square_of_a_palm_lies_above_it() -> None:
    keypoints = np.array([[100.0, 140], [80, 100], [100, 90], [115, 95], [125, 105], [80, 130], [70, 115]])
    palm = Palm(np.array([60.0, 75, 80, 80]), keypoints, 0.9)
    square = crop.around_palm(palm)
    assert crop.scale(square) * crop.SIZE_PX == pytest.approx(2.6 * 80)
    middle = np.full(2, (crop.SIZE_PX - 1) / 2)
    np.testing.assert_allclose(crop.apply(square, middle), [100, 75 + 40 - 40])
    np.testing.assert_allclose(square[:, :2] / crop.scale(square), np.eye(2), atol=1e-12)


def test_coinciding_keypoints_give_an_upright_crop() -> None:
    np.testing.assert_array_equal(crop.axes_from_up(np.zeros(2)), np.eye(2))


def test_distance_from_the_image() -> None:
    points = np.array([[0.0, 0], [9.5, 4.5], [-0.5, 2], [-3.5, 2], [12.5, 8.5]])
    np.testing.assert_allclose(crop.outside_px(points, 10, 5), [0, 0, 0, 3, 5])
