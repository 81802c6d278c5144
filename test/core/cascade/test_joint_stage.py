"""Joint hypotheses of the shipped model: size, symmetry, cues withheld, and a view with two true explanations."""

from dataclasses import replace

import numpy as np
import pytest

from hand_mesh_ros.core.cascade.joint_stage import JointSampler, plausible_bones, turned_to
from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.detect import crop
from hand_mesh_ros.core.detect.seen_hand import see
from hand_mesh_ros.core.geometry import camera, rigid
from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.geometry.rotations import rotation_about, to_vector
from hand_mesh_ros.core.hand import kinematics
from hand_mesh_ros.core.hand.model import FILE_NAME, HandModel, bone_lengths
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.topology import BONES, FINGER_JOINTS, MIDDLE_MCP
from hand_mesh_ros.core.types import Frame, HandDetection, SeenHand

# A long lens, which leaves little perspective to tell near from far.
FRAME = Frame(np.zeros((480, 640, 3), np.uint8), np.array([[1200.0, 0, 319.5], [0, 1200.0, 239.5], [0, 0, 1]]))
# The template has x out of the palm and z along the fingers: so the palm looks at the camera and the fingers point up.
UPRIGHT = np.array([[0.0, 1, 0], [0, 0, -1], [-1, 0, 0]])
NOTHING = np.full(21, np.nan, np.float32)


@pytest.fixture(scope="module")
def hand() -> HandModel:
    return HandModel.load(default_models_dir() / FILE_NAME)


@pytest.fixture(scope="module")
def sampler() -> JointSampler:
    return JointSampler(default_models_dir(), PipelineConfig(device="cpu", threads=1, n_hypotheses=32))


def detected(joints_m: np.ndarray) -> HandDetection:
    """A right hand with exact keypoints and nothing else."""
    keypoints = camera.project(joints_m, FRAME.camera_matrix)
    crop_square = crop.around_keypoints(keypoints)
    world = np.full((21, 3), np.nan, np.float32)
    return HandDetection(keypoints.astype(np.float32), NOTHING, np.ones(21, np.float32), world, "right", 1.0, 1.0, crop_square)


def seen(joints_m: np.ndarray) -> SeenHand:
    return see(detected(joints_m), FRAME)


def leaning(hand: HandModel, degrees: float) -> np.ndarray:
    """(21, 3) of a flat hand a metre away whose fingers lean away from the camera, or towards it for negative angles."""
    joints_m, _ = kinematics.pose(hand, np.zeros((5, 4)))
    turn = rotation_about(np.array([1.0, 0, 0]), np.array(-np.deg2rad(degrees))) @ UPRIGHT
    return joints_m @ turn.T + np.array([0.0, 0.05, 1.0])


def lean_deg(joints_m: np.ndarray) -> np.ndarray:
    """How far skeletons (K, 21, 3) lean away from the camera, from the wrist to the middle finger's base."""
    palm = joints_m[:, MIDDLE_MCP] - joints_m[:, 0]
    return np.rad2deg(np.arctan2(palm[:, 2], -palm[:, 1]))


def test_hypotheses_have_average_size_and_their_wrist_in_the_origin(sampler, hand):
    joints_m = sampler(seen(leaning(hand, 20))).joints_m
    np.testing.assert_allclose(bone_lengths(joints_m).sum(-1), hand.bone_lengths_m.sum(), rtol=1e-5)
    np.testing.assert_array_equal(joints_m[:, 0], 0)


def test_the_same_detection_gives_the_same_hypotheses(sampler, hand):
    view = seen(leaning(hand, 20))
    np.testing.assert_array_equal(sampler(view).joints_m, sampler(view).joints_m)


def test_a_view_with_two_explanations_gets_both(sampler, hand):
    # Seen from far, the fingers of a flat hand are as short when they lean a little towards the camera as when away from it.
    lean = lean_deg(sampler(seen(leaning(hand, -10))).joints_m)
    assert np.mean(lean > 5) >= 0.1, lean
    assert np.mean(lean < -5) >= 0.1, lean


def test_the_more_a_hand_leans_the_surer_is_its_direction(sampler, hand):
    for truth in (40, -40):
        lean = lean_deg(sampler(seen(leaning(hand, truth))).joints_m)
        assert np.mean(np.sign(lean) == np.sign(truth)) > 0.8, lean
        assert np.abs(lean - truth).min() < 5


