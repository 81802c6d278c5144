"""Left is right, mirrored: involutions, and agreement of the functions with each other."""

import numpy as np
import pytest

from hand_mesh_ros.core.geometry import mirror
from hand_mesh_ros.core.hand.wrist_frame import wrist_rotation


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(2)


def random_rotations(rng: np.random.Generator, n: int) -> np.ndarray:
    q = np.stack([np.linalg.qr(matrix)[0] for matrix in rng.normal(size=(n, 3, 3))])
    return q * np.sign(np.linalg.det(q))[:, None, None]


def test_every_function_is_its_own_inverse(rng):
    points, factors = rng.normal(size=(5, 21, 3)).astype(np.float32), rng.normal(size=(5, 3, 3))
    covariances, rotations = factors @ factors.transpose(0, 2, 1), random_rotations(rng, 5)
    faces = rng.integers(0, 50, (20, 3))
    for function, value in (
        (mirror.mirror_points, points),
        (mirror.mirror_points, points[..., :2]),
        (mirror.mirror_in_wrist_frame, points),
        (mirror.mirror_covariances, covariances),
        (mirror.mirror_rotations, rotations),
        (mirror.mirror_faces, faces),
    ):
        twice = function(function(value))
        np.testing.assert_allclose(twice, value, atol=1e-12)
        assert twice.dtype == value.dtype


def test_points_are_copied(rng):
    points = rng.normal(size=(3, 3))
    before = points.copy()
    mirror.mirror_points(points)
    np.testing.assert_array_equal(points, before)


def test_covariance_of_mirrored_points_is_the_mirrored_covariance(rng):
    cloud = rng.normal(size=(500, 3)) @ rng.normal(size=(3, 3))
    np.testing.assert_allclose(np.cov(mirror.mirror_points(cloud).T), mirror.mirror_covariances(np.cov(cloud.T)))


def test_mirrored_rotations_stay_rotations(rng):
    mirrored = mirror.mirror_rotations(random_rotations(rng, 8))
    np.testing.assert_allclose(np.linalg.det(mirrored), 1)
    np.testing.assert_allclose(mirrored @ mirrored.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (8, 3, 3)), atol=1e-12)


def test_the_wrist_frame_of_a_mirrored_hand_is_the_mirrored_wrist_frame(rng):
    joints = rng.normal(size=(10, 21, 3))
    expected = mirror.mirror_rotations(wrist_rotation(joints, "right"))
    np.testing.assert_allclose(wrist_rotation(mirror.mirror_points(joints), "left"), expected, atol=1e-12)


def test_a_mirrored_hand_in_its_own_wrist_frame_has_y_the_other_way(rng):
    joints = rng.normal(size=(10, 21, 3))
    mirrored = mirror.mirror_points(joints)
    expected = mirror.mirror_in_wrist_frame(joints @ wrist_rotation(joints, "right"))
    np.testing.assert_allclose(mirrored @ wrist_rotation(mirrored, "left"), expected, atol=1e-12)


def test_rewound_faces_keep_normals_outside(rng):
    corners = rng.normal(size=(3, 3))

    def normal(points: np.ndarray, face: np.ndarray) -> np.ndarray:
        a, b, c = points[face]
        return np.cross(b - a, c - a)

    face = np.array([[0, 1, 2]])
    expected = mirror.mirror_points(normal(corners, face[0]))
    np.testing.assert_allclose(normal(mirror.mirror_points(corners), mirror.mirror_faces(face)[0]), expected)
