"""Joints in the axes in which retargeting libraries expect an operator's hand: x out of the palm, z along it, y = z cross x.

A raised hand with the palm forward has x forward, y left, z up, for both sides. In this it equals the wrist frame; but the
palm's plane is here the one through wrist, index MCP and middle MCP, as in the frame that dex-retargeting's own hand detector
estimates (AnyTeleop, Qin et al. 2023), so that its settings of robots hold unchanged. The two differ by a few degrees about z.
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
    """Skeletons (..., 21, 3) of one side in operator axes, the wrist in the origin; metres, any camera axes in."""
    return (joints_m - joints_m[..., [WRIST], :]) @ operator_rotation(joints_m, side)