def test_depth_settles_which_explanation_holds(sampler, hand):
    for truth in (30, -30):
        joints_m = leaning(hand, truth)
        depth = (joints_m[:, 2] - joints_m[0, 2]) / joints_m[0, 2]
        lean = lean_deg(sampler(replace(seen(joints_m), depth=depth)).joints_m)
        assert np.mean(np.sign(lean) == np.sign(truth)) > 0.9, lean


def test_a_left_hand_is_seen_as_the_right_hand_that_it_mirrors(hand):
    detection = replace(detected(leaning(hand, 30)), world_landmarks_m=hand.joints_m.astype(np.float32))
    keypoints = detection.keypoints_px.copy()
    keypoints[:, 0] = 2 * FRAME.camera_matrix[0, 2] - keypoints[:, 0]
    left = replace(
        detection,
        keypoints_px=keypoints,
        handedness="left",
        image_from_crop=crop.mirror(crop.around_keypoints(keypoints.astype(np.float64))),
        world_landmarks_m=mirror_points(detection.world_landmarks_m),
    )
    one, other = see(detection, FRAME), see(left, FRAME)
    for name in ("rays", "world_landmarks_m", "in_crop", "confidence"):
        np.testing.assert_allclose(getattr(other, name), getattr(one, name), atol=1e-5)
    assert other.is_mirrored
    assert not one.is_mirrored
    np.testing.assert_allclose(other.camera_rays, mirror_points(one.camera_rays), atol=1e-6)


def test_cues_that_the_shipped_encoder_never_learned_from_do_not_change_the_shape(sampler, hand):
    plain, rng = seen(leaning(hand, 20)), np.random.default_rng(0)
    with_image = replace(plain, features=rng.normal(0, 2, (192, 7, 7)).astype(np.float32))
    with_world = replace(plain, world_landmarks_m=rng.normal(0, 0.1, (21, 3)).astype(np.float32))
    np.testing.assert_array_equal(sampler(with_image).joints_m, sampler(plain).joints_m)
    alone, turned = sampler(plain).joints_m, sampler(with_world).joints_m
    rotation, _, _ = rigid.align(alone[0], turned[0])
    np.testing.assert_allclose(turned, alone @ rotation.T, atol=1e-5)


def test_every_noise_comes_with_its_opposite(sampler):
    np.testing.assert_array_equal(sampler._noise[:16], -sampler._noise[16:])


def test_bones_are_nearer_to_average_lengths_and_keep_their_directions(hand):
    rng = np.random.default_rng(0)
    joints_m = 1.1 * hand.joints_m[None] + rng.normal(0, 0.004, (5, 21, 3)) + np.array([0.1, 0, 0])
    average_m = hand.bone_lengths_m[FINGER_JOINTS - 1]
    plausible = plausible_bones(joints_m, average_m)
    np.testing.assert_allclose(plausible[:, 0], 0)
    np.testing.assert_allclose(bone_lengths(plausible).sum(-1), average_m.sum())

    def bones(joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        offsets = joints[:, BONES[:, 1]] - joints[:, BONES[:, 0]]
        lengths = np.linalg.norm(offsets, axis=-1)
        deviation = np.log(lengths / hand.bone_lengths_m)
        return offsets / lengths[..., None], deviation - deviation.mean(1, keepdims=True)

    (before, deviation), (after, less) = bones(joints_m), bones(plausible)
    np.testing.assert_allclose(after, before, atol=1e-9)
    np.testing.assert_allclose(less, 0.75 * deviation, atol=1e-9)


def test_skeletons_turn_a_part_of_the_way_to_the_landmarks(hand):
    joints_m = np.stack([hand.joints_m, hand.joints_m]).astype(float)
    turn = rotation_about(np.array([0.6, 0.8, 0]), np.array(0.4))
    turned = turned_to(0.7 * hand.joints_m @ turn.T + 0.2, joints_m)
    (rotation, _, _) = rigid.align(joints_m[0], turned[0])
    np.testing.assert_allclose(to_vector(rotation), 0.15 * 0.4 * np.array([0.6, 0.8, 0]), atol=1e-6)
    np.testing.assert_array_equal(turned[1], turned[0])
    np.testing.assert_array_equal(turned_to(np.full((21, 3), np.nan), joints_m), joints_m)
