"""Measured points near a hand, and their pairs with the skin."""

import numpy as np
import pytest

from hand_mesh_ros.core.geometry.camera import project
from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.place.skin_pairs import pairs_at_points
from hand_mesh_ros.core.place.surface_points import surface_points
from hand_mesh_ros.core.types import Frame

K = np.array([[600.0, 0, 319.5], [0, 600, 239.5], [0, 0, 1]])
HAND_M = np.array([[-0.05, -0.08, 0.5], [0.07, 0.09, 0.52], [0.01, 0.0, 0.51]])


def frame_of(depth_m: np.ndarray) -> Frame:
    return Frame(np.zeros((480, 640, 3), np.uint8), K, depth_m.astype(np.float32))


def stepped_depth() -> np.ndarray:
    depth_m = np.full((480, 640), 1.5)
    depth_m[100:400, 250:417] = 0.51
    depth_m[200:220, 300:310] = 0
    depth_m[300:310, 300:310] = np.nan
    return depth_m


def test_points_are_on_the_surface_and_not_at_outlines_holes_or_the_wall():
    points_m = surface_points(HAND_M, frame_of(stepped_depth()))
    assert 200 < len(points_m) < 800
    np.testing.assert_allclose(points_m[:, 2], 0.51, atol=1e-6)
    pixels = project(points_m, K)
    np.testing.assert_allclose(pixels, np.round(pixels), atol=1e-4)
    assert pixels[:, 0].min() >= 251
    assert pixels[:, 0].max() <= 415


@pytest.mark.parametrize("shift_m", [0.0, 0.0013])
def test_a_mirrored_image_gives_the_mirrored_points(shift_m):
    frame, hand_m = frame_of(stepped_depth()), HAND_M + np.array([shift_m, 0, 0])
    points_m, mirrored_m = surface_points(hand_m, frame), surface_points(mirror_points(hand_m), frame.mirrored())
    expected_m = mirror_points(points_m)
    order, other = (np.lexsort(points.round(6).T) for points in (mirrored_m, expected_m))
    np.testing.assert_allclose(mirrored_m[order], expected_m[other], atol=1e-9)


@pytest.mark.parametrize("hand_m", [HAND_M + np.array(away) for away in ([3.0, 0, 0], [0, 0, -1.0], [0, 0, 0.6])])
def test_a_hand_outside_the_measured_space_has_no_points(hand_m):
    assert surface_points(hand_m, frame_of(stepped_depth())).shape == (0, 3)


def test_a_point_beside_the_skin_pulls_its_nearest_vertex_along_the_normal():
    skin_m = np.array([[0.0, 0, 0.5], [0.01, 0, 0.5], [0.011, 0, 0.52]])
    normals = np.array([[-1.0, 0, 0], [1, 0, 0], [1, 0, 0]])
    points_m = np.array([[0.014, 0, 0.5], [0.1, 0, 0.5]])
    pairs, beside = pairs_at_points(skin_m, normals, np.array([True, True, False]), points_m, 0.02)
    assert pairs.vertex.tolist() == [1], "the other point is out of reach"
    assert pairs.offset_m == pytest.approx([0.014])
    assert pairs.agreement == pytest.approx([1 / (1 + 0.4**2) ** 2], rel=1e-4)
    assert pairs.precision(0.5).sum() == pytest.approx(0.5 / (0.003**2 + (0.003 * 0.25) ** 2), rel=1e-4)
    assert not len(beside.vertex), "the point is on the line of the normal"
    assert not any(len(kind.vertex) for kind in pairs_at_points(skin_m, normals, np.zeros(3, bool), points_m, 0.02))


def test_a_point_beyond_the_end_of_the_skin_pulls_the_last_vertex_along_the_skin():
    skin_m, normals = np.array([[0.0, 0, 0.5], [0.01, 0, 0.5]]), np.array([[0.0, 0, -1], [0, 0, -1]])
    points_m = np.array([[0.022, 0, 0.5], [0.012, 0, 0.5]])
    pairs, beside = pairs_at_points(skin_m, normals, np.ones(2, bool), points_m, 0.02)
    assert pairs.vertex.tolist() == [1, 1]
    assert pairs.offset_m == pytest.approx(pairs.normal[:, 2] * 0.5), "both points are in the tangent plane"
    assert beside.vertex.tolist() == [1], "the other point is as near as a neighbouring vertex"
    np.testing.assert_allclose(beside.normal, [[1, 0, 0]], atol=1e-12)
    assert beside.offset_m == pytest.approx([0.022 - 0.0025])
