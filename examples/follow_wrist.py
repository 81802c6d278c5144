"""Moves an arm by the shifts of the wrist, from `wrist`: where the hand is counts only relative to where it was when it appeared.

    python examples/follow_wrist.py --ros-args -r __ns:=/hand_mesh -p side:=right -p gain:=1.0

publishes `right/arm_shift`: how far the arm should be from where it was then, in metres along the axes of the camera. So
the size of the hand, which a single camera does not know, scales the motion and never the starting point. After a silence of
`clutch_s` the hand may have come back anywhere: the shift goes on from the last one, and the arm does not jump.
"""

from contextlib import suppress

import numpy as np
import rclpy
from geometry_msgs.msg import PoseWithCovarianceStamped, Vector3Stamped
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node


class FollowWrist(Node):
    """From wrist poses to shifts of an arm."""

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
    """Runs until told to stop."""
    rclpy.init()
    with suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(FollowWrist())


if __name__ == "__main__":
    main()
