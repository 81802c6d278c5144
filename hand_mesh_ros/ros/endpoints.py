"""Publishers, subscriptions, services and timers of a node that exist for a limited time and are destroyed together.

Endpoints are destroyed, not disabled like lifecycle publishers of rclpy. Therefore an inactive node has no topics, does not send
its latched topology, and does not count as a publisher.
"""

from collections.abc import Callable
from contextlib import ExitStack
from copy import copy
from typing import TypeVar

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

Endpoint = TypeVar("Endpoint")


class QosOverrideError(ValueError):
    """A parameter `qos_overrides...` has an invalid value."""


class Endpoints:
    """Creates and destroys endpoints of a node."""

    def __init__(self, node: Node) -> None:
        """Starts without endpoints."""
        self.node = node
        self._made = ExitStack()

    def publisher(self, kind: type, topic: str, profile: QoSProfile) -> Publisher:
        """Creates a publisher with this profile. Parameters `qos_overrides.<topic>.publisher...` override the profile.

        Raises:
            QosOverrideError: if an override is invalid. The text contains the topic and the allowed values.
        """

        def create(own: QoSProfile) -> Publisher:
            return self.node.create_publisher(kind, topic, own, qos_overriding_options=qos.OVERRIDING)

        publisher = self._overridable("publisher", topic, profile, create)
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
        """Creates a subscription with this profile. Parameters `qos_overrides.<topic>.subscription...` override the profile.

        Raises:
            QosOverrideError: if an override is invalid. The text contains the topic and the allowed values.
        """

        def create(own: QoSProfile) -> Subscription:
            options = qos.OVERRIDING
            return self.node.create_subscription(
                kind, topic, callback, own, event_callbacks=events, qos_overriding_options=options
            )

        subscription = self._overridable("subscription", topic, profile, create)
        self._made.callback(self.node.destroy_subscription, subscription)
        return subscription

    def service(self, kind: type, name: str, callback: Callable) -> Service:
        """Creates a service. Its callback must not await: rclpy raises if the service is destroyed before the answer."""
        service = self.node.create_service(kind, name, callback)
        self._made.callback(self.node.destroy_service, service)
        return service

    def timer(self, period_s: float, callback: Callable[[], None]) -> Timer:
        """Creates a timer on the steady clock. The timer also runs while simulated time is paused."""
        timer = self.node.create_timer(period_s, callback, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._made.callback(self.node.destroy_timer, timer)
        return timer

    def on_destroy(self, callback: Callable[[], None]) -> None:
        """Registers a callback that `destroy` calls, in reverse order of creation."""
        self._made.callback(callback)

    def destroy(self) -> None:
        """Destroys all endpoints in reverse order of creation."""
        self._made.close()

    def _overridable(self, entity: str, topic: str, profile: QoSProfile, create: Callable[[QoSProfile], Endpoint]) -> Endpoint:
        try:
            # Pass a copy, because rclpy writes the overrides into the profile.
            return create(copy(profile))
        except (ParameterException, InvalidQosOverridesError, RuntimeError) as error:
            name = f"qos_overrides.{self.node.resolve_topic_name(topic)}.{entity}"
            raise QosOverrideError(f"{name}: {error}; {qos.ALLOWED}") from error
