"""A camera with depth in front of a rendered hand. A fault may change its messages before they are sent."""

import time
from array import array
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from hand_mesh_ros.core.hand.model import FILE_NAME, HandModel
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.msg import HandArray, HandHypotheses, HandMeshArray
from hand_mesh_ros.ros.stamp import stamp_ns
from hand_mesh_ros.synthetic.camera import SyntheticCamera, SyntheticView

RATE_HZ = 30.0
_SIZE = (320, 240)
FRAME_ID = "camera_optical"
# The hand moves forwards and backwards through this number of views. Behind the hand is a wall [m].
_VIEWS, _WALL_M = 30, 1.5
_VISITED = {"hands": HandArray, "meshes": HandMeshArray, "hypotheses": HandHypotheses, "joint_cloud": PointCloud2}
_VISITED["markers"] = MarkerArray


@dataclass
class Shot:
    """The messages of one image. A fault changes them before the camera sends them."""

    number: int  # of the image since the fault began
    began: Header  # of the first image since the fault began
    image: Image | None
    info: CameraInfo | None
    depth: Image | None
    depth_late_s: float = 0.0
    is_plugged_in: bool = True  # whether the topics have a publisher
    has_visitors: bool = False  # whether subscribers come and go

    @property
    def messages(self) -> list[Image | CameraInfo]:
        """The messages that are sent."""
        return [message for message in (self.image, self.info, self.depth) if message is not None]


@dataclass(frozen=True)
class Fault:
    """A fault, and what the diagnostics must say: a text at a level, or nothing."""

    name: str
    spoil: Callable[[Shot, np.random.Generator], None]
    text: str = ""  # part of the message; empty if the level stays OK
    level: bytes = DiagnosticStatus.OK


class FaultyCamera:
    """Publishes image, calibration and depth."""

    def __init__(self, node: Node, seed: int) -> None:
        """Renders the images and creates the publishers. The same seed gives the same faults."""
        self._node, self._rng = node, np.random.default_rng(seed)
        camera = SyntheticCamera(HandModel.load(default_models_dir() / FILE_NAME), _SIZE)
        self._k = camera.camera_matrix.ravel()
        views = [camera.at(index / RATE_HZ) for index in range(_VIEWS)]
        self._views = [_messages(view) for view in views]
        self._wrists_m = [view.joints_m[0] for view in views]
        self.wrist_m: dict[int, np.ndarray] = {}  # stamp in nanoseconds: true position of the wrist
        self._sent, self._late = 0, deque[tuple[float, Image]]()
        self._visitors: list[object] = []
        self.begin(None)
        self._plug_in()

    def begin(self, fault: Fault | None) -> None:
        """Has this fault from the next image on, or no fault."""
        self._fault = fault
        self._began: Header | None = None
        self._number = 0

    def send(self) -> None:
        """Sends one image with its calibration and depth."""
        shot = self._shot()
        if self._fault is not None:
            self._fault.spoil(shot, self._rng)
        if shot.is_plugged_in != bool(self._publishers):
            (self._plug_in if shot.is_plugged_in else self._unplug)()
        if not self._publishers:
            return
        for publisher, message in zip(self._publishers, (shot.info, shot.depth, shot.image)):
            if message is not None and not (message is shot.depth and shot.depth_late_s):
                publisher.publish(message)
        if shot.depth_late_s and shot.depth is not None:
            self._late.append((time.monotonic() + shot.depth_late_s, shot.depth))
        self._visit(shot.has_visitors)

    def send_late(self) -> None:
        """Sends one depth image that is due."""
        if self._late and self._late[0][0] <= time.monotonic():
            _, depth = self._late.popleft()
            if self._publishers:
                self._publishers[1].publish(depth)

    def _shot(self) -> Shot:
        place = abs((self._sent + _VIEWS - 1) % (2 * _VIEWS - 2) - (_VIEWS - 1))
        header = Header(stamp=self._node.get_clock().now().to_msg(), frame_id=FRAME_ID)
        self._began = header if self._began is None else self._began
        image, depth = (
            Image(header=_copy(header), width=_SIZE[0], height=_SIZE[1], encoding=encoding, step=step, data=data)
            for encoding, step, data in self._views[place]
        )
        info = CameraInfo(
            header=_copy(header), width=_SIZE[0], height=_SIZE[1], k=self._k, distortion_model="plumb_bob", d=[0.0] * 5
        )
        self.wrist_m[stamp_ns(header)] = self._wrists_m[place]
        if len(self.wrist_m) > 1000:
            self.wrist_m.pop(next(iter(self.wrist_m)))
        self._sent += 1
        self._number += 1
        return Shot(self._number - 1, self._began, image, info, depth)

    def _plug_in(self) -> None:
        kinds = {"camera_info": CameraInfo, "depth": Image, "image": Image}
        self._publishers = [self._node.create_publisher(kind, name, qos_profile_sensor_data) for name, kind in kinds.items()]

    def _unplug(self) -> None:
        for publisher in self._publishers:
            self._node.destroy_publisher(publisher)
        self._publishers = []

    def _visit(self, is_wanted: bool) -> None:
        """Subscribes to all outputs, or removes these subscriptions."""
        for visitor in self._visitors:
            self._node.destroy_subscription(visitor)
        wanted = _VISITED.items() if is_wanted else ()
        self._visitors = [self._node.create_subscription(kind, topic, _ignore, 1) for topic, kind in wanted]


def _messages(view: SyntheticView) -> list[tuple[str, int, array]]:
    """Encoding, length of a row in bytes, and data of the image and of its depth in millimetres."""
    depth = np.where(view.depth_m > 0, 1e3 * view.depth_m, 1e3 * _WALL_M).round().astype(np.uint16)
    return [("rgb8", 3 * _SIZE[0], array("B", view.rgb.tobytes())), ("16UC1", 2 * _SIZE[0], array("B", depth.tobytes()))]


def _copy(header: Header) -> Header:
    return Header(stamp=header.stamp, frame_id=header.frame_id)


def _ignore(message: object) -> None:
    """Does nothing: the subscription alone creates the load."""
