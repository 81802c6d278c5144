"""TF lookup: the transform between two frames at the time of an image.

Uses tf2_ros if installed, else `OwnTransforms`. Without tf2_msgs every lookup fails.
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

NO_TF = "tf2_msgs is not installed: run make setup, or install the ROS package tf2_msgs"
# Interval between two lookups while `wait_for` waits for a transform [s].
_POLL_S = 0.002


class Transforms(Protocol):
    """Stores the transforms that the node's executor receives. Other threads may call `lookup`."""

    def lookup(self, target: str, source: str, stamp_ns: int) -> np.ndarray:
        """Returns target_from_source, (4, 4), at the time `stamp_ns`.

        Raises:
            TransformError: if the transform is unknown.
        """

    def clear(self) -> None:
        """Drops all dynamic transforms after time jumped back."""


def listen(endpoints: Endpoints) -> Transforms:
    """Subscribes to /tf and /tf_static with the best installed library."""
    if TFMessage is None:
        return NoTransforms()
    return OwnTransforms(endpoints) if tf2_ros is None else Tf2Transforms(endpoints)


def wait_for(transforms: Transforms, target: str, source: str, stamp_ns: int, patience_s: float) -> np.ndarray:
    """Like `lookup`, but waits up to `patience_s` for the transform.

    The timeout uses the machine's clock, because simulated time may be paused.

    Raises:
        TransformError: if the transform is still unknown after `patience_s`.
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
    """Used if TF is not available."""

    def lookup(self, target: str, source: str, stamp_ns: int) -> np.ndarray:
        """Raises TransformError."""
        raise TransformError(NO_TF)

    def clear(self) -> None:
        """Does nothing."""


class Tf2Transforms:
    """Uses tf2_ros."""

    def __init__(self, endpoints: Endpoints) -> None:
        # The buffer gets no node. With a node, it adds an unused service, and some versions fail when simulated time jumps.
        self._buffer = tf2_ros.Buffer(Duration(nanoseconds=HISTORY_NS))
        self._listener = tf2_ros.TransformListener(self._buffer, endpoints.node)
        endpoints.on_destroy(self._listener.unregister)

    def lookup(self, target: str, source: str, stamp_ns: int) -> np.ndarray:
        """As `Transforms.lookup`."""
        try:
            # No timeout, so the call returns at once. The wait of tf2_ros polls only 50 times a second.
            found = self._buffer.lookup_transform(target, source, Time(nanoseconds=stamp_ns))
        except tf2_ros.TransformException as error:
            raise TransformError(str(error)) from error
        return to_matrix(*_numbers(found))

    def clear(self) -> None:
        """As `Transforms.clear`."""
        self._buffer.clear()


class OwnTransforms:
    """Uses the transform buffer of this package."""

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
                self._node.get_logger().warning(f"a transform on /tf is ignored: {error}", throttle_duration_sec=10.0)


def _numbers(transform: TransformStamped) -> tuple[np.ndarray, np.ndarray]:
    """Returns the translation (3,) and the quaternion (4,) as x, y, z, w."""
    moved, turned = transform.transform.translation, transform.transform.rotation
    return np.array([moved.x, moved.y, moved.z]), np.array([turned.x, turned.y, turned.z, turned.w])
