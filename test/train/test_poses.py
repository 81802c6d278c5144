"""Sampled joint angles stay within what hands can do, and the named poses of tests are not those of training."""

import csv
from pathlib import Path

import numpy as np
import pytest

from models_train.hands import poses

# [thumb, other fingers] abduction and three flexions, degrees; a little beyond the published ranges at most.
LOW_DEG = np.array([[-25, -20, -20, -20], *[[-18, -25, -8, -8]] * 4])
HIGH_DEG = np.array([[45, 45, 60, 85], *[[18, 95, 112, 85]] * 4])


def table() -> list[dict[str, str]]:
    with Path(poses.__file__).with_name("poses.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("held_out", [False, True])
def test_angles_stay_within_the_limits_and_use_them(held_out):
    angles = np.rad2deg(poses.sample_angles(np.random.default_rng(0), 4000, held_out))
    assert angles.shape == (4000, 5, 4)
    assert np.all(angles >= LOW_DEG - 1e-9)
    assert np.all(angles <= HIGH_DEG + 1e-9)
    reach = (angles.max(0) - angles.min(0)) / (HIGH_DEG - LOW_DEG)
    assert reach.min() > (0.5 if held_out else 0.9)


def test_there_are_48_named_poses_33_of_them_the_grasps_of_feix():
    rows = table()
    assert len(rows) == len({row["name"] for row in rows}) == 48
    assert sum(row["group"] == "grasp" for row in rows) == 33
    assert len(poses.named_angles(False)) + len(poses.named_angles(True)) == 48


def test_no_pose_is_named_both_in_training_and_held_out():
    training, held_out = poses.named_angles(False), poses.named_angles(True)
    assert len(held_out) >= 5
    apart = np.abs(training[:, None] - held_out).max((-1, -2))
    assert np.rad2deg(apart.min()) > 5


@pytest.mark.parametrize("held_out", [False, True])
def test_the_poses_of_the_table_are_within_the_limits_too(held_out):
    named = np.rad2deg(poses.named_angles(held_out))
    assert np.all((named >= LOW_DEG - 1e-9) & (named <= HIGH_DEG + 1e-9))


def test_recorded_poses_are_both_hands_of_a_name_and_not_held_out_in_part():
    with poses.RECORDED_TABLE.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 100
    of_names = {row["name"]: {other["held_out"] for other in rows if other["name"] == row["name"]} for row in rows}
    assert all(len(kinds) == 1 for kinds in of_names.values())
    assert len(poses.recorded_angles(False)) == 84
    assert len(poses.recorded_angles(True)) == 16
    # The recorder was wrong about these.
    assert not set(of_names) & {"asl m", "asl n", "asl r", "asl t", "asl x"}


def test_left_and_right_hands_of_a_recording_are_alike():
    with poses.RECORDED_TABLE.open() as file:
        sides = [row["side"] for row in csv.DictReader(file) if row["held_out"] == "0"]
    angles, is_left = np.rad2deg(poses.recorded_angles(False)), np.array(sides) == "left"
    np.testing.assert_allclose(angles[is_left].mean(0), angles[~is_left].mean(0), atol=16)


@pytest.mark.parametrize("held_out", [False, True])
def test_the_natural_share_is_near_recorded_poses(held_out):
    angles = poses.sample_angles(np.random.default_rng(3), 2000, held_out, natural_share=1.0)
    recorded = poses.recorded_angles(held_out)

    def nearest_deg(some: np.ndarray) -> np.ndarray:
        return np.rad2deg(np.abs(some[:, None, :, 1:] - recorded[..., 1:]).mean((-1, -2)).min(1))

    free = poses.sample_angles(np.random.default_rng(3), 2000, held_out)
    assert np.median(nearest_deg(angles)) < 0.75 * np.median(nearest_deg(free))
    mixed = poses.sample_angles(np.random.default_rng(3), 2000, held_out, natural_share=0.6)
    same = np.all(np.isclose(mixed, free), axis=(1, 2))
    assert same.mean() == pytest.approx(0.4, abs=0.04)


def test_a_distal_joint_follows_its_neighbour_by_two_thirds():
    named = poses.named_angles(False)
    np.testing.assert_allclose(named[:, 1:, 3], 2 / 3 * named[:, 1:, 2])
    angles = poses.sample_angles(np.random.default_rng(1), 4000)[:, 1:]
    slope = np.polyfit(angles[..., 2].ravel(), angles[..., 3].ravel(), 1)[0]
    assert slope == pytest.approx(2 / 3, abs=0.12)


def test_neighbouring_fingers_bend_together():
    flexion = poses.sample_angles(np.random.default_rng(2), 4000)[:, :, 2]
    correlation = np.corrcoef(flexion[:, 1:].T)
    assert np.diag(correlation, 1).min() > 0.4
    assert correlation[1, 2] > correlation[0, 3]


def test_poses_depend_on_the_seed_alone():
    first, again, other = (poses.sample_angles(np.random.default_rng(seed), 20) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1
