"""Joint angles invert the kinematics of the hand model, for both sides, wherever the hand is; other skeletons have sane ones."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.geometry.rotations import rotation_about
from hand_mesh_ros.core.hand.joint_angles import ANGLE_NAMES, VISIBLE_SHARE, JointLimits, joint_angles
from hand_mesh_ros.core.hand.kinematics import joint_frames, local_rotations, pose
from hand_mesh_ros.core.hand.model import FILE_NAME, HandModel
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from models_train.hands import poses

ROOT = Path(__file__).resolve().parents[3]
LIMITS_FILE = ROOT / "config/joint_limits.yaml"


@pytest.fixture(scope="module")
def model() -> HandModel:
    return HandModel.load(default_models_dir() / FILE_NAME)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def limits() -> JointLimits:
    return JointLimits.of_degrees(yaml.safe_load(LIMITS_FILE.read_text()))


def is_visible(angles: np.ndarray, lengths_m: np.ndarray) -> np.ndarray:
    """Whether the abduction (n, 5) of fingers can be seen: they do not point straight out of the palm."""
    elevation = np.cumsum(angles[..., 1:], -1)
    traces = np.sqrt(((lengths_m * np.cos(elevation)) ** 2).sum(-1) / (lengths_m**2).sum(-1))
    return traces >= VISIBLE_SHARE


def finger_lengths(model: HandModel) -> np.ndarray:
    """(5, 3) of the bones from base to tip."""
    return model.bone_lengths_m.reshape(5, 4)[:, 1:]


def turned(joints: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Skeletons (n, 21, 3) each somewhere else, in another attitude, of another size."""
    n = len(joints)
    axes = rng.normal(size=(n, 3))
    rotations = rotation_about(axes / np.linalg.norm(axes, axis=-1, keepdims=True), rng.uniform(0, np.pi, n))
    return rng.uniform(0.7, 1.3, (n, 1, 1)) * joints @ rotations.swapaxes(-1, -2) + rng.normal(size=(n, 1, 3))


@pytest.mark.parametrize("side", ["left", "right"])
def test_angles_come_back_from_the_posed_hand_of_either_side(model, rng, side):
    angles = poses.sample_angles(rng, 2000)
    joints = turned(pose(model, angles)[0].astype(np.float64), rng)
    found = joint_angles(model, mirror_points(joints) if side == "left" else joints, side)
    visible = is_visible(angles, finger_lengths(model))
    assert visible.mean() > 0.9
    np.testing.assert_allclose(found[..., 1:], angles[..., 1:], atol=1e-6)
    np.testing.assert_allclose(found[visible][:, 0], angles[visible][:, 0], atol=1e-6)
    hidden, true = found[~visible][:, 0], angles[~visible][:, 0]
    assert np.all(np.abs(hidden) <= np.abs(true) + 1e-6), "an abduction that cannot be seen must fade, not grow"


def test_one_finger_moves_one_finger(model):
    rest = joint_angles(model, model.joints_m, "right")
    np.testing.assert_allclose(rest, 0, atol=1e-6)
    for finger in range(5):
        for joint in range(4):
            angles = np.zeros((5, 4))
            angles[finger, joint] = 0.3
            np.testing.assert_allclose(joint_angles(model, pose(model, angles)[0], "right"), angles, atol=1e-6)


def test_bone_lengths_do_not_count(model, rng):
    angles = poses.sample_angles(rng, 200)
    rest = model.joints_m.astype(np.float64)
    longer = rest.copy()
    for base in range(1, 21, 4):
        factor = rng.uniform(0.8, 1.25)
        longer[base : base + 4] = rest[base] + factor * (rest[base : base + 4] - rest[base])
    _, joints = joint_frames(local_rotations(model, angles), longer)
    found = joint_angles(model, joints, "right")
    np.testing.assert_allclose(found[..., 1:], angles[..., 1:], atol=1e-6)


def test_noise_of_millimetres_costs_degrees_and_never_breaks(model, rng):
    angles = poses.sample_angles(rng, 1000)
    joints = pose(model, angles)[0] + rng.normal(0, 0.002, (1000, 21, 3))
    found = limits().clamp(joint_angles(model, joints, "right"))
    error = np.rad2deg(np.abs(found - angles))
    assert np.isfinite(found).all()
    assert np.median(error) < 5
    assert np.percentile(error, 95) < 20


def test_a_finger_straight_out_of_the_palm_does_not_flicker_in_abduction(model, rng):
    angles = np.zeros((500, 5, 4))
    angles[:, 1:, 1] = np.deg2rad(90)
    joints = pose(model, angles)[0] + rng.normal(0, 0.001, (500, 21, 3))
    assert np.rad2deg(joint_angles(model, joints, "right")[:, 1:, 0]).std() < 8


def test_any_skeleton_has_angles(model, rng):
    found = joint_angles(model, rng.normal(size=(100, 21, 3)), "left")
    assert np.isfinite(found).all()
    assert np.abs(found[..., 0]).max() <= np.pi / 2
    assert np.abs(found[..., 1:]).max() <= np.pi


def test_names_and_shipped_limits_are_those_of_the_poses_that_the_models_learned_from():
    assert len(ANGLE_NAMES) == len(set(ANGLE_NAMES)) == 20
    assert ANGLE_NAMES[:5] == (
        "thumb_cmc_abduction",
        "thumb_cmc_flexion",
        "thumb_mcp_flexion",
        "thumb_ip_flexion",
        "index_mcp_abduction",
    )
    assert ANGLE_NAMES[-1] == "little_dip_flexion"
    np.testing.assert_allclose(limits().lower_rad, poses._LOW)
    np.testing.assert_allclose(limits().upper_rad, poses._HIGH)


def test_angles_beyond_the_limits_are_clamped():
    clamped = limits().clamp(np.full((3, 5, 4), 10.0))
    np.testing.assert_array_equal(clamped, np.broadcast_to(limits().upper_rad, (3, 5, 4)))
    np.testing.assert_array_equal(limits().clamp(np.zeros((5, 4))), np.zeros((5, 4)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"index_mcp_flexion": [50, 40]}, "lower limits must be below upper limits: index_mcp_flexion"),
        ({"index_mcp_flexion": [0]}, "pairs"),
        ({"sixth_finger": [0, 1]}, "unknown .*sixth_finger"),
    ],
)
def test_limits_that_do_not_fit_are_refused_by_name(change, message):
    stored = yaml.safe_load(LIMITS_FILE.read_text())
    with pytest.raises(ValueError, match=message):
        JointLimits.of_degrees(stored | change)
