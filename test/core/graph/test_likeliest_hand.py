"""The likeliest hand on rays: exact ones are met, priors hold where rays say nothing, and every stated freedom counts."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hand_mesh_ros.core.graph.likeliest_hand import RayProblem, likeliest_hand
from hand_mesh_ros.core.hand import components as hand_components
from hand_mesh_ros.core.hand import model as hand_model
from hand_mesh_ros.core.hand.components import HandComponents
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.topology import N_JOINTS

TURN = Rotation.from_rotvec([1.4, 0.2, -0.5])
PLACE_M = np.array([0.05, -0.02, 0.45])
TRUTH = np.array([1.0, -0.5, 0.7])


@pytest.fixture(scope="module")
def problem() -> RayProblem:
    """Rays of the hand with the coefficients TRUTH, first guess the mean hand, eight degrees off."""
    hand = HandModel.load(default_models_dir() / hand_model.FILE_NAME)
    components = HandComponents.load(default_models_dir() / hand_components.FILE_NAME, hand)
    regressor = hand.joint_regressor.astype(np.float64)
    joints_m, directions_m = regressor @ components.mean_m, regressor @ components.basis_m[: len(TRUTH)]
    placed = TURN.apply(joints_m + np.tensordot(TRUTH, directions_m, axes=1)) + PLACE_M
    start = (Rotation.from_rotvec(np.deg2rad([5.0, -5.0, 4.0])) * TURN).as_matrix()
    return RayProblem(joints_m, directions_m, placed[:, :2] / placed[:, 2:], np.ones(N_JOINTS), 1e-5, start)


def degrees_off(rotation: np.ndarray, other: np.ndarray) -> float:
    return float(np.rad2deg(Rotation.from_matrix(rotation @ other.T).magnitude()))


def test_exact_rays_give_the_exact_hand(problem):
    coefficients, pose = likeliest_hand(problem)
    np.testing.assert_allclose(coefficients, TRUTH, atol=0.02)
    np.testing.assert_allclose(pose.translation_m[0], PLACE_M, atol=1e-3)
    assert degrees_off(pose.rotation[0], TURN.as_matrix()) < 0.2


def test_the_prior_holds_where_rays_mean_little(problem):
    coefficients, _ = likeliest_hand(replace(problem, ray_std=100.0))
    np.testing.assert_allclose(coefficients, 0, atol=1e-3)


@pytest.mark.parametrize(("std_deg", "least", "most"), [(0.0, 0.0, 0.01), (1.0, 0.5, 7.5), (90.0, 7.5, 8.8)])
def test_a_rotation_moves_as_far_as_it_may_be_off(problem, std_deg, least, most):
    _, pose = likeliest_hand(replace(problem, turn_std_rad=np.deg2rad(std_deg), ray_std=1e-3))
    assert least <= degrees_off(pose.rotation[0], problem.rotation) <= most


def test_without_directions_only_the_pose_is_found(problem):
    joints_m = problem.joints_m + np.tensordot(TRUTH, problem.directions_m, axes=1)
    coefficients, pose = likeliest_hand(replace(problem, joints_m=joints_m, directions_m=problem.directions_m[:0]))
    assert coefficients.shape == (0,)
    assert degrees_off(pose.rotation[0], TURN.as_matrix()) < 0.1


def test_rays_of_no_weight_have_no_influence(problem):
    confidence = np.where(np.arange(N_JOINTS) % 5 == 0, 0.0, 1.0)
    wrong = np.where(confidence[:, None] > 0, problem.rays, 3.0)
    found = [likeliest_hand(replace(problem, rays=rays, confidence=confidence))[0] for rays in (problem.rays, wrong)]
    np.testing.assert_allclose(*found, atol=1e-9)


def test_rays_that_are_not_finite_are_refused(problem):
    with pytest.raises(ValueError, match="finite"):
        likeliest_hand(replace(problem, rays=np.full((N_JOINTS, 2), np.nan)))
