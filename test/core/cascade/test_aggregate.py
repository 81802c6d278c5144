"""Weights, modes, means and covariances of hypotheses whose distribution is known."""

import numpy as np
import pytest

from hand_mesh_ros.core.cascade import aggregate as agg
from hand_mesh_ros.core.geometry.mirror import mirror_covariances, mirror_points
from hand_mesh_ros.core.geometry.rotations import rotation_about
from hand_mesh_ros.core.hand.wrist_frame import wrist_rotation
from hand_mesh_ros.core.topology import BONES, FINGER_JOINTS
from hand_mesh_ros.core.types import Hypotheses


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def curled(angle: float) -> np.ndarray:
    """(21, 3) of a flat hand in the image plane whose fingers bend out of it by `angle` per joint: either sign looks alike."""
    joints = np.zeros((21, 3))
    for finger, chain in enumerate(FINGER_JOINTS):
        joints[chain[0]] = (0.02 * (finger - 2), -0.085, 0)
        for part, joint in enumerate(chain[1:], start=1):
            bend = part * angle
            joints[joint] = joints[joint - 1] + 0.03 * np.array([0, -np.cos(bend), np.sin(bend)])
    return joints


def hypotheses(joints: np.ndarray) -> Hypotheses:
    return Hypotheses(joints.astype(np.float32), np.zeros(len(joints), np.float32))


def bone_sum(joints: np.ndarray) -> np.ndarray:
    return np.linalg.norm(joints[..., BONES[:, 1], :] - joints[..., BONES[:, 0], :], axis=-1).sum(-1)


def summed_up(joints: np.ndarray, weights: np.ndarray | None = None) -> agg.Aggregate:
    """The aggregate of right hands whose mesh is their mean skeleton."""
    weights = np.full(len(joints), 1 / len(joints)) if weights is None else weights
    main = agg.main_mode(joints, weights)
    return agg.aggregate(hypotheses(joints), main, main.joints_m, np.zeros((len(joints), 3)), np.eye(21))


def test_weights_follow_the_sampler_and_mildly_the_keypoints():
    weights = agg.weigh(np.log([1.0, 3.0]), np.zeros(2), 0.1)
    np.testing.assert_allclose(weights, [0.25, 0.75])
    weights = agg.weigh(np.zeros(2), np.array([0.001, 0.006]), 0.1)
    assert weights.sum() == pytest.approx(1)
    assert 1.2 < weights[0] / weights[1] < 2.0


def test_a_hypothesis_without_place_has_no_weight():
    np.testing.assert_allclose(agg.weigh(np.zeros(3), np.array([0.01, np.inf, 0.01]), 0.1), [0.5, 0, 0.5])
    with pytest.raises(ValueError, match="none of 2 hypotheses can be placed"):
        agg.weigh(np.zeros(2), np.full(2, np.inf), 0.1)


def test_two_depth_flips_are_two_modes_the_heavier_first(rng):
    flips = np.stack([curled(0.7)] * 3 + [curled(-0.7)] * 5) + rng.normal(0, 0.004, (8, 21, 3))
    np.testing.assert_array_equal(agg.find_modes(flips, np.full(8, 1 / 8)), [1, 1, 1, 0, 0, 0, 0, 0])
    weights = np.array([0.3, 0.3, 0.3, 0.02, 0.02, 0.02, 0.02, 0.02])
    np.testing.assert_array_equal(agg.find_modes(flips, weights), [0, 0, 0, 1, 1, 1, 1, 1])


def test_modes_do_not_depend_on_order_and_place(rng):
    flips = np.stack([curled(0.7)] * 3 + [curled(-0.7)] * 5) + rng.normal(0, 0.004, (8, 21, 3))
    order = rng.permutation(8)
    modes = agg.find_modes(flips, np.full(8, 1 / 8))
    np.testing.assert_array_equal(agg.find_modes(flips[order], np.full(8, 1 / 8)), modes[order])
    moved = flips + rng.normal(size=(8, 1, 3))
    np.testing.assert_array_equal(agg.find_modes(moved, np.full(8, 1 / 8)), modes)


