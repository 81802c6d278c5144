"""Grasp cues: places by construction, uncertainties against random hands drawn from what they claim."""

from dataclasses import replace

import numpy as np
import pytest

from hand_mesh_ros.core.geometry import rigid
from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.geometry.rotations import rotation_about
from hand_mesh_ros.core.hand.kinematics import pose
from hand_mesh_ros.core.hand.model import FILE_NAME, HandModel
from hand_mesh_ros.core.hand.wrist_frame import wrist_rotation
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.place.by_rays import scale_covariances
from hand_mesh_ros.core.robot.grasp import PINCH_JOINTS, articulation_covariance, grasp_cues
from hand_mesh_ros.core.topology import N_JOINTS, PALM_JOINTS, WRIST
from hand_mesh_ros.core.types import HandEstimate

SHIFT_STD_M, TURN_STD, SCALE_STD = np.array([0.004, 0.006, 0.015]), np.array([0.02, 0.03, 0.05]), 0.03
# Common to thumb and index in part, so their errors are correlated.
SHAPE_STD_M, COMMON_SHARE = 0.003, 0.7


def skeleton() -> np.ndarray:
    """(21, 3): a right hand half a metre away, pinching loosely."""
    model = HandModel.load(default_models_dir() / FILE_NAME)
    angles = np.deg2rad([[20, 10, 20, 20], *[[0, 40, 40, 25]] * 4])
    joints = pose(model, angles)[0].astype(np.float64)
    return joints @ rotation_about(np.array([0.6, 0.0, 0.8]), np.array(2.0)).T + (0.05, -0.03, 0.5)


def shapes(rng: np.random.Generator, joints: np.ndarray, n: int) -> np.ndarray:
    """(n, 21, 3) skeletons of other shape, correlated between the joints, in place, attitude and size like `joints`."""
    common = rng.normal(0, SHAPE_STD_M, (n, 1, 3)) * np.sign(np.sin(1.0 + np.arange(N_JOINTS)))[:, None]
    own = rng.normal(0, SHAPE_STD_M, (n, N_JOINTS, 3))
    moved = joints + np.sqrt(COMMON_SHARE) * common + np.sqrt(1 - COMMON_SHARE) * own
    return rigid.transform(moved, *rigid.align(moved, joints, with_scale=True))


def estimate_of(joints: np.ndarray, samples: np.ndarray, side: str = "right") -> HandEstimate:
    """What the pipeline says of a hand of this posterior, with `samples` as hypotheses."""
    shape = np.einsum("njr,njs->jrs", samples - joints, samples - joints) / len(samples)
    arm = joints - joints[WRIST]
    levers = -np.cross(np.eye(3), arm[:, None, :])  # a turn w moves a joint by w x arm
    turn = np.einsum("jar,a,jas->jrs", levers, TURN_STD**2, levers)
    camera_from_wrist = np.eye(4)
    camera_from_wrist[:3, :3], camera_from_wrist[:3, 3] = wrist_rotation(joints, side), joints[WRIST]
    nothing = np.zeros(N_JOINTS)
    return HandEstimate(
        track_id="1",
        handedness=side,
        handedness_prob=1.0,
        score=1.0,
        state="tracked",
        joints_m=joints,
        joint_covariance_m2=shape + turn + np.diag(SHIFT_STD_M**2) + scale_covariances(joints, SCALE_STD),
        articulation_covariance_m2=shape,
        joint_confidence=nothing + 1,
        joint_flags=nothing.astype(np.uint8),
        hypotheses_m=samples,
        weights=np.full(len(samples), 1 / len(samples)),
        mode=np.zeros(len(samples), int),
        vertices_m=joints,
        vertex_std_m=nothing,
        wrist_pose=camera_from_wrist,
        wrist_covariance=np.diag(np.concatenate([SHIFT_STD_M, TURN_STD]) ** 2),
        keypoints_px=np.zeros((N_JOINTS, 2)),
        keypoint_conf=nothing,
        scale_source="prior",
        scale_rel_std=SCALE_STD,
        reprojection_px=0.0,
    )


@pytest.fixture(scope="module")
def drawn() -> tuple[HandEstimate, np.ndarray]:
    """An estimate and (20000, 21, 3) true hands as likely as it claims."""
    rng = np.random.default_rng(11)
    joints = skeleton()
    samples = shapes(rng, joints, 20_000)
    turns = rng.normal(size=(len(samples), 3)) * TURN_STD
    angles = np.linalg.norm(turns, axis=-1)
    rotations = rotation_about(turns / angles[:, None], angles)
    placed = (samples - joints[WRIST]) @ rotations.swapaxes(-1, -2) + joints[WRIST]
    placed = placed + rng.normal(size=(len(samples), 1, 3)) * SHIFT_STD_M
    return estimate_of(joints, samples), placed * (1 + SCALE_STD * rng.normal(size=(len(samples), 1, 1)))


