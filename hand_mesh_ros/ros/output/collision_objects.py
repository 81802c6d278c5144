"""The seam to MoveIt: hands as collision objects, where moveit_msgs is installed. Elsewhere there is `~/get_hand_shape`."""

import time
from collections.abc import Sequence

from geometry_msgs.msg import Pose
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

# Planning scenes copy what they get: ten times a second keeps up with a hand and leaves time to plan.
_PERIOD_S = 0.1
# Of each joint's place, added to the skin: holds the joint 19 times of 20 in its worst direction.
K_SIGMA = 2.0


class CollisionObjects:
    """Publishes `collision_objects`: each hand is added anew, which replaces it, and removed once it is lost.

    Predicted hands are among them: a hand that is out of sight for a moment is still in the way, and grows with the doubt.
    """

    def __init__(self, endpoints: Endpoints, model: HandModel) -> None:
        """Creates the publisher, or says how planners get the hands without moveit_msgs."""
        self._capsules_of, self._shown = HandCapsules(model), {}
        self._due_s = 0.0
        self._publisher = None
        if CollisionObject is None:
            reason = "moveit_msgs is not installed: no collision_objects; planners can call ~/get_hand_shape"
            endpoints.node.get_logger().info(reason)
        else:
            self._publisher = endpoints.publisher(CollisionObject, "collision_objects", qos.HYPOTHESES)

    def publish(self, estimates: Sequence[HandEstimate], header: Header) -> None:
        """Publishes the hands of one image, as far as somebody subscribes; removals at once, the rest at most every 0.1 s."""
        if self._publisher is None or not self._publisher.get_subscription_count():
            return
        hands = {f"hand_{hand.track_id}": hand for hand in estimates if is_placed(hand)}
        for name in self._shown.keys() - hands.keys():
            self._publisher.publish(CollisionObject(header=self._shown.pop(name), id=name, operation=CollisionObject.REMOVE))
        now_s = time.monotonic()
        if now_s < self._due_s:
            return
        self._due_s = now_s + _PERIOD_S
        for name, hand in hands.items():
            primitives, poses = to_primitives(self._capsules_of.of(hand, K_SIGMA))
            self._shown[name] = header
            self._publisher.publish(
                CollisionObject(
                    header=header,
                    id=name,
                    pose=Pose(),
                    primitives=primitives,
                    primitive_poses=poses,
                    operation=CollisionObject.ADD,
                )
            )
