"""Publishers of the results: hands always, everything else only while somebody listens."""

import time
from collections.abc import Sequence

from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from hand_mesh_ros.core.hand_model import HandModel
from hand_mesh_ros.core.joint_angles import JointLimits
from hand_mesh_ros.core.types import HandEstimate
from hand_mesh_ros.msg import HandArray, HandHypotheses, HandMeshArray, MeshTopology
from hand_mesh_ros.ros import convert, qos
from hand_mesh_ros.ros.collision_objects import CollisionObjects
from hand_mesh_ros.ros.diagnostics import age_s
from hand_mesh_ros.ros.hand_shapes import HandShapes
from hand_mesh_ros.ros.markers import HandMarkers
from hand_mesh_ros.ros.robot_hands import RobotHands
from hand_mesh_ros.ros.robot_outputs import RobotOutputs
from hand_mesh_ros.ros.tf_output import WristFrames


class Outputs:
    """What the node publishes per image, under one header: the image's own, or that of `OutputFrame`."""

    def __init__(
        self, node: Node, model: HandModel, model_id: str, markers_hz: float, limits: JointLimits, frames: WristFrames | None
    ) -> None:
        """Creates the publishers, but for that of the wrist frames, which may be None, and sends the topology."""
        self._clock, self._model_id, self._topology_id = node.get_clock(), model_id, model.digest
        self._node = node
        self._hands = node.create_publisher(HandArray, "hands", qos.RESULT)
        self._meshes = node.create_publisher(HandMeshArray, "meshes", qos.RESULT)
        self._hypotheses = node.create_publisher(HandHypotheses, "hypotheses", qos.HYPOTHESES)
        self._cloud = node.create_publisher(PointCloud2, "joint_cloud", qos.RESULT)
        self._markers = node.create_publisher(MarkerArray, "markers", qos.RESULT)
        self._topology = node.create_publisher(MeshTopology, "topology", qos.LATCHED)
        self._topology.publish(convert.to_topology(model))
        self._robot_hands, self._robot_outputs = RobotHands(), RobotOutputs(node, model, limits)
        self._frames = frames
        self._shapes, self._collisions = HandShapes(node, model), CollisionObjects(node, model)
        self._build_markers = HandMarkers(model.faces)
        self._markers_period_s = 1.0 / markers_hz if markers_hz > 0 else float("inf")
        self._markers_due_s = 0.0

    def publish(self, estimates: Sequence[HandEstimate], header: Header, sequence: int, dropped: int) -> float:
        """Publishes all that is known of one image; returns the image's age at that time [s], NaN for a foreign clock."""
        hands = convert.to_hands(estimates, header, self._model_id)
        hands.sequence, hands.dropped = sequence, dropped
        hands.latency = age_s(self._clock.now().nanoseconds, convert.stamp_ns(header))
        self._hands.publish(hands)
        chosen = self._robot_hands.choose(estimates)
        self._robot_outputs.publish(chosen, header)
        if self._frames is not None:
            self._frames.publish(chosen, header)
        self._shapes.update(chosen, header)
        self._collisions.publish(estimates, header)
        if _is_wanted(self._meshes):
            self._meshes.publish(convert.to_meshes(estimates, header, self._topology_id))
        if _is_wanted(self._hypotheses):
            for estimate in estimates:
                self._hypotheses.publish(convert.to_hypotheses(estimate, header))
        if _is_wanted(self._cloud):
            self._cloud.publish(convert.to_joint_cloud(estimates, header))
        self._publish_markers(estimates, header)
        return float(hands.latency)

    def destroy(self) -> None:
        """Removes the publishers."""
        for publisher in (self._hands, self._meshes, self._hypotheses, self._cloud, self._markers, self._topology):
            self._node.destroy_publisher(publisher)
        for outputs in (self._robot_outputs, self._shapes, self._collisions):
            outputs.destroy()

    def _publish_markers(self, estimates: Sequence[HandEstimate], header: Header) -> None:
        now_s = time.monotonic()
        if now_s < self._markers_due_s or self._markers_period_s == float("inf") or not _is_wanted(self._markers):
            return
        self._markers_due_s = now_s + self._markers_period_s
        markers = self._build_markers.build(estimates, header)
        if markers is not None:
            self._markers.publish(markers)


def _is_wanted(publisher: Publisher) -> bool:
    return publisher.get_subscription_count() > 0
