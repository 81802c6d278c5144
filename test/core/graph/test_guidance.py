"""Guidance: it lowers its objective, keeps the surface smooth, leaves alone what is not given."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hand_mesh_ros.core.graph import guidance
from hand_mesh_ros.core.graph.directions import HandDirections
from hand_mesh_ros.core.graph.guidance import ProjectionTarget
from hand_mesh_ros.core.hand import components as hand_components
from hand_mesh_ros.core.hand import kinematics
from hand_mesh_ros.core.hand.components import HandComponents
from hand_mesh_ros.core.hand.model import FILE_NAME, HandModel
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.topology import FINGER_JOINTS, N_JOINTS

N = 4
SHIFT_M = np.array([0.02, -0.03, 0.5])
HAND = HandModel.load(default_models_dir() / FILE_NAME)
DIRECTIONS = HandDirections(HAND, HandComponents.load(default_models_dir() / hand_components.FILE_NAME, HAND))


@pytest.fixture(scope="module")
def hand() -> HandModel:
    return HAND


@pytest.fixture(scope="module")
def meshes(hand) -> np.ndarray:
    """(N + 1, V, 3): slightly and more bent hands; the last is what the others are to become."""
    bend = np.linspace(0.1, 0.5, N + 1)[:, None, None] * np.array([0.0, 0.6, 0.8, 0.5])
    return kinematics.pose(hand, np.repeat(bend, 5, axis=1))[1].astype(np.float64)


@pytest.fixture(scope="module")
def rotation() -> np.ndarray:
    return np.repeat(Rotation.from_euler("xyz", [100, 20, 10], degrees=True).as_matrix()[None], N, 0)


def projection(hand: HandModel, truth_m: np.ndarray, rotation: np.ndarray, weights: np.ndarray | None = None) -> ProjectionTarget:
    placed = hand.joint_regressor @ truth_m @ rotation[0].T + SHIFT_M
    weights = np.ones(N_JOINTS) if weights is None else weights
    return ProjectionTarget(DIRECTIONS, placed[:, :2] / placed[:, 2:], weights, 0.0005, rotation, 0.01)


def roughness(hand: HandModel, moved_m: np.ndarray) -> float:
    """Root mean square difference of the movement (n, V, 3) between the ends of an edge, relative to its size."""
    edges = np.concatenate([hand.faces[:, [0, 1]], hand.faces[:, [1, 2]]])
    return float(np.sqrt(((moved_m[:, edges[:, 0]] - moved_m[:, edges[:, 1]]) ** 2).mean() / (moved_m**2).mean()))


@pytest.mark.parametrize("operator", ["joints", "joints of whole hands", "some joints", "vertices", "projection"])
def test_a_few_steps_meet_what_is_given(hand, meshes, rotation, operator):
    guess, truth = meshes[:N], meshes[N]
    weights = np.ones(N_JOINTS)
    weights[FINGER_JOINTS[3:].ravel()] = 0
    target = {
        "joints": lambda: guidance.joint_target(hand, hand.joint_regressor @ truth, np.ones(N_JOINTS)),
        "joints of whole hands": lambda: guidance.joint_target(hand, hand.joint_regressor @ truth, np.ones(N_JOINTS), DIRECTIONS),
        "some joints": lambda: guidance.joint_target(hand, hand.joint_regressor @ truth, weights),
        "vertices": lambda: guidance.vertex_target(hand, truth, np.arange(len(truth)) % 3 > 0),
        "projection": lambda: projection(hand, truth, rotation),
    }[operator]()
    values = [target.value(guess)]
    for _ in range(2):
        guess = target.improve(guess)
        values.append(target.value(guess))
    assert np.all(values[1] < 0.2 * values[0])
    assert np.all(values[2] < 0.05 * values[0])


def test_given_vertices_end_within_a_tenth_of_a_millimetre(hand, meshes):
    given = meshes[N][:, 2] < 0.1
    found = guidance.vertex_target(hand, meshes[N], given).improve(meshes[:N])
    assert np.linalg.norm(found[:, given] - meshes[N][given], axis=-1).max() < 1e-4


def test_the_surface_moves_smoothly_where_the_plain_gradient_tears_it(hand, meshes):
    target = guidance.joint_target(hand, hand.joint_regressor @ meshes[N], np.ones(N_JOINTS))
    moved = target.improve(meshes[:N]) - meshes[:N]
    # The plain gradient of the joints' distances moves only the vertices that the joints are sums of.
    plain = hand.joint_regressor.T @ (hand.joint_regressor @ meshes[:N] - hand.joint_regressor @ meshes[N])
    assert roughness(hand, moved) < 0.5 * roughness(hand, plain)


def test_joints_without_weight_may_be_nan_and_move_no_mesh(hand, meshes):
    joints_m, weights = hand.joint_regressor @ meshes[N], np.zeros(N_JOINTS)
    weights[0] = 1
    joints_m[1:] = np.nan
    moved = guidance.joint_target(hand, joints_m, weights).improve(meshes[:N])
    assert np.all(np.isfinite(moved))
    far = hand.fingertip_vertices
    np.testing.assert_allclose(moved[:, far], meshes[:N][:, far], atol=1e-4)


def test_whole_hands_follow_given_joints_better_than_their_skin_alone(hand, meshes):
    """Of a finger that is given, its skin far from the joints is found, too."""
    joints_m = hand.joint_regressor @ meshes[N]
    errors = []
    for directions in (None, DIRECTIONS):
        found = guidance.joint_target(hand, joints_m, np.ones(N_JOINTS), directions).improve(meshes[:1])
        errors.append(np.linalg.norm(found - meshes[N], axis=-1).mean())
    assert errors[1] < 0.5 * errors[0]


def test_keypoints_without_confidence_have_no_influence(hand, meshes, rotation):
    weights = np.ones(N_JOINTS)
    weights[FINGER_JOINTS[1]] = 0
    placed = hand.joint_regressor @ meshes[N] @ rotation[0].T + SHIFT_M
    rays = placed[:, :2] / placed[:, 2:]
    found = []
    for shift in (0.0, 0.05):
        seen = np.where(weights[:, None] > 0, rays, rays + shift)
        found.append(ProjectionTarget(DIRECTIONS, seen, weights, 0.0005, rotation, 0.01).improve(meshes[:N]))
    np.testing.assert_allclose(*found, atol=1e-9)


def test_guesses_from_little_noise_are_moved_little(hand, meshes, rotation):
    placed = hand.joint_regressor @ meshes[N] @ rotation[0].T + SHIFT_M
    target = ProjectionTarget(DIRECTIONS, placed[:, :2] / placed[:, 2:], np.ones(N_JOINTS), 0.0005, rotation)
    moved = [np.abs(target.improve(meshes[:N], kept) - meshes[:N]).mean() for kept in (0.0, 0.5, 0.99, 1.0)]
    assert moved[0] > moved[1] > moved[2] > moved[3]
    assert moved[3] == pytest.approx(0, abs=1e-9)


def test_a_trusted_guess_follows_the_rays_less(hand, meshes, rotation):
    placed = hand.joint_regressor @ meshes[N] @ rotation[0].T + SHIFT_M
    moved = []
    for prior_std_m in (0.02, 0.005, 0.0005):
        target = ProjectionTarget(DIRECTIONS, placed[:, :2] / placed[:, 2:], np.ones(N_JOINTS), 0.003, rotation, prior_std_m)
        moved.append(np.abs(target.improve(meshes[:N]) - meshes[:N]).mean())
    assert moved[0] > moved[1] > 5 * moved[2] > 0


def test_guided_denoising_improves_every_guess():
    improved = guidance.guided(lambda noisy, time: noisy + time, lambda clean, kept: 2 * clean + kept)
    assert improved(np.array([1.0]), 1000.0) == pytest.approx(2002)


def test_a_mesh_of_which_nothing_is_given_is_refused(hand, meshes):
    with pytest.raises(ValueError, match="none of the"):
        guidance.vertex_target(hand, meshes[N], np.zeros(len(meshes[N]), bool))
