"""What a node has in the graph for a while: publishers, subscriptions and services that are made one by one and go together.

They are destroyed, not silenced as rclpy's lifecycle publishers are: a topic that nobody feeds is not there, the latched topology
of a node that does not work is sent to nobody, and subscribers count publishers that really publish.
"""

from collections.abc import Callable
from contextlib import ExitStack
from copy import copy

from rclpy.clock import Clock, ClockType
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import InvalidQosOverridesError
from rclpy.service import Service
from rclpy.subscription import Subscription
from rclpy.timer import Timer

from hand_mesh_ros.ros import qos


class QosOverrideError(ValueError):
    """A parameter `qos_overrides...` has a value that cannot be."""


class Endpoints:
    """Makes endpoints of a node, and takes them away again."""

    def __init__(self, node: Node) -> None:
        """Begins with none."""
        self.node = node
        self._made = ExitStack()

    def publisher(self, kind: type, topic: str, profile: QoSProfile) -> Publisher:
        """A publisher with this profile, as far as parameters `qos_overrides.<topic>.publisher...` say nothing else.

        Raises:
            QosOverrideError: naming the topic and what is allowed.
        """
        create = self.node.create_publisher
        publisher = self._overridable("publisher", topic, profile, lambda options: create(kind, topic, **options))
        self._made.callback(self.node.destroy_publisher, publisher)
        return publisher

    def subscription(
        self,
        kind: type,
        topic: str,
        callback: Callable,
        profile: QoSProfile,
        events: qos.SubscriptionEventCallbacks | None = None,
    ) -> Subscription:
        """A subscription with this profile, as far as parameters `qos_overrides.<topic>.subscription...` say nothing else.

        Raises:
            QosOverrideError: naming the topic and what is allowed.
        """

        def create(options: dict[str, object]) -> Subscription:
            return self.node.create_subscription(kind, topic, callback, event_callbacks=events, **options)

        subscription = self._overridable("subscription", topic, profile, create)
        self._made.callback(self.node.destroy_subscription, subscription)
        return subscription

    def service(self, kind: type, name: str, callback: Callable) -> Service:
        """A service. Its callback must not await: rclpy ends with an exception if the service is gone when the answer comes."""
        service = self.node.create_service(kind, name, callback)
        self._made.callback(self.node.destroy_service, service)
        return service

    def timer(self, period_s: float, callback: Callable[[], None]) -> Timer:
        """A timer of the machine's steady clock, which runs on while simulated time stands still."""
        timer = self.node.create_timer(period_s, callback, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._made.callback(self.node.destroy_timer, timer)
        return timer

    def on_destroy(self, callback: Callable[[], None]) -> None:
        """Has something else called with the rest."""
        self._made.callback(callback)

    def destroy(self) -> None:
        """Takes all away, the last one first."""
        self._made.close()

    def _overridable(self, entity: str, topic: str, profile: QoSProfile, create: Callable) -> object:
        try:
            # A copy, since rclpy writes the overrides into the profile.
            return create({"qos_profile": copy(profile), "qos_overriding_options": qos.OVERRIDING})
        except (ParameterException, InvalidQosOverridesError, RuntimeError) as error:
            name = f"qos_overrides.{self.node.resolve_topic_name(topic)}.{entity}"
            raise QosOverrideError(f"{name}: {error}; {qos.ALLOWED}") from error
