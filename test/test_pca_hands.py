"""The PCA baseline against Gaussians whose parameters are known."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from benchmarks.pca_hands import PcaHands, PcaSpace
from hand_mesh_ros.core.geometry.rays import ray_extent
from models_train.hand_model.components import in_palm_frame
from models_train.hands.sample import sample_hands, shipped_hand

STDS = np.array([0.02, 0.008, 0.003])


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(4)


@pytest.fixture
def gaussian(rng: np.random.Generator) -> PcaHands:
    """Clouds of 12 points that vary in three directions."""
    directions = np.linalg.qr(rng.normal(size=(36, 3)))[0].T.reshape(3, 12, 3)
    return PcaHands(rng.normal(0, 0.05, (12, 3)), STDS[:, None, None] * directions, 1e-4, 1.0)


@pytest.fixture(scope="module")
def hands() -> np.ndarray:
    model = shipped_hand()
    return in_palm_frame(sample_hands(np.random.default_rng(0), 300).vertices_m, model)


# Fewer and more meshes than coordinates: the two ways of the decomposition.
@pytest.mark.parametrize("n", [30, 3000])
def test_components_of_a_gaussian_are_found(gaussian, n):
    meshes = gaussian.sample(n, seed=0)
    space = PcaSpace(meshes)
    assert space.components_for(0.9999) == 3
    found = space.truncated(3)
    covariance = np.cov(meshes.reshape(n, -1).T)
    basis = found.basis_m.reshape(3, -1)
    np.testing.assert_allclose(basis.T @ basis, covariance, atol=1e-9)
    assert found.explained == pytest.approx(1.0)


def test_what_is_left_out_is_the_residual(gaussian):
    meshes = gaussian.sample(5000, seed=0)
    cut = PcaSpace(meshes).truncated(1)
    variance = (STDS**2).sum()
    assert cut.explained == pytest.approx(STDS[0] ** 2 / variance, rel=0.03)
    assert cut.residual_std_m == pytest.approx(np.sqrt((STDS[1:] ** 2).sum() / 36), rel=0.05)
    with pytest.raises(ValueError, match="1 components"):
        PcaSpace(meshes[:2]).components_for(1.5)


def test_completed_clouds_follow_the_conditional_gaussian(gaussian, rng):
    operator = np.eye(12)[:2]
    places = gaussian.sample(1, seed=9)[0, :2]
    drawn = gaussian.complete(operator, places, 20000, seed=1).reshape(20000, -1)
    # Of y = A x + noise with x normal: the textbook formula on all coordinates at once.
    covariance = np.einsum("kvc,kwd->vcwd", gaussian.basis_m, gaussian.basis_m).reshape(36, 36)
    rows = covariance[:6]
    gain = np.linalg.solve(rows[:, :6] + gaussian.residual_std_m**2 * np.eye(6), rows).T
    expected = gaussian.mean_m.ravel() + gain @ (places - gaussian.mean_m[:2]).ravel()
    np.testing.assert_allclose(drawn.mean(0), expected, atol=2e-4)
    np.testing.assert_allclose(np.cov(drawn.T), covariance - gain @ rows, atol=3e-6)


def test_a_hand_of_the_model_is_found_from_its_rays(hands):
    model, space = shipped_hand(), PcaSpace(hands)
    pca = space.truncated(15)
    truth = pca.sample(1, seed=2)[0]
    turn = Rotation.from_rotvec([1.4, 0.2, -0.5]).as_matrix()
    placed = truth @ turn.T + (0.05, -0.02, 0.45)
    joints = model.joint_regressor @ placed
    rays = joints[:, :2] / joints[:, 2:]
    start = Rotation.from_rotvec([0.1, -0.1, 0.05]).as_matrix() @ turn
    found, pose = pca.fit_2d(model, rays, np.ones(21), 0.001 * ray_extent(rays), start)
    seen = model.joint_regressor @ pose.place(found)[0]
    apart = np.linalg.norm(seen[:, :2] / seen[:, 2:] - rays, axis=-1)
    assert apart.max() < 0.01 * ray_extent(rays)
    # Depth is told by the prior alone, so it is near and not exact.
    error, of_mean = (np.linalg.norm(mesh - truth, axis=-1).mean() for mesh in (found[0], pca.mean_m))
    assert error < 0.5 * of_mean


def test_the_prior_wins_where_rays_mean_little(hands):
    model, pca = shipped_hand(), PcaSpace(hands).truncated(15)
    joints = model.joint_regressor @ pca.sample(1, seed=2)[0] + (0, 0, 0.5)
    found, _ = pca.fit_2d(model, joints[:, :2] / joints[:, 2:], np.ones(21), 100.0, np.eye(3))
    np.testing.assert_allclose(found[0], pca.mean_m, atol=1e-4)


def test_meshes_come_back_into_the_frame_of_their_palm(hands, rng):
    turned = hands[:3] @ Rotation.random(random_state=0).as_matrix().T + rng.normal(size=3)
    np.testing.assert_allclose(in_palm_frame(turned, shipped_hand()), hands[:3], atol=1e-6)