def test_samples_of_one_explanation_are_one_mode(rng):
    samples = curled(0.4) + rng.normal(0, 0.006, (16, 21, 3))
    assert not agg.find_modes(samples, np.full(16, 1 / 16)).any()


def test_a_hand_tilted_to_or_from_the_camera_is_two_modes():
    axis = np.array([1.0, 0, 0])
    tilted = np.stack([curled(0) @ rotation_about(axis, np.array(angle)).T for angle in (0.6, -0.6)])
    assert agg.find_modes(tilted, np.full(2, 0.5)).tolist() == [0, 1]


def test_the_aggregate_is_in_the_main_mode_not_between(rng):
    noise = rng.normal(0, 0.003, (8, 21, 3))
    noise[:, 0] = 0
    result = summed_up(np.stack([curled(0.7)] * 3 + [curled(-0.7)] * 5) + noise)
    assert np.linalg.norm(result.joints_m - curled(-0.7), axis=-1).mean() < 0.005
    np.testing.assert_array_equal(result.joints_m[0], 0)
    assert result.mode.max() == 1


def test_the_mean_is_as_large_as_what_it_averages(rng):
    axes = rng.normal(size=(12, 3))
    turns = rotation_about(axes / np.linalg.norm(axes, axis=-1, keepdims=True), rng.normal(0, 0.12, 12))
    hands = np.stack([curled(0.4 + step) for step in rng.normal(0, 0.1, 12)]) @ turns.transpose(0, 2, 1)
    weights = rng.dirichlet(np.full(12, 5.0))
    result = summed_up(hands, weights)
    assert result.mode.max() == 0
    assert bone_sum(result.joints_m) == pytest.approx(weights @ bone_sum(hands), rel=1e-6)


def test_a_vertex_is_as_uncertain_as_the_joints_that_move_it(rng):
    spread = summed_up(curled(0.4) + rng.normal(0, 0.004, (8, 21, 3))).spread
    np.testing.assert_allclose(spread.vertices_m2, np.trace(spread.articulation_m2, axis1=1, axis2=2) / 3)


def test_equal_hypotheses_aggregate_to_themselves():
    result = summed_up(np.stack([curled(0.3)] * 4))
    np.testing.assert_allclose(result.joints_m, curled(0.3), atol=1e-7)


def test_turned_hypotheses_give_the_turned_result(rng):
    hands = curled(0.4) + rng.normal(0, 0.004, (8, 21, 3))
    turn = rotation_about(np.array([0.6, 0, 0.8]), np.array(1.1))
    plain, turned = summed_up(hands), summed_up(hands @ turn.T)
    np.testing.assert_allclose(turned.joints_m, plain.joints_m @ turn.T, atol=1e-6)
    for name in ("articulation_m2", "relative_m2", "rotation"):
        before, after = getattr(plain.spread, name), getattr(turned.spread, name)
        np.testing.assert_allclose(after, turn @ before @ turn.T, atol=1e-6 * np.abs(before).max() + 1e-10)
    np.testing.assert_allclose(turned.spread.vertices_m2, plain.spread.vertices_m2, rtol=1e-4)


def test_the_mirrored_aggregate_is_the_aggregate_of_left_hands(rng):
    hands, weights = curled(0.4) + rng.normal(0, 0.004, (8, 21, 3)), rng.dirichlet(np.ones(8))
    right = summed_up(hands, weights)
    left = right.mirrored()
    np.testing.assert_allclose(left.joints_m, mirror_points(right.joints_m))
    np.testing.assert_allclose(left.hypotheses_m, mirror_points(right.hypotheses_m))
    np.testing.assert_allclose(left.wrist_rotation, wrist_rotation(left.joints_m, "left"), atol=1e-9)
    for name in ("articulation_m2", "relative_m2"):
        np.testing.assert_allclose(getattr(left.spread, name), mirror_covariances(getattr(right.spread, name)))
    # A turn about an axis of the mirror plane reverses, a turn about the axis across that plane does not.
    flip = np.diag([1.0, -1.0, -1.0])
    np.testing.assert_allclose(left.spread.rotation, flip @ right.spread.rotation @ flip)
    for name in ("joints_m", "vertices_m", "hypotheses_m", "wrist_rotation"):
        np.testing.assert_allclose(getattr(left.mirrored(), name), getattr(right, name))


