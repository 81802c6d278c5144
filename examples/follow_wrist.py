"""Moves an arm like the wrist. Input: `wrist`. Only the shift since the start of the hand counts, not its position.

    python examples/follow_wrist.py --ros-args -r __ns:=/hand_mesh -p side:=right -p gain:=1.0

publishes `right/arm_shift`: the shift of the arm from its start position, in metres along the axes of the camera. A single camera
does not know the size of the hand. A wrong size scales the motion, but does not change the start position. After `clutch_s`
without a message the hand may return at any position, or it may be another hand. The shift then continues from its last value,
so the arm does not jump. The topic has no id, so `clutch_s` must be shorter than the parameter `new_hand_silence_s` of the node.
"""

from contextlib import suppress

import numpy as np
import rclpy
from geometry_msgs.msg import PoseWithCovarianceStamped, Vector3Stamped
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node


class FollowWrist(Node):
    """Converts wrist poses to shifts of an arm."""

    def __init__(self) -> None:
        super().__init__("follow_wrist")
        side = self.declare_parameter("side", "right").value
        self._gain = self.declare_parameter("gain", 1.0).value
        self._clutch_s = self.declare_parameter("clutch_s", 0.3).value
        self._start_m = self._shift_m = np.zeros(3)
        self._last_s = -np.inf
        self._arm = self.create_publisher(Vector3Stamped, f"{side}/arm_shift", 1)
        self.create_subscription(PoseWithCovarianceStamped, f"{side}/wrist", self._move, 1)

    def _move(self, message: PoseWithCovarianceStamped) -> None:
        position = message.pose.pose.position
        position_m = np.array([position.x, position.y, position.z])
        stamp_s = message.header.stamp.sec + 1e-9 * message.header.stamp.nanosec
        if not 0 <= stamp_s - self._last_s <= self._clutch_s:
            self._start_m = position_m - self._shift_m / self._gain
        self._last_s = stamp_s
        self._shift_m = self._gain * (position_m - self._start_m)
        shift = Vector3Stamped(header=message.header)
        shift.vector.x, shift.vector.y, shift.vector.z = self._shift_m.tolist()
        self._arm.publish(shift)


def main() -> None:
    """Runs until a signal stops the program."""
    rclpy.init()
    with suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(FollowWrist())


if __name__ == "__main__":
    main()
