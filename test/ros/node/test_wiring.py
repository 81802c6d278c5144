"""Topics that are connected in another way than the node expects: it receives what can be received, and names the rest."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
from camera import FRAME_ID, image_of
from graph import Graph
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.msg import Hand, HandArray
from hand_mesh_ros.ros import qos
from hand_mesh_ros.synthetic.camera import SyntheticCamera

SIZE = (320, 240)
RELIABLE = QoSProfile(depth=1)
START_S = 40.0


@pytest.fixture(scope="module")
def view(model: HandModel) -> SimpleNamespace:
    """A rendered hand and the camera that saw it."""
    camera = SyntheticCamera(model, SIZE)
    return SimpleNamespace(rgb=camera.at(0.0).rgb, k=camera.camera_matrix)


@pytest.fixture
def make_graph() -> Iterator[Callable[[str], Graph]]:
    """Factory of graphs that are left at the end of the test."""
    graphs: list[Graph] = []

    def make(name: str) -> Graph:
        graphs.append(Graph(name))
        return graphs[-1]

    yield make
    for graph in graphs:
        graph.close()


def info_of(view: SimpleNamespace, frame_id: str = FRAME_ID) -> CameraInfo:
    return CameraInfo(header=Header(frame_id=frame_id), width=SIZE[0], height=SIZE[1], k=view.k.ravel())


@pytest.mark.parametrize("is_early", [True, False])
def test_a_calibration_that_was_published_once_is_received(make_graph, view, is_early):
    graph = make_graph(f"latched_{is_early}")
    graph.collect("hands", HandArray)
    to_image = graph.node.create_publisher(Image, "image", RELIABLE)

    def publish_info() -> None:
        graph.node.create_publisher(CameraInfo, "camera_info", qos.LATCHED).publish(info_of(view))

    if is_early:
        publish_info()
    graph.start("hand_mesh_node", threads=1, image_qos="reliable", max_age_ms=0.0)
    assert graph.wait_for(to_image.get_subscription_count, START_S)
    if not is_early:
        graph.wait_for(lambda: False, 3.0)
        publish_info()

    def is_calibrated() -> bool:
        image = image_of(view.rgb)
        image.header = Header(stamp=graph.node.get_clock().now().to_msg(), frame_id=FRAME_ID)
        to_image.publish(image)
        graph.wait_for(lambda: False, 0.2)
        return any(hand.scale_source != Hand.SCALE_NONE for hands in graph.received["hands"] for hand in hands.hands)

    assert graph.wait_for(is_calibrated, 10.0), [status.message for status in graph.statuses()]
