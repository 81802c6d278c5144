"""Rotation and translation of a skeleton of known shape from its rays."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hand_mesh_ros.core.graph.likeliest_hand import Pose, solve_pose
from hand_mesh_ros.core.hand.model import FILE_NAME, HandModel
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.topology import N_JOINTS

N = 20


@pytest.fixture(scope="module")
def truth() -> Pose:
    rng = np.random.default_rng(0)
    return Pose(Rotation.random(N, random_state=rng).as_matrix(), rng.uniform([-0.2, -0.2, 0.4], [0.2, 0.2, 1.0], (N, 3)))


@pytest.fixture(scope="module")
def joints_m() -> np.ndarray:
    """A hand that is not flat: a flat one has two explanations."""
    rest = HandModel.load(default_models_dir() / FILE_NAME).joints_m.astype(np.float64)
    return rest + 0.01 * np.random.default_rng(1).standard_normal(rest.shape)


def rays_of(pose: Pose, joints_m: np.ndarray) -> np.ndarray:
    placed = pose.place(np.broadcast_to(joints_m, (len(pose.rotation), *joints_m.shape)))
    return placed[..., :2] / placed[..., 2:]


def disturbed(rotation: np.ndarray, degrees: float) -> np.ndarray:
    turns = np.deg2rad(degrees) * np.random.default_rng(2).standard_normal((len(rotation), 3)) / np.sqrt(3)
    return Rotation.from_rotvec(turns).as_matrix() @ rotation


def test_exact_rays_give_the_exact_pose(truth, joints_m):
    for one in range(N):
        rays = rays_of(truth, joints_m)[one]
        start = disturbed(truth.rotation[one : one + 1], 5)
        pose = solve_pose(joints_m[None], rays, np.ones(N_JOINTS), start)
        np.testing.assert_allclose(pose.rotation[0], truth.rotation[one], atol=2e-3)
        np.testing.assert_allclose(pose.translation_m[0], truth.translation_m[one], atol=2e-3)


def test_joints_without_weight_do_not_matter(truth, joints_m):
    rays, confidence = rays_of(truth, joints_m)[0], np.ones(N_JOINTS)
    confidence[[4, 8]] = 0
    wrong = rays.copy()
    wrong[[4, 8]] += 0.5
    poses = [solve_pose(joints_m[None], seen, confidence, truth.rotation[:1]) for seen in (rays, wrong)]
    np.testing.assert_allclose(poses[0].rotation, poses[1].rotation, atol=1e-12)
    np.testing.assert_allclose(poses[0].translation_m, poses[1].translation_m, atol=1e-12)


def test_a_turned_camera_turns_the_pose(truth, joints_m):
    rays, confidence = rays_of(truth, joints_m)[0], np.ones(N_JOINTS)
    roll = Rotation.from_rotvec([0, 0, 0.7]).as_matrix()
    noisy = rays + 0.003 * np.random.default_rng(3).standard_normal(rays.shape)
    pose = solve_pose(joints_m[None], noisy, confidence, truth.rotation[:1])
    turned = solve_pose(joints_m[None], noisy @ roll[:2, :2].T, confidence, roll @ truth.rotation[:1])
    np.testing.assert_allclose(turned.rotation, roll @ pose.rotation, atol=1e-4)
    np.testing.assert_allclose(turned.translation_m, pose.translation_m @ roll.T, atol=1e-4)


def test_hypotheses_do_not_depend_on_each_other(truth, joints_m):
    rays, confidence = rays_of(truth, joints_m)[0], np.ones(N_JOINTS)
    hands = joints_m + 0.003 * np.random.default_rng(4).standard_normal((3, *joints_m.shape))
    starts = disturbed(np.repeat(truth.rotation[:1], 3, 0), 5)
    together = solve_pose(hands, rays, confidence, starts)
    alone = solve_pose(hands[1:2], rays, confidence, starts[1:2])
    np.testing.assert_allclose(together.rotation[1:2], alone.rotation, atol=1e-9)


def test_rays_that_are_none_are_refused(joints_m):
    with pytest.raises(ValueError, match="finite"):
        solve_pose(joints_m[None], np.full((N_JOINTS, 2), np.nan), np.ones(N_JOINTS), np.eye(3)[None])
