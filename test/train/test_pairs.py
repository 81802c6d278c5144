"""What the mesh stage is trained on: skeletons and surfaces of one hand, in one frame and of one size."""

import numpy as np
import pytest
from stored_hands import stage_one_pairs

from hand_mesh_ros.core.geometry import rigid
from hand_mesh_ros.core.hand.model import bone_lengths
from hand_mesh_ros.core.topology import MIDDLE_MCP
from models_train.data import joint_noise, views
from models_train.hands.sample import sample_hands, shipped_hand
from models_train.tasks import skeleton_pairs as pairs_module
from models_train.tasks.skeleton_pairs import MixedPairs, NoisyTruthPairs, Pairs, StageOnePairs

N = 16
HAND = shipped_hand()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pairs")


@pytest.fixture(scope="module")
def stage_one(folder) -> StageOnePairs:
    return stage_one_pairs(folder)


@pytest.fixture(scope="module")
def noisy_truth(stage_one) -> NoisyTruthPairs:
    return NoisyTruthPairs(stage_one)


def regressed(pairs: Pairs) -> np.ndarray:
    """True skeletons (n, 21, 3) of the surfaces, wrist in the origin."""
    joints_m = HAND.joint_regressor @ pairs.vertices_m
    return joints_m - joints_m[:, :1]


@pytest.fixture(scope="module")
def mixed(stage_one) -> MixedPairs:
    return MixedPairs(stage_one)


@pytest.mark.parametrize("name", ["stage_one", "noisy_truth", "mixed"])
def test_shapes(request, name):
    source = request.getfixturevalue(name)
    for pairs, n in ((source.sample(np.random.default_rng(0), 6), 6), (source.held_out(5), 5)):
        assert pairs.joints_m.shape == (n, 21, 3)
        assert pairs.vertices_m.shape == (n, len(HAND.template_m), 3)
        assert pairs.embedding.shape == (n, source.embedding_size)
        assert pairs.seen.shape == (n,)


def test_samples_are_of_average_size(stage_one):
    pairs = stage_one.sample(np.random.default_rng(0), 8)
    np.testing.assert_allclose(bone_lengths(pairs.joints_m).sum(1), HAND.bone_lengths_m.sum(), rtol=1e-6)
    np.testing.assert_allclose(pairs.joints_m[:, 0], 0, atol=1e-9)
    assert np.all(pairs.seen == 1)
    assert np.abs(pairs.embedding).max() > 0.1


def test_the_surfaces_are_those_of_the_skeletons_in_the_virtual_camera(folder, stage_one, monkeypatch):
    seen: list[np.ndarray] = []
    redefined = views.redefined
    monkeypatch.setattr(views, "redefined", lambda rng, joints_m: (seen.append(joints_m), redefined(rng, joints_m))[1])
    pairs = stage_one.held_out(N)
    (joints_m,) = seen
    shape = rigid.align(regressed(pairs), joints_m - joints_m[:, :1])
    turned = rigid.transform(regressed(pairs), *shape[:2])
    error_mm = 1000 * np.linalg.norm(turned - (joints_m - joints_m[:, :1]), axis=-1)
    assert np.median(error_mm) < 0.5
    # The hand is upright in the virtual camera, as its keypoints are; errors of theirs tilt it.
    assert np.mean(regressed(pairs)[:, MIDDLE_MCP, 1] < 0) > 0.8
    np.testing.assert_allclose(bone_lengths(regressed(pairs)).sum(1), HAND.bone_lengths_m.sum(), rtol=0.02)


def test_held_out_pairs_are_of_hands_kept_from_training(stage_one, monkeypatch):
    asked: list[tuple] = []
    monkeypatch.setattr(pairs_module, "sample_hands", lambda *args: (asked.append(args[1:]), sample_hands(*args))[1])
    stage_one.held_out(3)
    assert asked == [(3, True, 0.6)]


def test_noisy_skeletons_lie_in_their_surfaces(noisy_truth):
    pairs = noisy_truth.sample(np.random.default_rng(0), 300)
    error_mm = 1000 * np.linalg.norm(regressed(pairs) - pairs.joints_m, axis=-1)
    # 1 to 6 mm per joint and axis and up to 15 mm per fingertip, drawn per hand.
    assert 3 < error_mm.mean() < 12
    assert error_mm[:, 4::4].mean() > error_mm[:, 1::4].mean()
    assert np.all(pairs.seen == 0)
    assert np.all(pairs.embedding == 0)
    size = bone_lengths(pairs.joints_m).sum(1) / HAND.bone_lengths_m.sum()
    assert size.mean() == pytest.approx(1, abs=0.05)


def test_errors_of_joints_are_of_the_stated_size_and_spare_the_wrist():
    joints_m = np.tile(HAND.joints_m, (4000, 1, 1)).astype(float)
    error = joint_noise.disturb(np.random.default_rng(0), joints_m) - joints_m
    np.testing.assert_array_equal(error[:, 0], 0)
    low, high = joint_noise.JOINT_STD_M
    of_joint = (high**3 - low**3) / (3 * (high - low))  # mean of a uniform std's square
    of_tip = joint_noise.FINGER_STD_M[1] ** 2 / 3
    assert (error[:, 4::4] ** 2).sum(-1).mean() == pytest.approx(3 * of_joint + of_tip, rel=0.06)
    assert (error[:, 1::4] ** 2).sum(-1).mean() == pytest.approx(3 * of_joint + 0.3**2 * of_tip, rel=0.06)


def test_held_out_pairs_are_those_of_views_for_both(stage_one, noisy_truth):
    np.testing.assert_array_equal(stage_one.held_out(4).vertices_m, noisy_truth.held_out(4).vertices_m)
    assert noisy_truth.view_space == stage_one.view_space
    assert noisy_truth.recipe != stage_one.recipe


def test_noisy_pairs_depend_on_the_seed_alone(noisy_truth):
    first, again, other = (noisy_truth.sample(np.random.default_rng(seed), 4) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first.joints_m, again.joints_m)
    np.testing.assert_array_equal(first.vertices_m, again.vertices_m)
    assert np.abs(first.vertices_m - other.vertices_m).max() > 0.01


def test_mixed_pairs_are_half_of_either(mixed):
    pairs = mixed.sample(np.random.default_rng(0), 7)
    np.testing.assert_array_equal(pairs.seen, [1, 1, 1, 1, 0, 0, 0])
    # The nearly true half comes without a view and lies near its surface.
    nearly = np.linalg.norm((pairs.joints_m - pairs.joints_m[:, :1] - regressed(pairs))[4:], axis=-1).mean()
    assert nearly < 0.02
