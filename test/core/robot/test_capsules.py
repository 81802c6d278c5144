"""Capsules hold the hand that they stand for, and grow by exactly the doubt asked for."""

from types import SimpleNamespace

import numpy as np
import pytest

from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.hand.kinematics import pose
from hand_mesh_ros.core.hand.model import FILE_NAME, HandModel
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.robot.capsules import HandCapsules, distances_m
from models_train.hands import poses


@pytest.fixture(scope="module")
def model() -> HandModel:
    return HandModel.load(default_models_dir() / FILE_NAME)


def hands(model: HandModel, n: int) -> list[SimpleNamespace]:
    """Posed hands with what capsules need of an estimate: joint 8 is known to 10 mm along y, the others to 2 mm."""
    joints, vertices = pose(model, poses.sample_angles(np.random.default_rng(6), n))
    covariance = np.tile(4e-6 * np.eye(3), (21, 1, 1))
    covariance[8, 1, 1] = 1e-4
    return [SimpleNamespace(joints_m=j, vertices_m=v, joint_covariance_m2=covariance) for j, v in zip(joints, vertices)]


def test_capsules_hold_the_whole_hand_and_little_else(model):
    capsules_of = HandCapsules(model)
    for hand in hands(model, 30):
        for mirror in (np.copy, mirror_points):
            points = {"joints_m": mirror(hand.joints_m), "vertices_m": mirror(hand.vertices_m)}
            mirrored = SimpleNamespace(**(vars(hand) | points))
            capsules = capsules_of.of(mirrored)
            depth = distances_m(mirrored.vertices_m[:, None], capsules.starts_m, capsules.ends_m) - capsules.radii_m
            assert depth.min(-1).max() < 1e-6, "a vertex is outside of all capsules"
            assert capsules.radii_m.max() < 0.05
            assert capsules.radii_m[[3, 7, 11, 15, 19]].max() < 0.02, "a fingertip is thinner than 4 cm"


def test_radii_grow_by_the_standard_deviations_asked_for(model):
    capsules_of, hand = HandCapsules(model), hands(model, 1)[0]
    growth = capsules_of.of(hand, 2.0).radii_m - capsules_of.of(hand).radii_m
    expected = np.full(20, 0.004)
    expected[7] = 0.02  # the bone that ends in joint 8
    np.testing.assert_allclose(growth, expected, atol=1e-9)


@pytest.mark.parametrize("k_sigma", [-1.0, np.nan, np.inf])
def test_a_number_of_deviations_that_makes_no_sense_is_refused(model, k_sigma):
    with pytest.raises(ValueError, match="k_sigma is"):
        HandCapsules(model).of(hands(model, 1)[0], k_sigma)


def test_distance_to_a_segment():
    start, end = np.array([0.0, 0, 0]), np.array([0.0, 0, 2])
    points = np.array([[3.0, 4, 1], [0, 0, 5], [0, 2, -1], [0, 0, 1]])
    np.testing.assert_allclose(distances_m(points, start, end), [5, 3, np.sqrt(5), 0])
    np.testing.assert_allclose(distances_m(points, start, start), np.linalg.norm(points, axis=-1))
