"""Publishes hands as MoveIt collision objects if moveit_msgs is installed. Otherwise planners can use `~/get_hand_shape`."""

import threading
import time
from collections.abc import Iterable, Sequence
from functools import partial

from geometry_msgs.msg import Pose
from rclpy.duration import Duration
from rclpy.publisher import Publisher
from std_msgs.msg import Header

from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.robot.capsules import HandCapsules
from hand_mesh_ros.core.robot.choose import is_placed
from hand_mesh_ros.core.types import HandEstimate
from hand_mesh_ros.ros import qos
from hand_mesh_ros.ros.endpoints import Endpoints
from hand_mesh_ros.ros.output.hand_shapes import to_primitives

try:
    from moveit_msgs.msg import CollisionObject
except ImportError:
    CollisionObject = None

# A planning scene copies each message. Ten messages a second are enough to follow a hand and leave time to plan.
_PERIOD_S = 0.1
# Without a published image for this time, all hands are removed. The camera has failed or the transform is missing [s].
_SILENCE_S = 0.5
# Maximum time for the removals to reach the planners before the publisher is destroyed, when the node is deactivated [s].
_ACK_PATIENCE_S = 0.5
# Margin around the skin, in standard deviations of the joint position. In the direction of the largest error, 2 standard
# deviations contain the joint in 95 % of cases.
K_SIGMA = 2.0


class CollisionObjects:
    """Publishes `collision_objects`: ADD replaces the hand of the last image, REMOVE deletes a lost hand.

    Predicted hands are included, because a hand that is hidden for a short time is still an obstacle.
    All hands are removed when no image is published for `_SILENCE_S`, and when the publisher is destroyed.
    """

    def __init__(self, endpoints: Endpoints, model: HandModel) -> None:
        """Creates the publisher. Without moveit_msgs, logs how planners can get the hands."""
        self._capsules_of = HandCapsules(model)
        # The worker's thread publishes images. The executor's thread detects missing images.
        self._lock = threading.Lock()
        self._shown: dict[str, Header] = {}  # last header of each object in the planning scene, by id
        self._due_s = self._published_s = 0.0
        self._publisher: Publisher | None = None
        if CollisionObject is None:
            reason = "moveit_msgs is not installed: no collision_objects; planners can call ~/get_hand_shape"
            endpoints.node.get_logger().info(reason)
        else:
            self._publisher = publisher = endpoints.publisher(CollisionObject, "collision_objects", qos.HYPOTHESES)
            # Destroyed in reverse order: the removals are sent while the publisher exists.
            endpoints.on_destroy(partial(self._remove_for_good, publisher))
            endpoints.timer(_PERIOD_S, partial(self._remove_when_silent, publisher))

    def publish(self, estimates: Sequence[HandEstimate], header: Header) -> None:
        """Publishes the hands of one image to subscribers. Sends removals at once and other hands at most every 0.1 s."""
        publisher = self._publisher
        if publisher is None or not publisher.get_subscription_count():
            return
        hands = {f"hand_{hand.track_id}": hand for hand in estimates if is_placed(hand)}
        with self._lock:
            self._published_s = time.monotonic()
            self._remove(publisher, self._shown.keys() - hands.keys())
            if self._published_s < self._due_s:
                return
            self._due_s = self._published_s + _PERIOD_S
            for name, hand in hands.items():
                publisher.publish(self._to_object(name, hand, header))
                self._shown[name] = header

    def _to_object(self, name: str, hand: HandEstimate, header: Header) -> "CollisionObject":
        primitives, poses = to_primitives(self._capsules_of.of(hand, K_SIGMA))
        return CollisionObject(
            header=header,
            id=name,
            pose=Pose(),
            primitives=primitives,
            primitive_poses=poses,
            operation=CollisionObject.ADD,
        )

    def _remove(self, publisher: Publisher, names: Iterable[str]) -> None:
        for name in list(names):
            publisher.publish(CollisionObject(header=self._shown.pop(name), id=name, operation=CollisionObject.REMOVE))

    def _remove_when_silent(self, publisher: Publisher) -> None:
        with self._lock:
            if time.monotonic() - self._published_s > _SILENCE_S:
                self._remove(publisher, self._shown)

    def _remove_for_good(self, publisher: Publisher) -> None:
        with self._lock:
            if self._shown:
                self._remove(publisher, self._shown)
                publisher.wait_for_all_acked(Duration(seconds=_ACK_PATIENCE_S))
