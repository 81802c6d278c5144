"""A hand in another frame: there and back again, step by step as at once, and probabilities do not depend on who looks."""

from dataclasses import fields, replace

import numpy as np
import pytest

from hand_mesh_ros.core.geometry.rotations import rotation_about
from hand_mesh_ros.core.hand.wrist_frame import wrist_rotation
from hand_mesh_ros.core.robot.change_frame import moved
from hand_mesh_ros.core.robot.grasp import grasp_cues
from hand_mesh_ros.core.robot.operator_frame import operator_joints
from hand_mesh_ros.core.topology import N_JOINTS
from hand_mesh_ros.core.types import HandEstimate

TURN = rotation_about(np.array([2.0, -1.0, 2.0]) / 3, np.array(2.2))
SHIFT_M = np.array([0.4, -1.5, 0.7])
GEOMETRY = (
    "joints_m",
    "joint_covariance_m2",
    "articulation_covariance_m2",
    "hypotheses_m",
    "vertices_m",
    "wrist_pose",
    "wrist_covariance",
)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


@pytest.fixture
def hand(rng: np.random.Generator) -> HandEstimate:
    """A hand in which every number is distinct and the wrist pose that of the joints."""

    def covariances(*shape: int) -> np.ndarray:
        factors = 0.01 * rng.normal(size=shape)
        return factors @ np.swapaxes(factors, -1, -2)

    joints = 0.1 * rng.normal(size=(N_JOINTS, 3)) + (0.1, 0.2, 0.6)
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = wrist_rotation(joints, "left"), joints[0]
    articulation = covariances(N_JOINTS, 3, 3)
    return HandEstimate(
        track_id="3",
        handedness="left",
        handedness_prob=0.9,
        score=0.8,
        state="tracked",
        joints_m=joints,
        joint_covariance_m2=articulation + covariances(N_JOINTS, 3, 3),
        articulation_covariance_m2=articulation,
        joint_confidence=rng.uniform(size=N_JOINTS),
        joint_flags=rng.integers(0, 32, N_JOINTS).astype(np.uint8),
        hypotheses_m=joints + 0.01 * rng.normal(size=(5, N_JOINTS, 3)),
        weights=np.full(5, 0.2),
        mode=np.zeros(5, int),
        vertices_m=rng.normal(size=(30, 3)).astype(np.float32),
        vertex_std_m=rng.uniform(size=30),
        wrist_pose=pose,
        wrist_covariance=covariances(6, 6),
        keypoints_px=rng.uniform(0, 640, (N_JOINTS, 2)),
        keypoint_conf=rng.uniform(size=N_JOINTS),
        scale_source="prior",
        scale_rel_std=0.05,
        reprojection_px=1.5,
        timings_ms={"detect": 9.0},
    )


def without_place(hand: HandEstimate) -> HandEstimate:
    """The hand as a camera that is not calibrated sees it."""
    pose, covariance = hand.wrist_pose.copy(), hand.wrist_covariance.copy()
    pose[:3, 3], covariance[:3], covariance[:, :3] = np.nan, np.nan, np.nan
    return replace(
        hand, scale_source="none", joints_m=hand.joints_m - hand.joints_m[0], wrist_pose=pose, wrist_covariance=covariance
    )


def assert_same(one: HandEstimate, other: HandEstimate) -> None:
    for name in GEOMETRY:
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-12, err_msg=name)


def test_the_inverse_gives_the_hand_back(hand):
    assert_same(moved(moved(hand, TURN, SHIFT_M), TURN.T, -TURN.T @ SHIFT_M), hand)
    assert_same(moved(hand, np.eye(3), np.zeros(3)), hand)


def test_two_motions_are_their_product(hand):
    turn, shift_m = rotation_about(np.array([0.0, 0.6, 0.8]), np.array(-1.1)), np.array([0.2, 0.3, -0.5])
    assert_same(moved(moved(hand, TURN, SHIFT_M), turn, shift_m), moved(hand, turn @ TURN, turn @ SHIFT_M + shift_m))


def test_points_go_where_the_motion_takes_them(hand):
    there = moved(hand, TURN, SHIFT_M)
    for name in ("joints_m", "vertices_m", "hypotheses_m"):
        expected = np.einsum("rs,...s->...r", TURN, getattr(hand, name)) + SHIFT_M
        np.testing.assert_allclose(getattr(there, name), expected, atol=1e-12)


