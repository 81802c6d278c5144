"""Subscribes to the inputs of hand_mesh_node as the node does, and records what arrives."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from hand_mesh_ros.core.stream.depth_pairs import PairFigures
from hand_mesh_ros.core.stream.intake import RESTART_NS, Intake
from hand_mesh_ros.ros import qos
from hand_mesh_ros.ros.endpoints import Endpoints
from hand_mesh_ros.ros.input import diagnosis, transforms
from hand_mesh_ros.ros.input.diagnosis import Wire
from hand_mesh_ros.ros.input.latched_info import LatchedInfo
from hand_mesh_ros.ros.input.stamp_watch import StampWatch
from hand_mesh_ros.ros.stamp import stamp_ns


@dataclass(frozen=True)
class Asked:
    """What to look at, as the node is told by its remappings and parameters."""

    image: str = "image"
    camera_info: str = "camera_info"
    depth: str = "depth"
    output_frame: str = ""
    image_qos: str = "sensor_data"
    image_transport: str = "raw"
    rectified: bool = False
    must_have_depth: bool = False  # a missing depth topic is a finding
    max_age_s: float = 0.5  # as the parameter max_age_ms
    depth_slop_ms: float = 15.0  # as the parameter
    depth_wait_ms: float = 60.0  # as the parameter
    depth_scale: float = 1.0  # as the parameter


@dataclass
class Stream:
    """What arrived on one topic."""

    wire: Wire
    is_reliable: bool  # reliability that the node asks for
    publishers: list[str] = field(default_factory=list)  # full names of their nodes
    silence: str = ""  # the likely reason if nothing arrived; empty if something did, or if there is no reason
    stamps_ns: list[int] = field(default_factory=list)
    arrivals_ns: list[int] = field(default_factory=list)  # by the clock of the node
    last: Any = None  # newest message

    @property
    def topic(self) -> str:
        """Full name."""
        return self.wire.topic

    @property
    def rate_hz(self) -> float:
        """Messages per second; 0 for fewer than two."""
        if len(self.arrivals_ns) < 2 or self.arrivals_ns[-1] <= self.arrivals_ns[0]:
            return 0.0
        return (len(self.arrivals_ns) - 1) / (1e-9 * (self.arrivals_ns[-1] - self.arrivals_ns[0]))


class Watch:
    """Subscriptions of `doctor`. Spin the node, call `look` from time to time, and `finish` at the end."""

    def __init__(self, node: Node, asked: Asked) -> None:
        """Subscribes."""
        self._node, self._endpoints = node, Endpoints(node)
        base = node.resolve_topic_name(asked.image)
        wires = {"raw": Wire("image", base, Image), "compressed": Wire("image", f"{base}/compressed", CompressedImage)}
        wire = wires.pop(asked.image_transport)
        self._other_transport, self._other = wires.popitem()
        self._stamp_watch, self._max_age_s = StampWatch(), asked.max_age_s
        self.stamp_trouble = ""  # what the stamp of the newest image says, as in the diagnostics of the node
        # Pairs images and depth as the node does.
        self._intake: Intake[Any] = Intake(1e-3 * asked.depth_slop_ms, 1e-3 * asked.depth_wait_ms)
        self.pairs: PairFigures | None = None  # figures of the last seconds; None without depth
        self.image = self._stream(wire, asked.image_qos)
        self.camera_info = self._stream(Wire("camera_info", self._name(asked.camera_info), CameraInfo), "sensor_data")
        self.depth = self._stream(Wire("depth", self._name(asked.depth), Image), asked.image_qos)
        self._latched = LatchedInfo(node, self.camera_info.topic, self._recorder(self.camera_info))
        self._endpoints.on_destroy(self._latched.destroy)
        self.transforms = transforms.listen(self._endpoints) if asked.output_frame else None
        self.statuses: dict[str, DiagnosticStatus] = {}  # newest status of each hand_mesh_node
        self._endpoints.subscription(DiagnosticArray, "/diagnostics", self._diagnosed, qos.DIAGNOSTICS)
        self.image_topics: list[str] = []  # all topics with images

    def look(self) -> None:
        """Adapts to publishers that have appeared, and takes images as the node does. Call this after each message."""
        self._latched.look()
        self._intake.take(0.0)
        self.pairs = self._intake.pair_figures() or self.pairs

    @property
    def nearest_depth_s(self) -> float:
        """Smallest stamp difference to a depth image for the last image without depth."""
        return self._intake.nearest_depth_s

    def finish(self) -> None:
        """Reads the publishers from the graph and ends the subscriptions."""
        node = self._node
        for stream in (self.image, self.camera_info, self.depth):
            infos = node.get_publishers_info_by_topic(stream.topic)
            stream.publishers = [f"{info.node_namespace.rstrip('/')}/{info.node_name}" for info in infos]
        if self.image.last is None:
            conflict = self._conflict(self.image)
            other, transport = self._other, self._other_transport
            self.image.silence = diagnosis.why_no_image(node, self.image.wire, other, transport, conflict)
        if self.camera_info.last is None:
            self.camera_info.silence = diagnosis.why_no_camera_info(node, self.camera_info.wire)
        if self.depth.last is None:
            others = diagnosis.depth_topics(self.depth.topic)
            others.pop("raw")
            conflict, is_silent = self._conflict(self.depth), self.image.last is not None
            self.depth.silence = diagnosis.why_no_depth(node, self.depth.wire, others, conflict, is_silent)
        self.image_topics = sorted(
            topic
            for topic, types in node.get_topic_names_and_types()
            if Wire("", topic, Image).type_name in types and node.count_publishers(topic)
        )
        self._endpoints.destroy()

    def _name(self, topic: str) -> str:
        return self._node.resolve_topic_name(topic)

    def _stream(self, wire: Wire, reliability: str) -> Stream:
        profile = qos.image_intake(reliability)
        stream = Stream(wire, profile.reliability == ReliabilityPolicy.RELIABLE)
        self._endpoints.subscription(wire.kind, wire.topic, self._recorder(stream), profile)
        return stream

    def _recorder(self, stream: Stream) -> Callable[[Any], None]:
        def record(message: Any) -> None:
            now_ns, stamp = self._node.get_clock().now().nanoseconds, stamp_ns(message.header)
            if stream is self.image and stamp:
                self._judge(stamp, now_ns)
                self._intake.put_image(message, stamp)
            elif stream is self.depth and stamp:
                self._intake.put_depth(message, stamp)
            stream.arrivals_ns.append(now_ns)
            stream.stamps_ns.append(stamp)
            stream.last = message

        return record

    def _judge(self, stamp: int, now_ns: int) -> None:
        before = self.image.stamps_ns[-1] if self.image.stamps_ns else stamp
        verdict = self._stamp_watch.judge(stamp, now_ns, stamp < before - RESTART_NS, self._max_age_s)
        self.stamp_trouble = verdict.error or verdict.warning

    def _conflict(self, stream: Stream) -> str:
        """The QoS policy in which no publisher matches; empty if one matches."""
        infos = self._node.get_publishers_info_by_topic(stream.topic)
        is_weak = [info.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT for info in infos]
        return "RELIABILITY" if stream.is_reliable and is_weak and all(is_weak) else ""

    def _diagnosed(self, array: DiagnosticArray) -> None:
        self.statuses |= {status.name: status for status in array.status if status.hardware_id == "hand_mesh_ros"}
