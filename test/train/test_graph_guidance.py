"""The closed-form gradients of the guidance are those of automatic differentiation."""

import numpy as np
import pytest
import torch

from hand_mesh_ros.core.graph import guidance
from hand_mesh_ros.core.graph.directions import HandDirections
from hand_mesh_ros.core.graph.guidance import ProjectionTarget
from hand_mesh_ros.core.hand import components as hand_components
from hand_mesh_ros.core.hand import kinematics
from hand_mesh_ros.core.hand.components import HandComponents
from hand_mesh_ros.core.hand.model import FILE_NAME, HandModel
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.topology import N_JOINTS

RNG = np.random.default_rng(0)
WEIGHTS = RNG.uniform(0, 1, N_JOINTS) * (np.arange(N_JOINTS) % 5 > 0)
HAND = HandModel.load(default_models_dir() / FILE_NAME)
DIRECTIONS = HandDirections(HAND, HandComponents.load(default_models_dir() / hand_components.FILE_NAME, HAND))


@pytest.fixture(scope="module")
def hand() -> HandModel:
    return HAND


@pytest.fixture(scope="module")
def meshes(hand) -> np.ndarray:
    return kinematics.pose(hand, np.abs(RNG.normal(0, 0.4, (3, 5, 4))))[1].astype(np.float64)


def check(target: guidance.Target, meshes: np.ndarray, value_of, *pose) -> None:
    """Compares value and gradient with those of a torch function of meshes (n, V, 3)."""
    leaf = torch.from_numpy(meshes).requires_grad_()
    values = value_of(leaf)
    values.sum().backward()
    np.testing.assert_allclose(target.value(meshes, *pose), values.detach().numpy(), rtol=1e-9)
    error = np.abs(target.gradient(meshes, *pose) - leaf.grad.numpy()).max()
    assert error < 1e-6 * leaf.grad.abs().max().item()


@pytest.mark.parametrize("weights", [np.ones(N_JOINTS), WEIGHTS])
def test_joints_and_part_of_them(hand, meshes, weights):
    joints_m = hand.joints_m.astype(np.float64)
    regressor = torch.from_numpy(hand.joint_regressor).double()

    def value_of(vertices_m):
        squares = (regressor @ vertices_m - torch.from_numpy(joints_m)).square().sum(-1)
        return (torch.from_numpy(weights) * squares).sum(-1)

    check(guidance.joint_target(hand, joints_m, weights), meshes, value_of)


def test_vertices(hand, meshes):
    given = np.arange(len(hand.template_m)) % 3 == 0
    truth_m = hand.template_m.astype(np.float64)

    def value_of(vertices_m):
        return (vertices_m - torch.from_numpy(truth_m))[:, torch.from_numpy(given)].square().sum((-1, -2))

    check(guidance.vertex_target(hand, truth_m, given), meshes, value_of)


def test_projection(hand, meshes):
    rotation = np.linalg.qr(RNG.normal(size=(len(meshes), 3, 3)))[0]
    rotation *= np.linalg.det(rotation)[:, None, None]
    placed = hand.joint_regressor @ meshes[0] @ rotation[0].T + [0.05, -0.02, 0.5]
    rays = placed[:, :2] / placed[:, 2:] + 0.01 * RNG.normal(size=(N_JOINTS, 2))
    target = ProjectionTarget(DIRECTIONS, rays, WEIGHTS, 0.001, rotation)
    pose = target.pose(meshes)
    regressor = torch.from_numpy(hand.joint_regressor).double()

    def value_of(vertices_m):
        turned = regressor @ vertices_m @ torch.from_numpy(pose.rotation).mT + torch.from_numpy(pose.translation_m)[:, None]
        squares = (turned[..., :2] / turned[..., 2:] - torch.from_numpy(rays)).square().sum(-1)
        return (torch.from_numpy(WEIGHTS) * squares).sum(-1)

    check(target, meshes, value_of, pose)
