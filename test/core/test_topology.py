"""The joint order is what every array in the package relies on."""

import numpy as np

from hand_mesh_ros.core import topology as t


def test_each_finger_is_a_chain_from_the_wrist_to_its_tip():
    for base, tip in zip(t.FINGER_BASES, t.FINGERTIPS):
        joint, length = tip, 1
        while t.PARENTS[joint] != t.WRIST:
            joint, length = t.PARENTS[joint], length + 1
        assert (joint, length) == (base, 4)


def test_names_agree_with_the_indices():
    assert len(set(t.JOINT_NAMES)) == t.N_JOINTS == 21
    assert t.JOINT_NAMES[t.WRIST] == "wrist"
    assert [t.JOINT_NAMES[tip] for tip in t.FINGERTIPS] == [f"{finger}_tip" for finger in t.FINGERS]
    named = [t.JOINT_NAMES[joint] for joint in (t.INDEX_MCP, t.MIDDLE_MCP, t.LITTLE_MCP)]
    assert named == ["index_mcp", "middle_mcp", "little_mcp"]
    assert [t.JOINT_NAMES[joint] for joint in t.PALM_JOINTS[1:]] == [f"{finger}_mcp" for finger in t.FINGERS[1:]]


def test_bones_are_the_parents_in_child_order():
    np.testing.assert_array_equal(t.BONES[:, 1], np.arange(1, 21))
    np.testing.assert_array_equal(t.BONES[:, 0], t.PARENTS[1:])


def test_mesh_digest_depends_on_the_winding_and_the_count_but_not_on_the_type():
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    digest = t.mesh_digest(4, faces)
    assert digest == t.mesh_digest(4, faces.astype(np.uint32))
    assert digest != t.mesh_digest(5, faces)
    assert digest != t.mesh_digest(4, faces[:, [0, 2, 1]])
    assert len(t.joint_order_digest()) == 12
