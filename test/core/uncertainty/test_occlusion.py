"""A joint is hidden where the skin of another finger, and not its own, lies before it."""

import numpy as np

from hand_mesh_ros.core.topology import N_JOINTS
from hand_mesh_ros.core.uncertainty.occlusion import hidden_joints

HIDDEN = 7


def scene(gap_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Joints in a row half a metre away, and a patch of skin `gap_m` before one of them."""
    joints = np.stack([0.02 * np.arange(N_JOINTS) - 0.2, np.zeros(N_JOINTS), np.full(N_JOINTS, 0.5)], -1)
    patch = np.stack(np.meshgrid([-0.002, 0.0, 0.002], [-0.002, 0.0, 0.002], [0.0]), -1).reshape(-1, 3)
    before = joints[HIDDEN] * (1 - gap_m / 0.5)
    return joints, before + patch


def test_skin_far_before_a_joint_hides_this_joint_only():
    assert np.flatnonzero(hidden_joints(*scene(0.05))).tolist() == [HIDDEN]


def test_the_own_flesh_of_a_joint_and_what_lies_behind_hide_nothing():
    assert not hidden_joints(*scene(0.01)).any()
    assert not hidden_joints(*scene(-0.05)).any()
