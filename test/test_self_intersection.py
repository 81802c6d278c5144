"""Self-intersection of surfaces whose crossings are known."""

import numpy as np
import pytest
import trimesh

from benchmarks.self_intersection import intersecting_faces


def joined(*parts: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    offsets = np.cumsum([0, *(len(vertices) for vertices, _ in parts[:-1])])
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] + o for part, o in zip(parts, offsets)])


def ball(centre: float) -> tuple[np.ndarray, np.ndarray]:
    mesh = trimesh.creation.icosphere(subdivisions=3)
    # Turned by its place: two alike would meet edge on edge, which is touching.
    sine, cosine = np.sin(centre), np.cos(centre)
    turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    return mesh.vertices @ turn.T + np.array([centre, 0.0, 0.0]), np.asarray(mesh.faces)


def test_a_sphere_does_not_intersect_itself():
    assert not intersecting_faces(*ball(0.0)).any()


def test_two_crossed_triangles_do_and_two_that_share_a_corner_do_not():
    vertices = np.array([[0, 0, 0], [2, 0, 0], [0, 2, 0], [0.5, 0.5, -1], [0.5, 0.5, 1], [3, 3, 0.5]], float)
    assert intersecting_faces(vertices, np.array([[0, 1, 2], [3, 4, 5]])).tolist() == [True, True]
    assert intersecting_faces(vertices, np.array([[0, 1, 2], [0, 4, 5]])).tolist() == [False, False]


@pytest.mark.parametrize("distance", [2.5, 1.9, 1.2])
def test_faces_on_the_circle_in_which_two_balls_meet(distance):
    vertices, faces = joined(ball(0.0), ball(distance))
    hit = intersecting_faces(vertices, faces)
    if distance > 2:
        assert not hit.any()
        return
    # Two unit spheres meet in the plane half way, in a circle of radius sqrt(1 - (d / 2)^2).
    centres = vertices[faces][hit].mean(1)
    edge = np.linalg.norm(vertices[faces[0, 0]] - vertices[faces[0, 1]])
    assert np.abs(centres[:, 0] - distance / 2).max() < edge
    assert np.abs(np.hypot(centres[:, 1], centres[:, 2]) - np.sqrt(1 - distance**2 / 4)).max() < edge
    assert hit.sum() > 20


def test_turning_and_order_of_faces_change_nothing():
    vertices, faces = joined(ball(0.0), ball(1.5))
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    order = rng.permutation(len(faces))
    np.testing.assert_array_equal(intersecting_faces(vertices @ turn.T, faces[order]), intersecting_faces(vertices, faces)[order])
