"""Fingers that close on objects."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hand_mesh_ros.core.topology import FINGER_JOINTS
from models_train.hands.grasps import Solid, sample_grasp
from models_train.hands.sample import shipped_hand

TURN = Rotation.from_rotvec([0.3, -0.5, 0.2]).as_matrix()


@pytest.mark.parametrize("kind", ["ball", "cylinder", "box"])
def test_the_surface_of_a_solid_has_distance_zero_and_its_middle_is_inside(kind):
    solid = Solid(kind, np.array([0.02, 0.03, 0.05]), TURN, np.array([0.1, 0.0, -0.2]))
    vertices, faces = solid.surface()
    np.testing.assert_allclose(solid.distance_m(vertices), 0, atol=1e-6)
    assert solid.distance_m(solid.centre_m) == pytest.approx(-0.02)
    normals = np.cross(*(vertices[faces[:, corner]] - vertices[faces[:, 0]] for corner in (1, 2)))
    outwards = vertices[faces].mean(1) + 0.01 * normals / np.linalg.norm(normals, axis=-1, keepdims=True)
    np.testing.assert_allclose(solid.distance_m(outwards), 0.01, atol=5e-4)


@pytest.mark.parametrize("held_out", [False, True])
def test_grasps_touch_their_object_and_do_not_enter_it(held_out):
    weights, touching = shipped_hand().skin_weights, []
    fingers = [weights[:, joints[1:]].sum(1) > 0.5 for joints in FINGER_JOINTS]
    for seed in range(30):
        grasp = sample_grasp(np.random.default_rng(seed), held_out)
        distance = grasp.held.distance_m(grasp.vertices_m)
        assert distance[np.any(fingers, axis=0)].min() > -0.004
        touching.append([distance[own].min() < 0.004 for own in fingers])
    assert np.all(np.array(touching)[:, 0])
    assert np.min(np.sum(touching, axis=1)) >= 2
    # Power grasps use all fingers, pinches fewer.
    assert 2.5 < np.sum(touching, axis=1).mean() < 4.8


def test_the_same_seed_gives_the_same_grasp():
    one, other = (sample_grasp(np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(one.vertices_m, other.vertices_m)
    assert one.held.kind == other.held.kind
