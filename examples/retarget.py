"""Moves a robot hand like the human hand. Input: `joints_operator`. dex-retargeting computes the joint angles of the robot.

    pip install dex-retargeting six torch      # dex-retargeting 0.5.0 needs six, but does not declare this
    python examples/retarget.py --ros-args -r __ns:=/hand_mesh -p side:=right

publishes `right/robot_joint_states` for the small robot of robot_hand.py. For another robot set `urdf`, `palm`, and `tips` in the
order of FINGERTIPS. If the node does not see the hand, this program publishes nothing, and the robot keeps its pose. After
`clutch_s` without a message the hand may have another pose, or it may be another hand. The robot then moves to the new pose
within `approach_s`. The topic has no id, so `clutch_s` must be shorter than the parameter `new_hand_silence_s` of the node.
"""

import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import rclpy
import robot_hand
from dex_retargeting.retargeting_config import RetargetingConfig
from dex_retargeting.seq_retarget import SeqRetargeting
from geometry_msgs.msg import PoseArray
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from sensor_msgs.msg import JointState

WRIST = 0
# Joints of the human hand: tips of thumb, index, middle and ring finger.
FINGERTIPS = (4, 8, 12, 16)


def make_retargeting(urdf: Path, palm: str, tips: list[str], scale: float) -> SeqRetargeting:
    """Returns the optimiser. Each robot tip gets the same offset from the palm as the human tip has from the wrist.

    Args:
        urdf: file of the robot; its palm link has operator axes.
        palm: link for the wrist.
        tips: links for `FINGERTIPS`.
        scale: size of the robot relative to a human hand.
    """
    config = RetargetingConfig(
        type="vector",
        urdf_path=str(urdf),
        target_origin_link_names=[palm] * len(tips),
        target_task_link_names=tips,
        target_link_human_indices=np.array([[WRIST] * len(tips), FINGERTIPS[: len(tips)]]),
        scaling_factor=scale,
        # hand_mesh_node already filters the joints. A second filter would only add lag.
        low_pass_alpha=1.0,
    )
    return config.build()


class Retarget(Node):
    """Converts human joints to robot joints."""

    def __init__(self) -> None:
        super().__init__("retarget")
        side = self.declare_parameter("side", "right").value
        urdf = self.declare_parameter("urdf", "").value
        palm = self.declare_parameter("palm", "palm").value
        tips = self.declare_parameter("tips", [f"{finger}_tip" for finger in robot_hand.FINGERS]).value
        scale = self.declare_parameter("scale", 1.0).value
        self._clutch_s = self.declare_parameter("clutch_s", 0.3).value
        self._approach_s = self.declare_parameter("approach_s", 1.0).value
        self._angles: np.ndarray | None = None  # last angles of the robot
        self._start: np.ndarray | None = None  # angles of the robot when the hand appeared
        self._start_s = self._last_s = -np.inf
        if not urdf:
            self._folder = tempfile.TemporaryDirectory()
            urdf = Path(self._folder.name) / "robot_hand.urdf"
            urdf.write_text(robot_hand.urdf(side))
        self._retargeting = make_retargeting(Path(urdf), palm, list(tips), scale)
        self._robot = self.create_publisher(JointState, f"{side}/robot_joint_states", 1)
        self.create_subscription(PoseArray, f"{side}/joints_operator", self._move, 1)

    def _move(self, message: PoseArray) -> None:
        joints = np.array([[pose.position.x, pose.position.y, pose.position.z] for pose in message.poses])
        origins, tips = self._retargeting.optimizer.target_link_human_indices
        stamp_s = message.header.stamp.sec + 1e-9 * message.header.stamp.nanosec
        if not 0 <= stamp_s - self._last_s <= self._clutch_s:
            self._start, self._start_s = self._angles, stamp_s
        self._last_s = stamp_s
        angles = self._retargeting.retarget(joints[tips] - joints[origins])
        if self._start is not None:
            angles = self._start + min((stamp_s - self._start_s) / self._approach_s, 1.0) * (angles - self._start)
        self._angles = angles
        state = JointState(name=self._retargeting.joint_names, position=angles.tolist())
        state.header.stamp = message.header.stamp
        self._robot.publish(state)


def main() -> None:
    """Runs until a signal stops the program."""
    rclpy.init()
    with suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(Retarget())


if __name__ == "__main__":
    main()
