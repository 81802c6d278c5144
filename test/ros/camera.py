"""A test's own camera: the node's inputs as publishers, and its answers found by their stamps."""

import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
from graph import Graph
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from hand_mesh_ros.msg import Hand, HandArray

FRAME_ID = "camera_optical"
START_S = 40.0
SIZE = (320, 240)
RELIABLE = QoSProfile(depth=1)


def image_of(pixels: np.ndarray, encoding: str = "rgb8") -> Image:
    """Pixels (H, W) or (H, W, C) as a message without a header."""
    data, step = array("B", pixels.tobytes()), pixels[0].nbytes
    return Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding, step=step, data=data)


class Camera:
    """Publishers of image, camera_info and, once there is depth, depth in the namespace of a graph that collects `hands`."""

    def __init__(self, graph: Graph, size: tuple[int, int], profile: QoSProfile = qos_profile_sensor_data) -> None:
        """Creates the publishers; `size` is the width and height that camera_info states."""
        self._graph, self.size, self.frame_id = graph, size, FRAME_ID
        self.info_frame_id: str | None = None  # None for the frame of the image
        self._profile = profile
        node = graph.node
        self.image = node.create_publisher(Image, "image", profile)
        self.info = node.create_publisher(CameraInfo, "camera_info", profile)
        self.depth: Publisher | None = None
        if "hands" not in graph.received:
            graph.collect("hands", HandArray)

    def add_depth(self, kind: type = Image, topic: str = "depth") -> Publisher:
        """The publisher of depth. A publisher that sends nothing is a fault that the node names."""
        if self.depth is None:
            self.depth = self._graph.node.create_publisher(kind, topic, self._profile)
            assert self._graph.wait_for(self.depth.get_subscription_count, START_S)
        return self.depth

    def connect(self, image: Image, k: np.ndarray, timeout_s: float = START_S) -> None:
        """Waits until the node answers the image of a hand with a hand whose place it knows.

        The node learns of the publishers one by one: its first images may come before it hears of the calibration.
        """
        assert self._graph.wait_for(lambda: self.image.get_subscription_count() and self.info.get_subscription_count(), timeout_s)
        deadline = time.monotonic() + timeout_s
        while not any(hand.scale_source != Hand.SCALE_NONE for hands in self.hands for hand in hands.hands):
            assert time.monotonic() < deadline, "no image is answered with a calibrated hand"
            self.ask(image, k)

    @property
    def hands(self) -> list[HandArray]:
        """All answers."""
        return self._graph.received["hands"]

    def send(self, image: Image, k: np.ndarray, depth: Image | CompressedImage | None = None) -> Header:
        """Publishes an image with its calibration under a new stamp; its header."""
        header = Header(stamp=self._graph.node.get_clock().now().to_msg(), frame_id=self.frame_id)
        image.header = header
        info_frame_id = self.frame_id if self.info_frame_id is None else self.info_frame_id
        info_header = Header(stamp=header.stamp, frame_id=info_frame_id)
        self.info.publish(CameraInfo(header=info_header, width=self.size[0], height=self.size[1], k=np.ravel(k)))
        if depth is not None:
            depth.header = header
            self.add_depth().publish(depth)
        self.image.publish(image)
        return header

    def ask(self, image: Image, k: np.ndarray, depth: Image | None = None, timeout_s: float = 10.0) -> HandArray | None:
        """The answer to an image, sent again (best effort may lose it) under new stamps until there is one."""
        sent: list[Header] = []
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            sent.append(self.send(image, k, depth))
            answer = self._graph.wait_for(self._answer_to(sent), min(1.0, timeout_s))
            if answer:
                return answer
        return None

    def _answer_to(self, sent: list[Header]) -> Callable[[], HandArray | None]:
        return lambda: next((hands for hands in self.hands if hands.header in sent), None)


@contextmanager
def node_with_camera(graph: Graph, view: SimpleNamespace, **parameters: object) -> Iterator[Graph]:
    """A graph with a reliable camera and a node that knows the camera. The graph is left at the end."""
    graph.camera = Camera(graph, SIZE, RELIABLE)
    graph.process = graph.start("hand_mesh_node", threads=1, image_qos="reliable", **parameters)
    try:
        graph.camera.connect(image_of(view.rgb), view.k)
        yield graph
    finally:
        graph.close()
