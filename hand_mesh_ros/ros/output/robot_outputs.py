"""Topics for robots, one set per side: wrist pose, joints for retargeting, joint angles, grasp cues.

`RobotHands` selects the hands. If the camera is not calibrated, only `joints_operator` and `joint_states` are published.
"""

from array import array
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import yaml
from geometry_msgs.msg import Point, Pose, PoseArray, PoseWithCovarianceStamped, Quaternion, Vector3
from sensor_msgs.msg import JointState
from std_msgs.msg import Header

from hand_mesh_ros.core.hand.joint_angles import ANGLE_NAMES, JointLimits, joint_angles
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.robot.choose import SIDES, is_placed
from hand_mesh_ros.core.robot.grasp import grasp_cues
from hand_mesh_ros.core.robot.operator_frame import operator_joints
from hand_mesh_ros.core.types import HandEstimate
from hand_mesh_ros.msg import GraspCues
from hand_mesh_ros.ros import package_files, qos
from hand_mesh_ros.ros.endpoints import Endpoints
from hand_mesh_ros.ros.output import convert_hands

TOPICS = {
    "wrist": PoseWithCovarianceStamped,
    "joints_operator": PoseArray,
    "joint_states": JointState,
    "grasp": GraspCues,
}
_LIMITS_FILE = "config/joint_limits.yaml"


class RobotOutputs:
    """Publishes the topics `left/..` and `right/..`."""

    def __init__(self, endpoints: Endpoints, model: HandModel, limits: JointLimits) -> None:
        """Creates the publishers. Published angles are within `limits`."""
        self._model, self._limits = model, limits
        self._publishers = {
            (side, name): endpoints.publisher(kind, f"{side}/{name}", qos.RESULT)
            for side in SIDES
            for name, kind in TOPICS.items()
        }

    def publish(self, chosen: Sequence[HandEstimate], header: Header) -> None:
        """Publishes the hands that `RobotHands` selected from one image. Skips topics without subscribers."""
        for hand in chosen:
            if is_placed(hand):
                self._publish(hand, "wrist", to_wrist, header)
                self._publish(hand, "grasp", to_grasp_cues, header)
            self._publish(hand, "joints_operator", to_operator_joints, header)
            self._publish(hand, "joint_states", to_joint_state, header, self._model, self._limits)

    def _publish(self, hand: HandEstimate, name: str, to_message: Callable[..., Any], *arguments: object) -> None:
        publisher = self._publishers[hand.handedness, name]
        if publisher.get_subscription_count() > 0:
            publisher.publish(to_message(hand, *arguments))


def to_wrist(estimate: HandEstimate, header: Header) -> PoseWithCovarianceStamped:
    """Returns the wrist pose in the frame of the header."""
    return PoseWithCovarianceStamped(header=header, pose=convert_hands.to_pose(estimate.wrist_pose, estimate.wrist_covariance))


def to_operator_joints(estimate: HandEstimate, header: Header) -> PoseArray:
    """Returns the 21 joints in operator axes, with the wrist at the origin. The frame is left_operator or right_operator."""
    side, unturned = estimate.handedness, Quaternion(w=1.0)
    joints = operator_joints(estimate.joints_m, side).tolist()
    poses = [Pose(position=Point(x=x, y=y, z=z), orientation=unturned) for x, y, z in joints]
    return PoseArray(header=Header(stamp=header.stamp, frame_id=f"{side}_operator"), poses=poses)


def to_joint_state(estimate: HandEstimate, header: Header, model: HandModel, limits: JointLimits) -> JointState:
    """Returns the 20 joint angles within their limits, in radians. Velocity and effort are empty."""
    angles = limits.clamp(joint_angles(model, estimate.joints_m, estimate.handedness))
    names = [f"{estimate.handedness}_{name}" for name in ANGLE_NAMES]
    return JointState(header=header, name=names, position=array("d", angles.tobytes()))


def to_grasp_cues(estimate: HandEstimate, header: Header) -> GraspCues:
    """Returns the grasp cues of a hand with a known position."""
    cues = grasp_cues(estimate)
    return GraspCues(
        header=header,
        id=estimate.track_id,
        side=convert_hands.SIDES[estimate.handedness],
        state=convert_hands.STATES[estimate.state],
        scale_source=convert_hands.SCALE_SOURCES[estimate.scale_source],
        pinch_point=Point(**_xyz(cues.pinch_point_m)),
        pinch_point_covariance=convert_hands.upper_triangles(cues.pinch_point_covariance_m2).astype(np.float32),
        aperture=cues.aperture_m,
        aperture_std=cues.aperture_std_m,
        palm_centre=Point(**_xyz(cues.palm_centre_m)),
        palm_centre_covariance=convert_hands.upper_triangles(cues.palm_centre_covariance_m2).astype(np.float32),
        palm_normal=Vector3(**_xyz(cues.palm_normal)),
        palm_normal_std=cues.palm_normal_std,
    )


def load_joint_limits() -> JointLimits:
    """Loads `config/joint_limits.yaml` from the source tree, else from the installed share folder.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if the file content is invalid.
    """
    found = package_files.find(_LIMITS_FILE)
    if found is None:
        raise FileNotFoundError(f"{_LIMITS_FILE} of hand_mesh_ros is missing; install the package again")
    try:
        return JointLimits.of_degrees(yaml.safe_load(found.read_text(encoding="utf-8")))
    except (yaml.YAMLError, TypeError, ValueError) as error:
        raise ValueError(f"{found} cannot be read: {error}") from error


def _xyz(vector: np.ndarray) -> dict[str, float]:
    return dict(zip("xyz", vector.tolist()))
