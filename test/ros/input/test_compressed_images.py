"""Compressed images through the real node: JPEG as good as raw, what cannot be used named, and the next good image answered."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import rclpy
from camera import Camera, image_of
from diagnostic_msgs.msg import DiagnosticStatus
from graph import Graph
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, Image

from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.stream.intake import Intake
from hand_mesh_ros.core.types import Frame
from hand_mesh_ros.ros.endpoints import Endpoints
from hand_mesh_ros.ros.input.inputs import Inputs
from hand_mesh_ros.synthetic.camera import SyntheticCamera

SIZE = (320, 240)
RELIABLE = QoSProfile(depth=1)


def jpeg_of(rgb: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1].tobytes()


def message(data: bytes, format_: str = "rgb8; jpeg compressed bgr8") -> CompressedImage:
    return CompressedImage(format=format_, data=data)


@pytest.fixture(scope="module")
def view(model: HandModel) -> SimpleNamespace:
    """A rendered hand, the camera that saw it, and the picture as JPEG."""
    camera = SyntheticCamera(model, SIZE)
    rgb = camera.at(0.0).rgb
    return SimpleNamespace(rgb=rgb, k=camera.camera_matrix, jpeg=jpeg_of(rgb))


@pytest.fixture(scope="module")
def graph(view: SimpleNamespace) -> Iterator[Graph]:
    """A node that takes compressed images."""
    graph = Graph("compressed")
    graph.camera = Camera(graph, SIZE, RELIABLE)
    graph.node.destroy_publisher(graph.camera.image)
    graph.camera.image = graph.node.create_publisher(CompressedImage, "image/compressed", RELIABLE)
    settings = {"image_qos": "reliable", "image_transport": "compressed", "max_age_ms": 0.0}
    graph.process = graph.start("hand_mesh_node", threads=1, **settings)
    try:
        graph.camera.connect(message(view.jpeg), view.k)
        yield graph
    finally:
        graph.close()


def test_a_jpeg_gives_the_hand_of_the_picture(graph, view):
    answer = graph.camera.ask(message(view.jpeg), view.k)
    assert answer is not None
    (hand,) = answer.hands
    (expected,) = HandMeshPipeline.default("cpu").estimate(Frame(view.rgb, view.k))
    offsets_px = np.reshape(hand.keypoints_px, (21, 2)) - expected.keypoints_px
    assert np.linalg.norm(offsets_px, axis=-1).mean() < 3


def test_a_jpeg_without_its_end_marker_gives_the_hand_too(graph, view):
    answer = graph.camera.ask(message(view.jpeg[:-2]), view.k)
    assert answer is not None
    assert len(answer.hands) == 1


def test_depth_belongs_to_compressed_images_too(graph, view, model):
    depth = image_of(SyntheticCamera(model, SIZE).at(0.0).depth_m, "32FC1")

    def is_measured() -> bool:
        answer = graph.camera.ask(message(view.jpeg), view.k, depth)
        return answer is not None and any(hand.scale_source == hand.SCALE_DEPTH for hand in answer.hands)

    assert graph.wait_for(is_measured, 20.0)


@pytest.mark.parametrize(
    ("spoil", "format_", "reason"),
    [
        (lambda jpeg: jpeg[: len(jpeg) // 2], "jpeg", "is cut off or damaged"),
        (lambda _: b"", "jpeg", "is empty"),
        (lambda _: bytes(range(256)) * 8, "jpeg", "neither JPEG nor PNG"),
        (lambda jpeg: jpeg, "16UC1; compressedDepth png", "this is not a colour image"),
        (
            lambda jpeg: jpeg.replace(b"\xff\xc0\x00\x11\x08\x00\xf0\x01\x40", b"\xff\xc0\x00\x11\x08\xff\xff\xff\xff"),
            "jpeg",
            "65535x65535",
        ),
    ],
)
def test_what_cannot_be_decoded_is_named_and_the_next_image_is_answered(graph, view, spoil: Callable, format_: str, reason: str):
    seen = len(graph.statuses())

    def is_named() -> DiagnosticStatus | None:
        graph.camera.send(message(spoil(view.jpeg), format_), view.k)
        graph.wait_for(lambda: False, 0.1)
        return next((status for status in graph.statuses()[seen:] if reason in status.message), None)

    status = graph.wait_for(is_named, 15.0)
    assert status
    assert status.level == DiagnosticStatus.ERROR
    assert f"{graph.namespace}/image/compressed refused" in status.message
    assert len(graph.camera.ask(message(view.jpeg), view.k).hands) == 1


def test_random_bytes_leave_the_node_alive(graph, view):
    rng = np.random.default_rng(0)
    heads = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"", view.jpeg[:700])
    for number in range(100):
        data = heads[number % len(heads)] + rng.bytes(int(rng.integers(0, 2000))) + b"\xff\xd9" * (number % 2)
        graph.camera.send(message(data, "".join(chr(letter) for letter in rng.integers(1, 0x250, 8))), view.k)
        graph.wait_for(lambda: False, 0.02)
    assert graph.process.poll() is None
    assert len(graph.camera.ask(message(view.jpeg), view.k).hands) == 1


@pytest.mark.parametrize(("transport", "topic"), [("raw", "/eye/picture"), ("compressed", "/eye/picture/compressed")])
def test_the_topic_is_the_one_that_image_is_remapped_to(transport: str, topic: str):
    context = Context()
    rclpy.init(context=context)
    node = Node("remapped", context=context, cli_args=["--ros-args", "-r", "image:=/eye/picture"])
    try:
        inputs = Inputs(
            Endpoints(node), Intake(0.01, 0.05), "sensor_data", transport, "raw", lambda: None, lambda name, reason: None
        )
        assert inputs.topic("image") == topic
        assert inputs.topic("camera_info") == "/camera_info"
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)


def test_a_camera_that_sends_the_other_kind_is_named_with_the_parameter():
    graph = Graph("other_kind")
    try:
        graph.start("hand_mesh_node", threads=1, image_transport="compressed")
        graph.node.create_publisher(Image, "image", RELIABLE)
        needle = f"{graph.namespace}/image has: set the parameter image_transport to raw"
        assert graph.wait_for(lambda: any(needle in status.message for status in graph.statuses()), 40.0), graph.statuses()[-1:]
    finally:
        graph.close()