def test_one_hypothesis_has_no_spread():
    spread = summed_up(curled(0.4)[None]).spread
    assert spread.n_samples == 1
    for values in (spread.articulation_m2, spread.relative_m2, spread.rotation, spread.vertices_m2):
        assert not values.any()


def test_the_spread_is_that_of_the_distribution_however_few_samples(rng):
    std = np.array([0.002, 0.004, 0.012])

    def spread_of(count: int) -> np.ndarray:
        hands = np.repeat(curled(0.4)[None], count, axis=0)
        hands[:, 8] += rng.normal(0, std, (count, 3))
        return summed_up(hands).spread.articulation_m2

    many = spread_of(2000)
    # The alignment takes a part of the motion of any single joint.
    np.testing.assert_allclose(np.sqrt(np.diag(many[8])), std, rtol=0.25)
    assert np.sqrt(np.trace(many[16])) < 0.003
    few = np.mean([spread_of(6) for _ in range(600)], axis=0)
    np.testing.assert_allclose(np.diag(few[8]), np.diag(many[8]), rtol=0.15)


def test_relative_spread_sees_the_tilt_that_articulation_does_not():
    axis = np.array([1.0, 0, 0])
    tilted = np.stack([curled(0.2) @ rotation_about(axis, np.array(angle)).T for angle in (0.1, 0.0, -0.1)])
    spread = summed_up(tilted).spread
    assert np.sqrt(np.trace(spread.articulation_m2[12])) < 1e-4
    assert np.sqrt(spread.relative_m2[12, 2, 2]) > 0.004


def test_the_spread_of_the_wrist_frame_is_that_of_the_hypotheses(rng):
    std = np.array([0.15, 0.05, 0.1])
    vectors = rng.normal(0, std, (400, 3))
    angles = np.linalg.norm(vectors, axis=-1)
    hands = curled(0.3) @ rotation_about(vectors / angles[:, None], angles).transpose(0, 2, 1)
    # A generous distance would be one mode too; the tails here are beyond the default.
    result = summed_up(hands[angles < 0.25])
    expected = np.std(vectors[angles < 0.25], axis=0)
    np.testing.assert_allclose(np.sqrt(np.diag(result.spread.rotation)), expected, rtol=0.2)


def test_skeleton_and_mesh_agree_on_a_shape_between_them(rng):
    main = agg.main_mode(np.stack([curled(0.3)] * 2), np.full(2, 0.5))
    mesh = main.joints_m + rng.normal(0, 0.004, (21, 3))
    # A mesh of one vertex a joint: its regressor and its shares are the identity.
    agreed, vertices = agg.agreed(main, mesh, np.eye(21), np.eye(21))
    np.testing.assert_allclose(vertices, agreed.joints_m, atol=1e-12)
    np.testing.assert_allclose(agreed.joints_m[0], 0, atol=1e-12)
    assert bone_sum(agreed.joints_m) == pytest.approx(bone_sum(main.joints_m))
    middle = 0.5 * (mesh + main.joints_m)
    middle = (middle - middle[0]) * bone_sum(main.joints_m) / bone_sum(middle)
    np.testing.assert_allclose(agreed.joints_m, middle, atol=1e-12)
    same, unmoved = agg.agreed(main, main.joints_m, np.eye(21), np.eye(21))
    np.testing.assert_allclose(same.joints_m, main.joints_m, atol=1e-12)
    np.testing.assert_allclose(unmoved, main.joints_m, atol=1e-12)
