"""Projection and its inverse, with the lens models that drivers publish; the virtual camera."""

import numpy as np
import pytest

from hand_mesh_ros.core.geometry import camera

K = np.array([[610.0, 0, 322.0], [0, 605.0, 236.0], [0, 0, 1]])
PLUMB_BOB = np.array([-0.28, 0.09, 0.0007, -0.0004, -0.013])
RATIONAL = np.array([0.45, -0.12, 0.0002, 0.0001, 0.003, 0.78, -0.05, 0.001])


@pytest.mark.parametrize("distortion", [None, np.zeros(5), PLUMB_BOB, RATIONAL], ids=["none", "zero", "plumb_bob", "rational"])
def test_the_ray_of_a_projected_point_is_the_point(distortion):
    points = np.random.default_rng(0).uniform((-0.15, -0.12, 0.3), (0.15, 0.12, 1.2), (50, 3))
    rays = camera.rays_from_pixels(camera.project(points, K, distortion), K, distortion)
    np.testing.assert_allclose(rays, points[:, :2] / points[:, 2:], atol=2e-4)


def test_without_distortion_the_round_trip_is_exact_and_batched():
    points = np.random.default_rng(1).uniform((-0.2, -0.2, 0.3), (0.2, 0.2, 1.2), (4, 7, 3))
    pixels = camera.project(points, K)
    assert pixels.shape == (4, 7, 2)
    rays = camera.rays_from_pixels(pixels.reshape(-1, 2), K).reshape(4, 7, 2)
    np.testing.assert_allclose(rays, points[..., :2] / points[..., 2:], atol=1e-12)
    np.testing.assert_allclose(camera.project(points, K, PLUMB_BOB)[2], camera.project(points[2], K, PLUMB_BOB))


def test_the_optical_axis_meets_the_principal_point():
    np.testing.assert_allclose(camera.project(np.array([[0, 0, 0.7]]), K, PLUMB_BOB), [[322.0, 236.0]])


def test_an_assumed_camera_sees_its_field_of_view_over_the_longer_side():
    for width, height in ((640, 480), (480, 640)):
        k = camera.assumed_camera_matrix(width, height)
        assert camera.is_calibrated(k)
        centre = np.array([(width - 1) / 2, (height - 1) / 2])
        # The image ends half a pixel beyond the centres of its outermost pixels.
        edge = centre - (width / 2, 0) if width > height else centre - (0, height / 2)
        ray = camera.rays_from_pixels(np.array([centre, edge]), k)
        np.testing.assert_allclose(ray[0], 0, atol=1e-12)
        assert np.arctan(np.abs(ray[1]).max()) == pytest.approx(0.5 * camera.ASSUMED_FOV_RAD)
    assert not camera.is_calibrated(np.zeros((3, 3)))


@pytest.mark.parametrize(("centre", "up"), [((0.3, -0.2), (0.35, -0.5)), ((0, 0), (0, 0.4)), ((-0.6, 0.5), (-0.9, 0.5))])
def test_the_virtual_camera_looks_at_the_centre_with_up_above_it(centre, up):
    rotation = camera.virtual_from_camera(np.array(centre), np.array(up))
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)
    seen_centre, seen_up = rotation @ (*centre, 1.0), rotation @ (*up, 1.0)
    np.testing.assert_allclose(seen_centre[:2], 0, atol=1e-12)
    assert seen_centre[2] > 0
    assert seen_up[0] == pytest.approx(0, abs=1e-12)
    assert seen_up[1] < 0


def test_the_virtual_camera_keeps_the_roll_where_up_is_the_centre():
    np.testing.assert_allclose(camera.virtual_from_camera(np.zeros(2), np.zeros(2)), np.eye(3), atol=1e-12)
    tilted = camera.virtual_from_camera(np.array([0.4, 0.1]), np.array([0.4, 0.1]))
    assert (tilted @ (0, 1, 0))[1] > 0.9


def test_the_line_of_sight_becomes_the_axis_by_the_smallest_turn() -> None:
    rays = np.random.default_rng(0).uniform(-1.5, 1.5, (50, 2))
    rotation = camera.sight_from_camera(rays)
    np.testing.assert_allclose(rotation @ np.swapaxes(rotation, -1, -2), np.tile(np.eye(3), (50, 1, 1)), atol=1e-12)
    directions = np.concatenate([rays, np.ones((50, 1))], -1)
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    np.testing.assert_allclose((rotation @ directions[..., None])[..., 0], np.tile([0.0, 0, 1], (50, 1)), atol=1e-12)
    # The smallest turn is by the angle between the two, no more.
    cosine = 0.5 * (np.trace(rotation, axis1=1, axis2=2) - 1)
    np.testing.assert_allclose(cosine, directions[:, 2], atol=1e-12)
