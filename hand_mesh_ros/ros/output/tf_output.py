"""Publishes wrist frames on /tf. Poses, image stamps and conditions are the same as for the topics `wrist`."""

from collections.abc import Sequence

from geometry_msgs.msg import TransformStamped, Vector3
from std_msgs.msg import Header

from hand_mesh_ros.core.robot.choose import is_placed
from hand_mesh_ros.core.types import HandEstimate
from hand_mesh_ros.ros import qos
from hand_mesh_ros.ros.endpoints import Endpoints
from hand_mesh_ros.ros.input.transforms import NO_TF, TFMessage
from hand_mesh_ros.ros.output import convert_hands


class WristFrames:
    """Publishes the frames `left_hand` and `right_hand`. Without TF, logs one warning and publishes nothing."""

    def __init__(self, endpoints: Endpoints, prefix: str) -> None:
        """Creates the publisher. `prefix` is the first part of each frame name."""
        self._node, self._prefix, self._publisher = endpoints.node, prefix, None
        self.trouble = ""  # why the frames of the last image are missing although they are known
        if TFMessage is None:
            self._node.get_logger().warning(f"no wrist frames on /tf: {NO_TF}")
        else:
            self._publisher = endpoints.publisher(TFMessage, "/tf", qos.TF)

    @property
    def state(self) -> str:
        """Returns the state for diagnostics."""
        return NO_TF if self._publisher is None else f"{self._prefix}left_hand, {self._prefix}right_hand"

    def publish(self, chosen: Sequence[HandEstimate], header: Header) -> None:
        """Publishes the hands that `RobotHands` selected from one image, if /tf has subscribers and the positions are known."""
        self.trouble = ""
        placed = [hand for hand in chosen if is_placed(hand)]
        if self._publisher is None or not placed or not self._publisher.get_subscription_count():
            return
        if not header.frame_id:
            self.trouble = "no wrist frames on /tf: the images have no frame_id; the driver must name its optical frame"
            return
        self._publisher.publish(TFMessage(transforms=[to_transform(hand, header, self._prefix) for hand in placed]))


def to_transform(hand: HandEstimate, header: Header, prefix: str) -> TransformStamped:
    """Returns the wrist frame of a hand with a known position, relative to the header frame."""
    transform = TransformStamped(header=header, child_frame_id=f"{prefix}{hand.handedness}_hand")
    transform.transform.translation = Vector3(**dict(zip("xyz", hand.wrist_pose[:3, 3].tolist())))
    transform.transform.rotation = convert_hands.quaternion(hand.wrist_pose[:3, :3])
    return transform
