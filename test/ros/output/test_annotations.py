"""The topic `annotations`: points, bones and texts that Foxglove draws over the camera image."""

from collections.abc import Callable

import numpy as np
import pytest
from camera import Camera, image_of
from graph import Graph
from rclpy.qos import QoSProfile
from std_msgs.msg import Header

from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.topology import BONES
from hand_mesh_ros.core.types import HandEstimate
from hand_mesh_ros.ros import qos
from hand_mesh_ros.ros.endpoints import Endpoints
from hand_mesh_ros.ros.output import annotations
from hand_mesh_ros.ros.output.annotations import HandAnnotations
from hand_mesh_ros.synthetic.camera import SyntheticCamera

messages = pytest.importorskip("foxglove_msgs.msg", reason="foxglove_msgs is not installed")
SIZE = (320, 240)
ANSWER_S = 40.0


@pytest.fixture
def graph(make_graph: Callable[[str], Graph]) -> Graph:
    return make_graph("annotations")


def pixels_of(points: list) -> np.ndarray:
    """Points of a message in our pixels, whose centres are integers."""
    return np.array([[point.x, point.y] for point in points]) - 0.5


@pytest.mark.parametrize("is_mirrored", [False, True])
def test_annotations_lie_on_the_keypoints_in_the_image_of_the_camera(
    graph: Graph, make_hand: Callable[..., HandEstimate], header: Header, is_mirrored: bool
) -> None:
    hands = [make_hand(score=0.8), make_hand(handedness="left", score=0.5)]
    graph.collect("annotations", messages.ImageAnnotations, qos.RESULT)
    endpoints = Endpoints(graph.node)
    try:
        publisher = HandAnnotations(endpoints)
        received = graph.received["annotations"]
        assert graph.wait_for(lambda: publisher.publish(320, hands, header, is_mirrored) or received, 10.0)
    finally:
        endpoints.destroy()
    message = received[0]
    expected = hands[0].keypoints_px.copy()
    if is_mirrored:
        expected[:, 0] = 319 - expected[:, 0]
    bones, joints = message.points[:2]
    assert (bones.type, joints.type) == (bones.LINE_LIST, joints.POINTS)
    np.testing.assert_allclose(pixels_of(joints.points), expected, atol=1e-4)
    np.testing.assert_allclose(pixels_of(bones.points), expected[np.array(BONES).ravel()], atol=1e-4)
    assert (len(joints.outline_colors), len(bones.outline_colors)) == (21, 20)
    assert bones.timestamp == joints.timestamp == message.texts[0].timestamp == header.stamp
    assert [text.text for text in message.texts] == ["right 0.80", "left 0.50"]
    assert message.texts[0].position.y < joints.points[0].y


def test_the_node_annotates_each_image_with_its_stamp(graph: Graph, model: HandModel) -> None:
    camera = SyntheticCamera(model, SIZE)
    image, k = image_of(camera.at(0.0).rgb), camera.camera_matrix
    eye = Camera(graph, SIZE, QoSProfile(depth=1))
    graph.collect("annotations", messages.ImageAnnotations, qos.RESULT)
    graph.start("hand_mesh_node", threads=1, device="cpu", image_qos="reliable", max_age_ms=0.0)
    eye.connect(image, k)
    eye.ask(image, k)

    def pair() -> tuple | None:
        hands = {str(answer.header.stamp): answer for answer in eye.hands if answer.hands}
        drawn = [message for message in graph.received["annotations"] if message.points]
        return next(((each, hands[stamp]) for each in drawn if (stamp := str(each.points[0].timestamp)) in hands), None)

    found = graph.wait_for(pair, ANSWER_S)
    assert found, "no annotations with the stamp of the hands"
    message, answer = found
    np.testing.assert_allclose(pixels_of(message.points[1].points), np.reshape(answer.hands[0].keypoints_px, (21, 2)), atol=1e-3)


def test_without_a_subscriber_or_without_the_package_nothing_is_built(
    graph: Graph, make_hand: Callable[..., HandEstimate], header: Header, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(annotations, "_bones", lambda *_: pytest.fail("built for nobody"))
    endpoints = Endpoints(graph.node)
    try:
        HandAnnotations(endpoints).publish(320, [make_hand()], header, False)
        monkeypatch.setattr(annotations, "ImageAnnotations", None)
        HandAnnotations(endpoints).publish(320, [make_hand()], header, False)
    finally:
        endpoints.destroy()
