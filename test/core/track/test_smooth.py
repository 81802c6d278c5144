"""One-Euro filters and prediction against closed forms: constants, ramps, turns, and what must move together."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.geometry.camera import project
from hand_mesh_ros.core.geometry.rotations import rotation_about
from hand_mesh_ros.core.hand.model import FILE_NAME, HandModel
from hand_mesh_ros.core.hand.wrist_frame import wrist_rotation
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.track.one_euro import OneEuro, smoothing_factor, turn_between, turned
from hand_mesh_ros.core.track.smooth import HandSmoother
from hand_mesh_ros.core.types import OBSERVED, Frame, HandDetection, HandEstimate

DT_S = 1 / 30
K = np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]])


@pytest.fixture(scope="module")
def model() -> HandModel:
    return HandModel.load(default_models_dir() / FILE_NAME)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def frame_at(stamp_s: float) -> Frame:
    return Frame(np.zeros((480, 640, 3), np.uint8), K, stamp_s=stamp_s)


def hand_at(
    model: HandModel, position=(0.0, 0.0, 0.5), turn=(0.0, 0.0, 0.0), shape_noise: np.ndarray | float = 0.0
) -> HandEstimate:
    """The flat hand, placed; two hypotheses a centimetre apart."""
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = turned(np.eye(3), np.array(turn, float)), position
    joints, vertices = (
        (points - model.joints_m[0]) @ pose[:3, :3].T + pose[:3, 3] for points in (model.joints_m, model.template_m)
    )
    joints = joints + shape_noise
    pose[:3, :3] = wrist_rotation(joints, "right")
    covariances = np.tile(1e-4 * np.eye(3), (21, 1, 1))
    return HandEstimate(
        track_id="1",
        handedness="right",
        handedness_prob=1.0,
        score=1.0,
        state="tracked",
        joints_m=joints,
        joint_covariance_m2=2 * covariances,
        articulation_covariance_m2=covariances,
        joint_confidence=np.ones(21),
        joint_flags=np.full(21, OBSERVED, np.uint8),
        hypotheses_m=np.stack([joints, joints + 0.01]),
        weights=np.full(2, 0.5),
        mode=np.zeros(2, int),
        vertices_m=vertices,
        vertex_std_m=np.full(len(vertices), 0.01),
        wrist_pose=pose,
        wrist_covariance=1e-4 * np.eye(6),
        keypoints_px=project(joints, K),
        keypoint_conf=np.ones(21),
        scale_source="prior",
        scale_rel_std=0.1,
        reprojection_px=0.0,
    )


def detection_of(hand: HandEstimate) -> HandDetection:
    flat = np.zeros(21, np.float32)
    return HandDetection(hand.keypoints_px, flat, flat, hand.joints_m, hand.handedness, 1.0, 1.0, np.eye(3)[:2], hand.track_id)


def test_a_constant_stays_and_the_first_value_is_kept():
    smoother, value = OneEuro(1.0, 10.0), np.array([1.0, -2.0, 3.0])
    for _ in range(5):
        np.testing.assert_array_equal(smoother.step(value, DT_S), value)
    np.testing.assert_array_equal(smoother.velocity, 0)


def test_a_step_is_followed_with_the_share_of_the_cutoff():
    smoother = OneEuro(1.0, 0.0)
    smoother.step(np.zeros(3), DT_S)
    expected = 1 / (1 + 1 / (2 * np.pi * DT_S))
    assert smoothing_factor(1.0, DT_S) == pytest.approx(expected)
    np.testing.assert_allclose(smoother.step(np.ones(3), DT_S), expected)


def test_a_ramp_has_its_own_velocity_and_less_lag_the_faster_it_is():
    lags_s = []
    for speed in (0.01, 0.1, 1.0):
        smoother = OneEuro(1.0, 40.0)
        for index in range(200):
            value = smoother.step(np.array([speed * index * DT_S, 0, 0]), DT_S)
        assert smoother.velocity[0] == pytest.approx(speed, rel=1e-3)
        lags_s.append((speed * 199 * DT_S - value[0]) / speed)
    assert lags_s == sorted(lags_s, reverse=True)
    assert lags_s[-1] < 0.005 < 0.1 < lags_s[0]


def test_stamps_count_and_not_images():
    # An exponential: two steps of half the time let as much of the past remain as one, nearly.
    slow, quick = OneEuro(1.0, 0.0), OneEuro(1.0, 0.0)
    for smoother in (slow, quick):
        smoother.step(np.zeros(3), DT_S)
    for _ in range(60):
        once = slow.step(np.ones(3), 0.004)
        for _ in range(2):
            twice = quick.step(np.ones(3), 0.002)
    np.testing.assert_allclose(once, twice, atol=0.01)


def test_turns_are_filtered_as_positions_are(rng):
    axis = np.array([0.6, 0.0, 0.8])
    angles = np.cumsum(rng.normal(0, 0.1, 40))
    start = rotation_about(np.array([0.0, 1.0, 0.0]), np.array(2.0))
    flat, round_ = OneEuro(1.0, 5.0), OneEuro(1.0, 5.0, turn_between, turned)
    for angle in angles:
        vector = flat.step(angle * axis, DT_S)
        rotation = round_.step(turned(start, angle * axis), DT_S)
    np.testing.assert_allclose(rotation, turned(start, vector), atol=1e-9)
    np.testing.assert_allclose(round_.velocity, flat.velocity, atol=1e-9)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)


def test_half_a_turn_and_more_stays_a_rotation():
    smoother = OneEuro(1.0, 5.0, turn_between, turned)
    for angle in np.linspace(0, 4 * np.pi, 9):
        rotation = smoother.step(rotation_about(np.array([0.0, 0, 1]), np.array(angle)), DT_S)
        assert np.isfinite(rotation).all()
        assert np.linalg.det(rotation) == pytest.approx(1)


def test_without_smoothing_the_record_is_the_same_object(model, rng):
    smoother = HandSmoother(PipelineConfig(smooth_cutoff_hz=0))
    for index in range(5):
        hand = hand_at(model, np.array([0, 0, 0.5]) + rng.normal(0, 0.01, 3))
        assert smoother.step(hand, frame_at(index * DT_S)) is hand


def test_noise_shrinks_and_all_parts_of_the_record_agree(model, rng):
    smoother = HandSmoother(PipelineConfig())
    raw, smooth = [], []
    for index in range(60):
        noise = rng.normal(0, 0.002, (21, 3))
        raw.append(hand_at(model, np.array([0, 0, 0.5]) + rng.normal(0, 0.002, 3), rng.normal(0, 0.02, 3), noise))
        frame = frame_at(index * DT_S)
        smooth.append(smoother.step(raw[-1], frame))
    for part in ("joints_m", "vertices_m"):
        before, after = (np.std([getattr(hand, part) for hand in hands[10:]], axis=0).mean() for hands in (raw, smooth))
        assert after < 0.5 * before
    for was, hand in zip(raw, smooth):
        np.testing.assert_allclose(hand.wrist_pose[:3, :3], wrist_rotation(hand.joints_m, "right"), atol=1e-9)
        np.testing.assert_allclose(hand.wrist_pose[:3, 3], hand.joints_m[0])
        # The hypotheses keep their spread in the wrist frame, and the first one, which is the hand, stays the hand.
        np.testing.assert_allclose(hand.hypotheses_m[0], hand.joints_m, atol=1e-9)
        spreads = [(h.hypotheses_m[1] - h.hypotheses_m[0]) @ h.wrist_pose[:3, :3] for h in (was, hand)]
        np.testing.assert_allclose(*spreads, atol=1e-9)
        errors = np.linalg.norm(project(hand.joints_m, K) - hand.keypoints_px, axis=-1)
        assert hand.reprojection_px == pytest.approx(np.sqrt(np.mean(errors**2)), abs=1e-6)
        np.testing.assert_array_equal(hand.joint_covariance_m2, was.joint_covariance_m2)


@pytest.mark.parametrize("stamp_s", [1.0, 0.5, 2.0])
def test_a_stamp_that_repeats_goes_back_or_skips_much_begins_again(model, stamp_s):
    smoother = HandSmoother(PipelineConfig())
    for index in range(3):
        smoother.step(hand_at(model), frame_at(1.0 - (2 - index) * DT_S))
    hand = hand_at(model, (0.1, 0, 0.5))
    np.testing.assert_allclose(smoother.step(hand, frame_at(stamp_s)).joints_m, hand.joints_m, atol=1e-12)


def test_another_side_and_a_lost_calibration_begin_again(model):
    smoother = HandSmoother(PipelineConfig())
    smoother.step(hand_at(model), frame_at(0.0))
    left = replace(hand_at(model, (0.1, 0, 0.5)), handedness="left")
    np.testing.assert_allclose(smoother.step(left, frame_at(DT_S)).joints_m, left.joints_m, atol=1e-12)
    pose = left.wrist_pose.copy()
    pose[:3, 3] = np.nan
    relative = {name: getattr(left, name) - left.joints_m[0] for name in ("joints_m", "vertices_m", "hypotheses_m")}
    nowhere = replace(left, scale_source="none", wrist_pose=pose, **relative)
    for index in (2, 3):
        hand = smoother.step(nowhere, frame_at(index * DT_S))
        np.testing.assert_allclose(hand.joints_m, nowhere.joints_m, atol=1e-12)
        assert np.isnan(hand.wrist_pose[:3, 3]).all()


@pytest.mark.parametrize("cutoff_hz", [0.0, 1.5])
def test_prediction_goes_on_with_the_same_shift_and_turn_and_says_that_it_is_one(model, cutoff_hz):
    smoother = HandSmoother(PipelineConfig(smooth_cutoff_hz=cutoff_hz))
    speed, spin = np.array([0.3, 0.1, -0.05]), np.array([0.0, 0.0, 0.5])

    def truth(stamp_s: float) -> HandEstimate:
        return hand_at(model, stamp_s * speed + (0, 0, 0.5), stamp_s * spin)

    for index in range(90):
        last = smoother.step(truth(index * DT_S), frame_at(index * DT_S))
    later_s = 92 * DT_S
    hand = smoother.predict(detection_of(truth(later_s)), frame_at(later_s))
    if not cutoff_hz:
        np.testing.assert_allclose(hand.joints_m, truth(later_s).joints_m, atol=1e-4)
        np.testing.assert_allclose(hand.vertices_m, truth(later_s).vertices_m, atol=1e-4)
        np.testing.assert_allclose(hand.wrist_pose, truth(later_s).wrist_pose, atol=1e-3)
    np.testing.assert_allclose(hand.wrist_pose[:3, 3] - last.wrist_pose[:3, 3], 3 * DT_S * speed, atol=1e-3)
    assert hand.state == "predicted"
    assert not np.any(hand.joint_flags & OBSERVED)
    assert not hand.joint_confidence.any()
    assert np.isnan(hand.reprojection_px)


def test_the_longer_a_hand_is_not_seen_the_less_is_claimed(model):
    smoother = HandSmoother(PipelineConfig())
    hands = [smoother.step(hand_at(model), frame_at(0.0))]
    hands += [smoother.predict(detection_of(hands[0]), frame_at(stamp_s)) for stamp_s in (0.03, 0.1)]
    for sooner, later in pairwise(hands):
        assert np.all(np.linalg.eigvalsh(later.joint_covariance_m2 - sooner.joint_covariance_m2) > 0)
        assert np.all(np.linalg.eigvalsh(later.wrist_covariance - sooner.wrist_covariance) > 0)
        assert np.all(later.vertex_std_m > sooner.vertex_std_m)
        assert np.all(np.linalg.eigvalsh(later.joint_covariance_m2 - later.articulation_covariance_m2) > 0)


def test_a_hand_never_seen_cannot_be_predicted(model):
    with pytest.raises(ValueError, match="hand 1 was never detected"):
        HandSmoother(PipelineConfig()).predict(detection_of(hand_at(model)), frame_at(1.0))
