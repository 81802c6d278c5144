"""The operator frame is that of dex-retargeting, derived here again from its definition by other means, for both sides.

Its published convention: a hand in MANO's axes has x from the middle MCP to the wrist, y the normal of the plane through wrist,
index MCP and middle MCP, and z = x cross y on the index finger's side; a row of coordinates in these axes times a signed
permutation gives the operator's. The permutation, in words: right: (-y, z, -x), left: (y, -z, -x).
"""

import numpy as np
import pytest

from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.hand.kinematics import pose
from hand_mesh_ros.core.hand.model import FILE_NAME, HandModel
from hand_mesh_ros.core.hand.wrist_frame import wrist_rotation
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.robot.operator_frame import operator_joints, operator_rotation
from hand_mesh_ros.core.topology import FINGERTIPS, INDEX_MCP, MIDDLE_MCP
from models_train.hands import poses


@pytest.fixture(scope="module")
def right_hands() -> np.ndarray:
    """(50, 21, 3) posed right hands somewhere in a camera frame."""
    rng = np.random.default_rng(5)
    model = HandModel.load(default_models_dir() / FILE_NAME)
    joints = pose(model, poses.sample_angles(rng, 50))[0].astype(np.float64)
    turns = np.stack([np.linalg.qr(matrix)[0] for matrix in rng.normal(size=(50, 3, 3))])
    turns *= np.linalg.det(turns)[:, None, None]
    return joints @ turns + rng.normal(size=(50, 1, 3))


def by_definition(joints: np.ndarray, side: str) -> np.ndarray:
    """One skeleton (21, 3) in operator axes, as the convention above has it."""
    wrist, index, middle = joints[0], joints[5], joints[9]
    x = (wrist - middle) / np.linalg.norm(wrist - middle)
    # The way from the middle to the index finger that is left when the part along x is taken away lies along z.
    z = (index - middle) - ((index - middle) @ x) * x
    z /= np.linalg.norm(z)
    y = np.cross(z, x)
    along_x, along_y, along_z = ((joints - wrist) @ axis for axis in (x, y, z))
    columns = (-along_y, along_z, -along_x) if side == "right" else (along_y, -along_z, -along_x)
    return np.stack(columns, -1)


@pytest.mark.parametrize("side", ["left", "right"])
def test_joints_are_in_the_frame_of_dex_retargeting(right_hands, side):
    hands = mirror_points(right_hands) if side == "left" else right_hands
    expected = np.stack([by_definition(joints, side) for joints in hands])
    np.testing.assert_allclose(operator_joints(hands, side), expected, atol=1e-12)


def test_a_raised_hand_points_up_with_the_palm_forward_and_its_thumb_inwards(right_hands):
    model = HandModel.load(default_models_dir() / FILE_NAME)
    flat, bent = (pose(model, np.deg2rad(angles))[0] for angles in (np.zeros((5, 4)), np.full((5, 4), 30.0)))
    for side, thumb_side in (("right", 1), ("left", -1)):
        hands = [mirror_points(hand) if side == "left" else hand for hand in (flat, bent)]
        open_hand, bent_hand = (operator_joints(hand, side) for hand in hands)
        assert np.all(open_hand[MIDDLE_MCP, :2] ** 2 < 1e-12)
        assert np.all(open_hand[FINGERTIPS, 2] > 0.08), "fingers are up"
        assert thumb_side * open_hand[INDEX_MCP, 1] > 0.01, "y is to the left: a right hand's index, a left hand's little finger"
        assert np.all(bent_hand[FINGERTIPS[1:], 0] > open_hand[FINGERTIPS[1:], 0] + 0.02), "fingers bend forward, out of the palm"


def test_mirrored_hands_are_mirrored_in_operator_axes(right_hands):
    left = operator_joints(mirror_points(right_hands), "left")
    np.testing.assert_allclose(left * (1, -1, 1), operator_joints(right_hands, "right"), atol=1e-12)


@pytest.mark.parametrize("side", ["left", "right"])
def test_it_is_a_rotation_a_few_degrees_about_z_from_the_wrist_frame(right_hands, side):
    hands = mirror_points(right_hands) if side == "left" else right_hands
    operator, wrist = operator_rotation(hands, side), wrist_rotation(hands, side)
    np.testing.assert_allclose(np.linalg.det(operator), 1)
    np.testing.assert_allclose(operator[..., 2], wrist[..., 2], atol=1e-12)
    angle = np.rad2deg(np.arccos(np.clip((operator[..., 0] * wrist[..., 0]).sum(-1), -1, 1)))
    assert angle.max() < 10
