"""Motions, and transforms as messages and back, for the tests of TF."""

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Quaternion, TransformStamped, Vector3
from std_msgs.msg import Header

from hand_mesh_ros.core.geometry.rotations import rotation_about
from hand_mesh_ros.core.stream.transform_buffer import to_matrix
from hand_mesh_ros.ros.output import convert_hands

SECOND = 1_000_000_000
_AXIS = np.array([2.0, -1.0, 2.0]) / 3


def motion(translation_m: object, angle: float = 0.0, axis: np.ndarray = _AXIS) -> np.ndarray:
    """(4, 4) of a shift and a turn in radians."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation_about(axis, np.array(angle)), translation_m
    return matrix


def stamped(parent: str, child: str, parent_from_child: np.ndarray, stamp_ns: int) -> TransformStamped:
    """The message of a pose (4, 4) at a time."""
    stamp = Time(sec=stamp_ns // SECOND, nanosec=stamp_ns % SECOND)
    message = TransformStamped(header=Header(stamp=stamp, frame_id=parent), child_frame_id=child)
    message.transform.translation = Vector3(**dict(zip("xyz", parent_from_child[:3, 3].tolist())))
    message.transform.rotation = convert_hands.quaternion(parent_from_child[:3, :3])
    return message


def matrix_of(place: Point | Vector3, turn: Quaternion) -> np.ndarray:
    """(4, 4) of the parts of a transform or pose."""
    return to_matrix(np.array([place.x, place.y, place.z]), np.array([turn.x, turn.y, turn.z, turn.w]))
