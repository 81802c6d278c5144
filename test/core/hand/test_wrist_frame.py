"""The wrist frame: REP-103 for a raised hand, for both sides, and it turns with the hand."""

import numpy as np
import pytest

from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.hand.wrist_frame import wrist_rotation
from hand_mesh_ros.core.topology import FINGER_JOINTS, N_JOINTS


def raised_right_hand() -> np.ndarray:
    """(21, 3), in x forward, y left, z up: palm forward, fingers up; the thumb of a right hand then points left."""
    joints = np.zeros((N_JOINTS, 3))
    for finger, y in enumerate((0.05, 0.025, 0.0, -0.02, -0.04)):
        joints[FINGER_JOINTS[finger], 1] = y
        joints[FINGER_JOINTS[finger], 2] = np.linspace(0.08, 0.17, 4) if finger else np.linspace(0.03, 0.1, 4)
    return joints


def test_a_raised_hand_has_the_axes_of_rep_103_for_both_sides():
    right = raised_right_hand()
    left = right * (1, -1, 1)
    np.testing.assert_allclose(wrist_rotation(right, "right"), np.eye(3), atol=1e-12)
    np.testing.assert_allclose(wrist_rotation(left, "left"), np.eye(3), atol=1e-12)


def test_the_wrong_side_turns_the_palm_away():
    assert wrist_rotation(raised_right_hand(), "left")[0, 0] == pytest.approx(-1)


def test_it_turns_with_the_hand_and_ignores_place_and_size():
    rng = np.random.default_rng(4)
    turn = np.stack([np.linalg.qr(matrix)[0] for matrix in rng.normal(size=(6, 3, 3))])
    turn *= np.sign(np.linalg.det(turn))[:, None, None]
    joints = 1.3 * raised_right_hand() @ turn.transpose(0, 2, 1) + rng.normal(size=(6, 1, 3))
    np.testing.assert_allclose(wrist_rotation(joints, "right"), turn, atol=1e-12)


def test_it_is_a_rotation_for_any_joints():
    joints = np.random.default_rng(5).normal(size=(20, 21, 3))
    for side, hands in (("right", joints), ("left", mirror_points(joints))):
        rotation = wrist_rotation(hands, side)
        np.testing.assert_allclose(np.linalg.det(rotation), 1)
        np.testing.assert_allclose(rotation @ rotation.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (20, 3, 3)), atol=1e-12)
