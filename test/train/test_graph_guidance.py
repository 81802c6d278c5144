"""The closed-form Jacobian that the guidance solves with is that of automatic differentiation."""

import numpy as np
import pytest
import torch

from hand_mesh_ros.core.graph.directions import HandDirections
from hand_mesh_ros.core.graph.likeliest_hand import HandState, RayProblem, SkinPlanes, linearised, linearised_skin
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


def cross_matrix(vector: torch.Tensor) -> torch.Tensor:
    x, y, z = vector
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero]).reshape(3, 3)


def test_the_jacobian_of_the_solver_is_that_of_automatic_differentiation(hand, meshes):
    rotation = np.linalg.qr(RNG.normal(size=(3, 3)))[0]
    rotation *= np.linalg.det(rotation)
    joints_m, place = hand.joint_regressor @ meshes[0], np.array([0.05, -0.02, 0.5])
    placed = joints_m @ rotation.T + place
    rays = placed[:, :2] / placed[:, 2:] + 0.01 * RNG.normal(size=(N_JOINTS, 2))
    problem = RayProblem(joints_m, DIRECTIONS.of_joints_m, rays, WEIGHTS, 0.004, rotation)
    coefficients = RNG.normal(0, 0.3, len(DIRECTIONS.of_joints_m))

    def residual_of(step: torch.Tensor) -> torch.Tensor:
        turn = torch.linalg.matrix_exp(cross_matrix(step[:3])) @ torch.from_numpy(rotation)
        moved = torch.from_numpy(coefficients) + step[6:]
        shape = torch.from_numpy(joints_m) + torch.tensordot(moved, torch.from_numpy(DIRECTIONS.of_joints_m), dims=1)
        points = shape @ turn.T + torch.from_numpy(place) + step[3:6]
        root = torch.from_numpy(WEIGHTS).sqrt()[:, None] / problem.ray_std
        return (root * (points[:, :2] / points[:, 2:] - torch.from_numpy(rays))).ravel()

    residual, jacobian = linearised(problem, HandState(rotation, place, coefficients))
    nothing = torch.zeros(6 + len(coefficients), dtype=torch.float64)
    np.testing.assert_allclose(residual, residual_of(nothing).numpy(), rtol=1e-9, atol=1e-9)
    expected = torch.autograd.functional.jacobian(residual_of, nothing).numpy()
    np.testing.assert_allclose(jacobian, expected, atol=1e-9 * np.abs(expected).max())


def test_the_jacobian_of_the_skin_is_that_of_automatic_differentiation(meshes):
    rotation = np.linalg.qr(RNG.normal(size=(3, 3)))[0]
    rotation *= np.linalg.det(rotation)
    place, measured = np.array([0.05, -0.02, 0.5]), RNG.choice(len(meshes[0]), 80, replace=False)
    normals = RNG.normal(size=(len(measured), 3))
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    directions_m = DIRECTIONS.basis_m[:20, measured]
    offsets_m = normals @ place + 0.005 * RNG.normal(size=len(measured))
    skin = SkinPlanes(meshes[0][measured], directions_m, normals, offsets_m, RNG.uniform(0, 1e5, len(measured)))
    coefficients = RNG.normal(0, 0.3, len(directions_m))

    def residual_of(step: torch.Tensor) -> torch.Tensor:
        turn = torch.linalg.matrix_exp(cross_matrix(step[:3])) @ torch.from_numpy(rotation)
        shape = torch.from_numpy(skin.points_m)
        shape = shape + torch.tensordot(torch.from_numpy(coefficients) + step[6:], torch.from_numpy(directions_m), dims=1)
        points = shape @ turn.T + torch.from_numpy(place) + step[3:6]
        distance = (torch.from_numpy(normals) * points).sum(-1) - torch.from_numpy(offsets_m)
        return torch.from_numpy(skin.precision).sqrt() * distance

    residual, jacobian = linearised_skin(skin, HandState(rotation, place, coefficients))
    nothing = torch.zeros(6 + len(coefficients), dtype=torch.float64)
    np.testing.assert_allclose(residual, residual_of(nothing).numpy(), rtol=1e-9, atol=1e-9)
    expected = torch.autograd.functional.jacobian(residual_of, nothing).numpy()
    np.testing.assert_allclose(jacobian, expected, atol=1e-9 * np.abs(expected).max())
