"""Receives a calibration that was published before the subscription, if its publisher keeps the message for late subscribers.

A subscription of the durability `volatile` receives the new messages of all publishers. A subscription of the durability
`transient local` receives the last message of latched publishers, and nothing of other publishers. So a second subscription is
made as soon as a latched publisher exists. Without one it would make the driver warn of an incompatible subscription.
"""

from collections.abc import Callable

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo

from hand_mesh_ros.ros import qos


class LatchedInfo:
    """The second subscription to `camera_info`."""

    def __init__(self, node: Node, topic: str, callback: Callable[[CameraInfo], None]) -> None:
        """Subscribes if a latched publisher is known already.

        Args:
            node: the node that subscribes.
            topic: full name of the topic.
            callback: called with each message of a latched publisher.
        """
        self._node, self._topic, self._callback = node, topic, callback
        self._subscription: Subscription | None = None
        self.look()

    def look(self) -> None:
        """Subscribes if there is a latched publisher now. Call this in the thread of the executor, from time to time."""
        if self._subscription is not None:
            return
        publishers = self._node.get_publishers_info_by_topic(self._topic)
        if any(publisher.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for publisher in publishers):
            # Other publishers on the topic do not match. That is no trouble: the first subscription receives their messages.
            silent = qos.SubscriptionEventCallbacks(use_default_callbacks=False)
            self._subscription = self._node.create_subscription(
                CameraInfo, self._topic, self._callback, qos.LATCHED, event_callbacks=silent
            )

    def destroy(self) -> None:
        """Removes the subscription."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
