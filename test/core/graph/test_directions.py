"""Directions in which a surface may move: single joints by themselves, whole hands, and how far each."""

from itertools import pairwise

import numpy as np
import pytest

from hand_mesh_ros.core.graph.directions import HandDirections
from hand_mesh_ros.core.hand import components as hand_components
from hand_mesh_ros.core.hand import model as hand_model
from hand_mesh_ros.core.hand.components import HandComponents
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.topology import N_JOINTS


@pytest.fixture(scope="module")
def hand() -> HandModel:
    return HandModel.load(default_models_dir() / hand_model.FILE_NAME)


@pytest.fixture(scope="module")
def directions(hand) -> HandDirections:
    return HandDirections(hand, HandComponents.load(default_models_dir() / hand_components.FILE_NAME, hand))


def test_a_surface_is_moved_near_to_its_joints(hand, directions):
    joints_m = hand.joint_regressor @ hand.template_m + np.random.default_rng(0).normal(0, 0.005, (N_JOINTS, 3))
    moved_m = directions.with_joints(hand.template_m, joints_m)
    meshes_m = (hand.template_m, moved_m)
    before, after = (np.linalg.norm(directions.regressor @ mesh_m - joints_m, axis=-1).mean() for mesh_m in meshes_m)
    assert after < 0.25 * before
    # Errors of neighbours that contradict each other do not tear it.
    assert np.linalg.norm(moved_m - hand.template_m, axis=-1).max() < 0.03


def test_local_directions_move_a_vertex_by_at_most_the_stated_deviation(directions):
    freedom = directions.freedom(0.0, 1.0, 0.0)
    # Mean variance of a vertex, per axis; what of K the joints do not tell is left out.
    variance = ((freedom[:, None, None] * directions.basis_m) ** 2).sum(0).mean()
    assert 0.3 < variance < 1.0


def test_the_prior_is_the_deviation_of_a_vertex(directions):
    freedom = directions.freedom(0.004, 0.0, 0.5)
    moved = ((freedom[:, None, None] * directions.basis_m) ** 2).sum((0, 2)).mean()
    assert np.sqrt(moved) == pytest.approx(0.004, rel=1e-3)


def test_less_noise_leaves_less_open_and_of_long_directions_the_most(directions):
    shares = [directions.freedom(None, 0.0, kept) for kept in (0.0, 0.5, 0.999, 1.0)]
    assert np.all(shares[0][: -3 * N_JOINTS] == 1)
    assert all(np.all(later <= earlier) for earlier, later in pairwise(shares))
    assert not np.any(shares[3])
    # Noise hides small deviations first: along the first component least of the prior is left.
    assert shares[1][0] == shares[1][: -3 * N_JOINTS].min()
