"""The wrist frame: x out of the palm, z from the wrist to the middle MCP, y = z cross x.

For a raised left or right hand with the palm forward, x is forward, y is left and z is up. This agrees with REP-103 and with the
operator frame that retargeting libraries expect.
"""

import numpy as np

from hand_mesh_ros.core.geometry import rotations
from hand_mesh_ros.core.topology import INDEX_MCP, LITTLE_MCP, MIDDLE_MCP, WRIST
from hand_mesh_ros.core.types import Side


def wrist_rotation(joints: np.ndarray, side: Side = "right") -> np.ndarray:
    """Rotation camera_from_wrist, (..., 3, 3), of skeletons (..., 21, 3) of one side."""
    z = joints[..., MIDDLE_MCP, :] - joints[..., WRIST, :]
    z = z / np.linalg.norm(z, axis=-1, keepdims=True)
    towards_left = joints[..., INDEX_MCP, :] - joints[..., LITTLE_MCP, :]
    if side == "left":
        towards_left = -towards_left
    x = rotations.cross(towards_left, z)
    x = x / np.linalg.norm(x, axis=-1, keepdims=True)
    return np.stack([x, rotations.cross(z, x), z], axis=-1)
