"""Opens and closes a gripper like thumb and index finger. Input: `grasp`. Uncertain changes do not move the gripper.

    python examples/pinch.py --ros-args -r __ns:=/hand_mesh -p side:=right

publishes `right/gripper_opening` in 0 (closed) .. 1. The opening follows the aperture. The opening stays the same if the change
of the aperture is smaller than its uncertainty, or if the node does not see the hand. After another `id`, or after `clutch_s`
without a message, the gripper moves only when the aperture has reached the opening. So the gripper does not drop an object.
"""

from contextlib import suppress

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from std_msgs.msg import Float64

from hand_mesh_ros.msg import GraspCues

# Aperture of touching tips and of an open hand [m]. The detector's tips are inside the fingers, so touching tips are not at 0.
CLOSED_M, OPEN_M = 0.015, 0.09


class Pinch(Node):
    """Converts grasp cues to the opening of a gripper."""

    def __init__(self) -> None:
        super().__init__("pinch")
        side = self.declare_parameter("side", "right").value
        self._clutch_s = self.declare_parameter("clutch_s", 0.3).value
        self._aperture_m: float | None = None
        self._id, self._last_s = "", -np.inf
        self._way_m = 0.0  # from the opening to the aperture when the hand appeared; 0 once the aperture has reached the opening
        self._gripper = self.create_publisher(Float64, f"{side}/gripper_opening", 1)
        self.create_subscription(GraspCues, f"{side}/grasp", self._move, 1)

    def _move(self, cues: GraspCues) -> None:
        if self._aperture_m is None:
            self._aperture_m = cues.aperture
        way_m = cues.aperture - self._aperture_m
        stamp_s = cues.header.stamp.sec + 1e-9 * cues.header.stamp.nanosec
        if cues.id != self._id or not 0 <= stamp_s - self._last_s <= self._clutch_s:
            self._way_m = way_m
        self._id, self._last_s = cues.id, stamp_s
        if abs(way_m) <= cues.aperture_std or way_m * self._way_m < 0:
            self._way_m = 0.0
        if not self._way_m and abs(way_m) > cues.aperture_std:
            self._aperture_m = cues.aperture
        opening = np.clip((self._aperture_m - CLOSED_M) / (OPEN_M - CLOSED_M), 0, 1)
        self._gripper.publish(Float64(data=float(opening)))
        point = cues.pinch_point
        self.get_logger().info(
            f"pinch at ({point.x:.3f}, {point.y:.3f}, {point.z:.3f}) m, "
            f"aperture {1e3 * cues.aperture:.0f} +- {1e3 * cues.aperture_std:.0f} mm: opening {opening:.2f}",
            throttle_duration_sec=1.0,
        )


def main() -> None:
    """Runs until a signal stops the program."""
    rclpy.init()
    with suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(Pinch())


if __name__ == "__main__":
    main()