def test_the_wrist_pose_composes_and_is_still_that_of_the_joints(hand):
    target_from_source = np.eye(4)
    target_from_source[:3, :3], target_from_source[:3, 3] = TURN, SHIFT_M
    there = moved(hand, TURN, SHIFT_M)
    np.testing.assert_allclose(there.wrist_pose, target_from_source @ hand.wrist_pose, atol=1e-12)
    np.testing.assert_allclose(there.wrist_pose[:3, :3], wrist_rotation(there.joints_m, "left"), atol=1e-9)
    np.testing.assert_allclose(there.wrist_pose[:3, 3], there.joints_m[0], atol=1e-12)


@pytest.mark.parametrize("name", ["joint_covariance_m2", "articulation_covariance_m2"])
def test_an_error_is_as_likely_in_either_frame(hand, rng, name):
    errors = 0.01 * rng.normal(size=(N_JOINTS, 3))
    expected = np.einsum("jr,jrs,js->j", errors, np.linalg.inv(getattr(hand, name)), errors)
    turned = errors @ TURN.T
    found = np.einsum("jr,jrs,js->j", turned, np.linalg.inv(getattr(moved(hand, TURN, SHIFT_M), name)), turned)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_an_error_of_the_wrist_pose_is_as_likely_in_either_frame(hand, rng):
    error = 1e-4 * rng.normal(size=6)
    angle = np.linalg.norm(error[3:])
    off_pose = hand.wrist_pose.copy()
    off_pose[:3, :3] = rotation_about(error[3:] / angle, angle) @ hand.wrist_pose[:3, :3]
    off_pose[:3, 3] += error[:3]
    there, off = (moved(replace(hand, wrist_pose=pose), TURN, SHIFT_M) for pose in (hand.wrist_pose, off_pose))
    turn = off.wrist_pose[:3, :3] @ there.wrist_pose[:3, :3].T
    axis = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]]) / 2
    error_there = np.concatenate([off.wrist_pose[:3, 3] - there.wrist_pose[:3, 3], axis])
    expected = error @ np.linalg.inv(hand.wrist_covariance) @ error
    assert error_there @ np.linalg.inv(there.wrist_covariance) @ error_there == pytest.approx(expected, rel=1e-3)


def test_what_is_told_of_a_hand_does_not_depend_on_the_frame(hand):
    there = moved(hand, TURN, SHIFT_M)
    here_cues, there_cues = grasp_cues(hand), grasp_cues(there)
    for name in ("aperture_m", "aperture_std_m", "palm_normal_std"):
        assert getattr(there_cues, name) == pytest.approx(getattr(here_cues, name))
    np.testing.assert_allclose(there_cues.pinch_point_m, TURN @ here_cues.pinch_point_m + SHIFT_M, atol=1e-12)
    np.testing.assert_allclose(
        there_cues.pinch_point_covariance_m2, TURN @ here_cues.pinch_point_covariance_m2 @ TURN.T, atol=1e-9
    )
    np.testing.assert_allclose(operator_joints(there.joints_m, "left"), operator_joints(hand.joints_m, "left"), atol=1e-12)


def test_without_a_calibrated_camera_a_hand_is_turned_but_stays_at_its_wrist(hand):
    hand = without_place(hand)
    there = moved(hand, TURN, SHIFT_M)
    np.testing.assert_allclose(there.joints_m, hand.joints_m @ TURN.T, atol=1e-12)
    assert np.isnan(there.wrist_pose[:3, 3]).all()
    np.testing.assert_allclose(there.wrist_pose[:3, :3], TURN @ hand.wrist_pose[:3, :3], atol=1e-12)
    assert np.isnan(there.wrist_covariance[:3]).all()
    np.testing.assert_allclose(there.wrist_covariance[3:, 3:], TURN @ hand.wrist_covariance[3:, 3:] @ TURN.T, atol=1e-12)


def test_all_else_stays_the_very_same(hand):
    there = moved(hand, TURN, SHIFT_M)
    others = [item.name for item in fields(HandEstimate) if item.name not in GEOMETRY]
    assert all(getattr(there, name) is getattr(hand, name) for name in others)
    # A new field in metres belongs either to `moved` or here.
    assert {name for name in others if name.endswith(("_m", "_m2"))} == {"vertex_std_m"}


@pytest.mark.parametrize(
    ("rotation", "translation_m"),
    [(np.diag([-1.0, 1, 1]), SHIFT_M), (1.1 * TURN, SHIFT_M), (TURN * np.nan, SHIFT_M), (TURN, np.array([0, np.inf, 0]))],
    ids=["reflection", "scaling", "NaN", "infinitely far"],
)
def test_what_is_no_rigid_motion_is_refused(hand, rotation, translation_m):
    with pytest.raises(ValueError, match="not a rigid motion"):
        moved(hand, rotation, translation_m)
