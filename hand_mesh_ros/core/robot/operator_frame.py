"""Joints in the operator frame of retargeting libraries: x out of the palm, z along the palm, y = z cross x.

For a raised left or right hand with the palm forward, x is forward, y is left and z is up, as in the wrist frame. But in the
operator frame the plane of the palm contains the wrist, the index MCP and the middle MCP, as in the hand detector of
dex-retargeting (AnyTeleop, Qin et al. 2023). So the robot settings of dex-retargeting need no change. The operator frame and the
wrist frame differ by a few degrees about z.
"""

import numpy as np

from hand_mesh_ros.core.topology import INDEX_MCP, MIDDLE_MCP, WRIST
from hand_mesh_ros.core.types import Side


def operator_rotation(joints: np.ndarray, side: Side) -> np.ndarray:
    """Rotation camera_from_operator, (..., 3, 3), of skeletons (..., 21, 3) of one side."""
    z = joints[..., MIDDLE_MCP, :] - joints[..., WRIST, :]
    z = z / np.linalg.norm(z, axis=-1, keepdims=True)
    # The index finger is to the left of the middle finger on a raised right hand.
    across = joints[..., INDEX_MCP, :] - joints[..., MIDDLE_MCP, :]
    x = np.cross(across, z) if side == "right" else np.cross(z, across)
    x = x / np.linalg.norm(x, axis=-1, keepdims=True)
    return np.stack([x, np.cross(z, x), z], axis=-1)


def operator_joints(joints_m: np.ndarray, side: Side) -> np.ndarray:
    """Skeletons (..., 21, 3) of one side in operator axes, metres, wrist in the origin. The input may be in any axes."""
    return (joints_m - joints_m[..., [WRIST], :]) @ operator_rotation(joints_m, side)
