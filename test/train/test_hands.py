"""Sampled hands: proportions, builds held out for tests, and skin that follows its bones."""

import numpy as np
import pytest

from hand_mesh_ros.core.hand.model import bone_lengths
from hand_mesh_ros.core.topology import FINGER_JOINTS, MIDDLE_MCP, PARENTS, WRIST
from models_train.hands import sample as hands
from models_train.hands import shape
from models_train.hands.anthropometry import PROPORTION_REL_STD, mean_bone_lengths_m

HAND = hands.shipped_hand()


def test_the_shipped_hand_has_the_published_bone_lengths():
    lengths = mean_bone_lengths_m()
    np.testing.assert_allclose(HAND.bone_lengths_m, lengths, atol=1e-5)
    # Metacarpal of the middle finger, 64.6 mm, on top of the carpus.
    assert lengths[MIDDLE_MCP - 1] == pytest.approx(0.0856)
    assert np.all(lengths[FINGER_JOINTS[1:, 0] - 1] > lengths[FINGER_JOINTS[1:, 1] - 1])


def test_bone_lengths_vary_as_stated_and_sum_up_to_the_templates():
    lengths = hands.sample_lengths(np.random.default_rng(0), 4000, HAND)
    np.testing.assert_allclose(lengths.sum(1), HAND.bone_lengths_m.sum(), rtol=1e-6)
    spread = np.log(lengths / HAND.bone_lengths_m).std(0)
    assert spread == pytest.approx(np.full(20, PROPORTION_REL_STD), rel=0.25)


def test_held_out_builds_lie_beyond_those_of_training():
    deviation = {
        held_out: np.log(hands.sample_build(np.random.default_rng(0), 2000, held_out)) / 0.08 for held_out in (False, True)
    }
    assert np.abs(deviation[False]).max() <= 1.5
    assert np.abs(deviation[True]).min() >= 1.5
    assert np.abs(deviation[True]).max() <= 2.2
    for values in deviation.values():  # both wide and narrow, thick and thin
        assert (values > 0).mean(1) == pytest.approx([0.5, 0.5], abs=0.06)


@pytest.mark.parametrize("held_out", [False, True])
def test_posing_keeps_bone_lengths_and_the_wrist(held_out):
    batch = hands.sample_hands(np.random.default_rng(1), 30, held_out)
    assert batch.joints_m.shape == (30, 21, 3)
    assert batch.vertices_m.shape == (30, len(HAND.template_m), 3)
    np.testing.assert_allclose(batch.joints_m[:, WRIST], 0, atol=1e-9)
    np.testing.assert_allclose(bone_lengths(batch.joints_m).sum(1), HAND.bone_lengths_m.sum(), rtol=1e-5)


def test_skeletons_alone_are_of_average_size_too():
    joints_m = hands.sample_joints(np.random.default_rng(2), 50)
    np.testing.assert_allclose(bone_lengths(joints_m).sum(1), HAND.bone_lengths_m.sum(), rtol=1e-5)


def test_joints_are_found_from_the_skin():
    batch = hands.sample_hands(np.random.default_rng(3), 200)
    error_mm = 1000 * np.linalg.norm(HAND.joint_regressor @ batch.vertices_m - batch.joints_m, axis=-1)
    assert error_mm.mean() < 1
    assert error_mm.max() < 12


def test_hands_depend_on_the_seed_alone():
    first, again, other = (hands.sample_hands(np.random.default_rng(seed), 5) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first.joints_m, again.joints_m)
    np.testing.assert_array_equal(first.vertices_m, again.vertices_m)
    assert np.abs(first.vertices_m - other.vertices_m).max() > 0.01


def test_joint_rotations_are_proper():
    rotations = hands.sample_rotations(np.random.default_rng(4), 20, HAND)
    np.testing.assert_allclose(rotations @ np.swapaxes(rotations, -1, -2), np.broadcast_to(np.eye(3), rotations.shape), atol=1e-6)
    np.testing.assert_allclose(np.linalg.det(rotations), 1, atol=1e-6)
    np.testing.assert_allclose(rotations[:, WRIST], np.broadcast_to(np.eye(3), (20, 3, 3)), atol=1e-12)


def test_stretching_to_the_same_skeleton_changes_nothing():
    same = shape.stretch(HAND.template_m, HAND.joints_m, HAND.skin_weights, HAND.joints_m, np.ones(21))
    np.testing.assert_allclose(same, HAND.template_m, atol=1e-6)


def test_a_hand_with_everything_doubled_is_twice_as_large():
    double = shape.stretch(HAND.template_m, HAND.joints_m, HAND.skin_weights, 2.0 * HAND.joints_m, np.full(21, 2.0))
    carried_by_bones = HAND.skin_weights[:, 0] < 1e-6
    np.testing.assert_allclose(double[carried_by_bones], 2 * HAND.template_m[carried_by_bones], atol=1e-6)


def test_thickness_acts_across_a_bone_and_not_along_it():
    tip = FINGER_JOINTS[2, -1]
    thick = shape.stretch(HAND.template_m, HAND.joints_m, HAND.skin_weights, HAND.joints_m, np.full(21, 1.5))
    segment = HAND.skin_weights[:, tip] > 0.999
    base = HAND.joints_m[PARENTS[tip]]
    axis = HAND.joints_m[tip] - base
    axis = axis / np.linalg.norm(axis)
    before, after = HAND.template_m[segment] - base, thick[segment] - base
    np.testing.assert_allclose(after @ axis, before @ axis, atol=1e-5)
    across = [np.linalg.norm(points - np.outer(points @ axis, axis), axis=1) for points in (before, after)]
    np.testing.assert_allclose(across[1], 1.5 * across[0], atol=2e-5)


def test_flat_hands_have_the_wanted_lengths_and_width():
    lengths = hands.sample_lengths(np.random.default_rng(5), 10, HAND)
    width = np.linspace(0.8, 1.2, 10)
    rest = shape.rest_joints(HAND.joints_m, lengths, width)
    np.testing.assert_allclose(bone_lengths(rest), lengths, rtol=1e-6)
    bases = FINGER_JOINTS[1:, 0]
    slope, template_slope = rest[:, bases, 1] / rest[:, bases, 2], HAND.joints_m[bases, 1] / HAND.joints_m[bases, 2]
    np.testing.assert_allclose(slope, width[:, None] * template_slope, atol=1e-6)