def test_cues_are_where_they_should_be(drawn):
    estimate = drawn[0]
    cues = grasp_cues(estimate)
    np.testing.assert_allclose(cues.pinch_point_m, (estimate.joints_m[4] + estimate.joints_m[8]) / 2)
    assert cues.aperture_m == pytest.approx(np.linalg.norm(estimate.joints_m[4] - estimate.joints_m[8]))
    np.testing.assert_allclose(cues.palm_centre_m, estimate.joints_m[PALM_JOINTS].mean(0))
    fingers = estimate.joints_m[9] - estimate.joints_m[WRIST]
    assert abs(cues.palm_normal @ fingers) < 1e-12
    assert cues.palm_normal @ (cues.pinch_point_m - cues.palm_centre_m) > 0, "what the hand grasps is in front of its palm"


def test_uncertainties_are_those_of_hands_drawn_at_random(drawn):
    estimate, hands = drawn
    cues = grasp_cues(estimate)
    pinch_points, centres = hands[:, PINCH_JOINTS].mean(1), hands[:, PALM_JOINTS].mean(1)
    for stated, drawn_points in (
        (cues.pinch_point_covariance_m2, pinch_points),
        (cues.palm_centre_covariance_m2, centres),
    ):
        true = np.cov(drawn_points.T)
        np.testing.assert_allclose(stated, true, atol=0.06 * np.abs(true).max())
    apertures = np.linalg.norm(hands[:, 8] - hands[:, 4], axis=-1)
    assert cues.aperture_std_m == pytest.approx(apertures.std(), rel=0.05)


def test_the_palm_normal_is_as_uncertain_as_the_attitude(drawn):
    estimate = drawn[0]
    rng = np.random.default_rng(2)
    turns = rng.normal(size=(20_000, 3)) * TURN_STD
    angles = np.linalg.norm(turns, axis=-1)
    normals = rotation_about(turns / angles[:, None], angles) @ estimate.wrist_pose[:3, 0]
    worst = np.sqrt(np.linalg.eigvalsh(np.cov(normals.T))[-1])
    assert grasp_cues(estimate).palm_normal_std == pytest.approx(worst, rel=0.03)


def test_few_hypotheses_make_a_valid_covariance_with_the_stated_diagonal(drawn):
    estimate, _ = drawn
    for count in (1, 2, 4, 8):
        few = replace(
            estimate, hypotheses_m=estimate.hypotheses_m[:count], weights=np.full(count, 1 / count), mode=np.zeros(count, int)
        )
        covariance = articulation_covariance(few, PALM_JOINTS)
        whole = covariance.transpose(0, 2, 1, 3).reshape(15, 15)
        assert np.linalg.eigvalsh(whole)[0] > -1e-15
        own = np.arange(5)
        np.testing.assert_allclose(covariance[own, own], estimate.articulation_covariance_m2[PALM_JOINTS], atol=1e-12)
        assert 0 < grasp_cues(few).aperture_std_m < 0.02


def test_only_the_main_mode_says_how_joints_err_together(drawn):
    estimate, _ = drawn
    other = estimate.hypotheses_m[:100] * 3
    both = replace(
        estimate,
        hypotheses_m=np.concatenate([estimate.hypotheses_m, other]),
        weights=np.full(20_100, 1 / 20_100),
        mode=np.repeat([0, 1], [20_000, 100]),
    )
    assert grasp_cues(both).aperture_std_m == pytest.approx(grasp_cues(estimate).aperture_std_m)


def test_a_mirrored_hand_has_mirrored_cues(drawn):
    estimate, _ = drawn
    samples = estimate.hypotheses_m[:50]
    right = grasp_cues(estimate_of(estimate.joints_m, samples))
    left = grasp_cues(estimate_of(mirror_points(estimate.joints_m), mirror_points(samples), "left"))
    np.testing.assert_allclose(left.palm_normal, mirror_points(right.palm_normal), atol=1e-12)
    np.testing.assert_allclose(left.pinch_point_m, mirror_points(right.pinch_point_m))
    assert left.aperture_std_m == pytest.approx(right.aperture_std_m)


def test_tips_that_touch_have_an_uncertain_aperture_too(drawn):
    joints = drawn[0].joints_m.copy()
    joints[8] = joints[4]
    touching = replace(drawn[0], joints_m=joints)
    cues = grasp_cues(touching)
    assert cues.aperture_m == 0
    assert 0.001 < cues.aperture_std_m < 0.02


def test_a_hand_without_a_place_has_no_cues(drawn):
    with pytest.raises(ValueError, match="not calibrated"):
        grasp_cues(replace(drawn[0], scale_source="none"))
