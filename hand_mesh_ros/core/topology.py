"""Names and order of the 21 joints. All other modules use the indices and counts of this module."""

import hashlib

import numpy as np

FINGERS = ("thumb", "index", "middle", "ring", "little")
JOINT_NAMES = (
    "wrist",
    *("thumb_cmc", "thumb_mcp", "thumb_ip", "thumb_tip"),
    *(f"{finger}_{part}" for finger in FINGERS[1:] for part in ("mcp", "pip", "dip", "tip")),
)
N_JOINTS = len(JOINT_NAMES)
WRIST = 0
# (5, 4): the joints of each finger from base to tip.
FINGER_JOINTS = np.arange(1, N_JOINTS).reshape(len(FINGERS), 4)
FINGER_BASES = FINGER_JOINTS[:, 0]
FINGERTIPS = FINGER_JOINTS[:, -1]
INDEX_MCP, MIDDLE_MCP, LITTLE_MCP = 5, 9, 17
# Joints that move rigidly with the palm, within millimetres: wrist and the finger MCPs.
PALM_JOINTS = np.array([WRIST, *FINGER_BASES[1:]])
PARENTS = np.array([-1, *(joint - 1 if joint % 4 != 1 else WRIST for joint in range(1, N_JOINTS))])
# (20, 2): every bone as (parent, child), in child order 1..20.
BONES = np.stack([PARENTS[1:], np.arange(1, N_JOINTS)], axis=1)


def joint_order_digest() -> str:
    """Short sha256 of the joint order. Model files contain this digest, so that loading a file with another order fails."""
    return hashlib.sha256("\n".join(JOINT_NAMES).encode()).hexdigest()[:12]


def mesh_digest(n_vertices: int, faces: np.ndarray) -> str:
    """Short sha256 that identifies a mesh topology.

    Args:
        n_vertices: number of vertices.
        faces: (F, 3) vertex ids.
    """
    content = np.int32(n_vertices).tobytes() + np.ascontiguousarray(faces, np.int32).tobytes()
    return hashlib.sha256(content).hexdigest()[:12]
