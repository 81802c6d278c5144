"""TF lookup: the transform between two frames at the time of an image.

Uses tf2_ros if installed, else an own buffer. Without tf2_msgs every lookup fails.
"""

import time
from typing import Protocol

import numpy as np
from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.time import Time

from hand_mesh_ros.core.stream.transform_buffer import HISTORY_NS, Sample, TransformBuffer, TransformError, to_matrix
from hand_mesh_ros.ros import qos
from hand_mesh_ros.ros.endpoints import Endpoints
from hand_mesh_ros.ros.stamp import stamp_ns

try:
    from tf2_msgs.msg import TFMessage
except ImportError:
    TFMessage = None
try:
    import tf2_ros
except ImportError:
    tf2_ros = None

NO_TF = "tf2_msgs is not installed: run make setup, or install it with your ROS"
# While waiting for a transform, it is looked for this often [s].
_POLL_S = 0.002


class Transforms(Protocol):
    """Transforms as the node's executor receives them; may be asked from another thread."""

    def lookup(self, target: str, source: str, stamp_ns: int) -> np.ndarray:
        """target_from_source, (4, 4), as it was at a time.

        Raises:
            TransformError: if it is not known.
        """

    def clear(self) -> None:
        """Drops all dynamic transforms after time jumped back."""


def listen(endpoints: Endpoints) -> Transforms:
    """Subscribes to /tf and /tf_static by the best means that are installed."""
    if TFMessage is None:
        return NoTransforms()
    return OwnTransforms(endpoints) if tf2_ros is None else Tf2Transforms(endpoints)


def wait_for(transforms: Transforms, target: str, source: str, stamp_ns: int, patience_s: float) -> np.ndarray:
    """As `lookup`, for a transform that may be about to come.

    The time is that of the machine: simulated time may stand still.

    Raises:
        TransformError: if it is not known after `patience_s`.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return transforms.lookup(target, source, stamp_ns)
        except TransformError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(_POLL_S)


class NoTransforms:
    """Where there is no TF."""

    def lookup(self, target: str, source: str, stamp_ns: int) -> np.ndarray:
        """Raises TransformError."""
        raise TransformError(NO_TF)

    def clear(self) -> None:
        """Nothing to do."""


class Tf2Transforms:
    """By tf2_ros."""

    def __init__(self, endpoints: Endpoints) -> None:
        # Without the node: with one, it offers a service that nobody needs, and some versions fail when simulated time jumps.
        self._buffer = tf2_ros.Buffer(Duration(nanoseconds=HISTORY_NS))
        self._listener = tf2_ros.TransformListener(self._buffer, endpoints.node)
        endpoints.on_destroy(self._listener.unregister)

    def lookup(self, target: str, source: str, stamp_ns: int) -> np.ndarray:
        """As `Transforms.lookup`."""
        try:
            # Its own waiting looks 50 times a second; without a time-out it answers at once.
            found = self._buffer.lookup_transform(target, source, Time(nanoseconds=stamp_ns))
        except tf2_ros.TransformException as error:
            raise TransformError(str(error)) from error
        return to_matrix(*_numbers(found))

    def clear(self) -> None:
        """As `Transforms.clear`."""
        self._buffer.clear()


class OwnTransforms:
    """By a buffer of our own."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._node, self._buffer = endpoints.node, TransformBuffer()
        endpoints.subscription(TFMessage, "/tf", lambda message: self._insert(message, False), qos.TF)
        endpoints.subscription(TFMessage, "/tf_static", lambda message: self._insert(message, True), qos.TF_STATIC)
        self.lookup, self.clear = self._buffer.lookup, self._buffer.clear

    def _insert(self, message: "TFMessage", is_static: bool) -> None:
        for transform in message.transforms:
            sample = Sample(transform.header.frame_id, *_numbers(transform))
            try:
                self._buffer.insert(transform.child_frame_id, sample, stamp_ns(transform.header), is_static)
            except ValueError as error:
                self._node.get_logger().warning(f"a transform on /tf is left out: {error}", throttle_duration_sec=10.0)


def _numbers(transform: TransformStamped) -> tuple[np.ndarray, np.ndarray]:
    """Translation (3,) and quaternion (4,) x, y, z, w."""
    moved, turned = transform.transform.translation, transform.transform.rotation
    return np.array([moved.x, moved.y, moved.z]), np.array([turned.x, turned.y, turned.z, turned.w])
