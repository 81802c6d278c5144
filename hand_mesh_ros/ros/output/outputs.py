"""Publishes the results. `hands` is always published, the other topics only while they have subscribers."""

import math
import time
from collections.abc import Sequence

from rclpy.publisher import Publisher
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from hand_mesh_ros.core.hand.joint_angles import JointLimits
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.robot.choose import RobotHands, is_seen
from hand_mesh_ros.core.types import HandEstimate
from hand_mesh_ros.msg import HandArray, HandHypotheses, HandMeshArray, MeshTopology
from hand_mesh_ros.ros import qos
from hand_mesh_ros.ros.endpoints import Endpoints
from hand_mesh_ros.ros.output import convert_hands
from hand_mesh_ros.ros.output.collision_objects import CollisionObjects
from hand_mesh_ros.ros.output.hand_shapes import HandShapes
from hand_mesh_ros.ros.output.markers import HandMarkers
from hand_mesh_ros.ros.output.robot_outputs import RobotOutputs
from hand_mesh_ros.ros.output.tf_output import WristFrames
from hand_mesh_ros.ros.stamp import stamp_ns


class Outputs:
    """Publishes the results of each image with one header: the image header or the header from `OutputFrame`."""

    def __init__(
        self, endpoints: Endpoints, model: HandModel, model_id: str, limits: JointLimits, frames: WristFrames | None
    ) -> None:
        """Creates the publishers and publishes the topology. The caller creates the publisher of wrist frames, or passes None."""
        self._clock, self._model_id, self._topology_id = endpoints.node.get_clock(), model_id, model.digest
        self._hands = endpoints.publisher(HandArray, "hands", qos.RESULT)
        self._meshes = endpoints.publisher(HandMeshArray, "meshes", qos.RESULT)
        self._hypotheses = endpoints.publisher(HandHypotheses, "hypotheses", qos.HYPOTHESES)
        self._cloud = endpoints.publisher(PointCloud2, "joint_cloud", qos.RESULT)
        self._markers = endpoints.publisher(MarkerArray, "markers", qos.RESULT)
        endpoints.publisher(MeshTopology, "topology", qos.LATCHED).publish(convert_hands.to_topology(model))
        self.robot_hands, self._robot_outputs = RobotHands(silence_s=0.0), RobotOutputs(endpoints, model, limits)
        self._frames = frames
        self._shapes, self._collisions = HandShapes(endpoints, model), CollisionObjects(endpoints, model)
        self._build_markers = HandMarkers(model.faces)
        self.markers_hz = 0.0  # maximum rate; 0 disables markers
        self._markers_sent_s = -math.inf

    def publish(
        self, estimates: Sequence[HandEstimate], header: Header, sequence: int, dropped: int, age_is_known: bool
    ) -> float:
        """Publishes all results of one image. Returns the image age at that time [s], or NaN if the age is not known."""
        hands = convert_hands.to_hands(estimates, header, self._model_id)
        hands.sequence, hands.dropped = sequence, dropped
        hands.latency = 1e-9 * (self._clock.now().nanoseconds - stamp_ns(header)) if age_is_known else math.nan
        self._hands.publish(hands)
        chosen = self.robot_hands.choose(estimates, 1e-9 * stamp_ns(header))
        self._robot_outputs.publish(chosen, header)
        if self._frames is not None:
            self._frames.publish(chosen, header)
        # A planner asks for what is there now. The answer has an id, so it needs no silence before another hand.
        self._shapes.update([*chosen, *filter(is_seen, estimates)], header)
        self._collisions.publish(estimates, header)
        if _is_wanted(self._meshes):
            self._meshes.publish(convert_hands.to_meshes(estimates, header, self._topology_id))
        if _is_wanted(self._hypotheses):
            for estimate in estimates:
                self._hypotheses.publish(convert_hands.to_hypotheses(estimate, header))
        if _is_wanted(self._cloud):
            self._cloud.publish(convert_hands.to_joint_cloud(estimates, header))
        self._publish_markers(estimates, header)
        return float(hands.latency)

    def _publish_markers(self, estimates: Sequence[HandEstimate], header: Header) -> None:
        now_s = time.monotonic()
        if not self.markers_hz or now_s < self._markers_sent_s + 1.0 / self.markers_hz or not _is_wanted(self._markers):
            return
        self._markers_sent_s = now_s
        markers = self._build_markers.build(estimates, header)
        if markers is not None:
            self._markers.publish(markers)


def _is_wanted(publisher: Publisher) -> bool:
    return publisher.get_subscription_count() > 0
