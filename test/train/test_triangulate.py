"""Landmarks are found where most of their rays meet, even if many rays go elsewhere."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from models_train.hand_model.triangulate import Sightings, triangulate


def sightings(points_m: np.ndarray, n_views: int, rng: np.random.Generator) -> Sightings:
    """Points (L, 3) seen without errors from all sides, half a metre away."""
    rotations = Rotation.random(n_views, random_state=rng).as_matrix()
    translations = np.tile([0.0, 0.0, 0.5], (n_views, 1)) + rng.normal(0, 0.02, (n_views, 3))
    in_camera = points_m @ np.swapaxes(rotations, -1, -2) + translations[:, None]
    return Sightings(rotations, translations, in_camera[..., :2] / in_camera[..., 2:])


@pytest.fixture
def points_m() -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.08, 0.08, (21, 3))


def test_rays_without_errors_give_the_points_exactly(points_m):
    found, distances = triangulate(sightings(points_m, 5, np.random.default_rng(1)))
    np.testing.assert_allclose(found, points_m, atol=1e-9)
    assert distances.shape == (5, 21)
    assert distances.max() < 1e-9


def test_rays_that_go_elsewhere_are_left_out(points_m):
    rng = np.random.default_rng(2)
    seen = sightings(points_m, 150, rng)
    seen.rays[:] += rng.normal(0, 0.004, seen.rays.shape)  # 2 mm at half a metre
    # A hidden landmark is guessed off to one side of the hand: its wrong rays agree more or less with each other.
    astray = rng.random(seen.rays.shape[:2]) < 0.3
    seen.rays[astray] += np.array([0.06, 0.03]) + rng.normal(0, 0.04, (astray.sum(), 2))
    found, distances = triangulate(seen)
    assert 1000 * np.linalg.norm(found - points_m, axis=1).max() < 1.5
    assert 1000 * np.median(distances[~astray]) < 4
    assert np.median(distances[astray]) > 5 * np.median(distances[~astray])


def test_moving_the_hands_frame_moves_its_points(points_m):
    seen = sightings(points_m, 40, np.random.default_rng(3))
    seen.rays[:] += np.random.default_rng(4).normal(0, 0.01, seen.rays.shape)
    shift = np.array([0.3, -0.2, 0.5])
    moved = Sightings(seen.rotations, seen.translations_m - seen.rotations @ shift, seen.rays)
    np.testing.assert_allclose(triangulate(moved)[0], triangulate(seen)[0] + shift, atol=1e-6)


def test_one_view_is_refused(points_m):
    seen = sightings(points_m, 1, np.random.default_rng(5))
    with pytest.raises(ValueError, match="1 views"):
        triangulate(seen)
