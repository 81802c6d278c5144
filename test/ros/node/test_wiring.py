"""Topics that are connected in another way than the node expects: it receives what can be received, and names the rest."""

import signal
from types import SimpleNamespace

import pytest
from camera import FRAME_ID, RELIABLE, SIZE, image_of
from diagnostic_msgs.msg import DiagnosticStatus
from graph import Graph, end
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from hand_mesh_ros.msg import Hand, HandArray
from hand_mesh_ros.ros import qos

START_S = 40.0


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


def reported(graph: Graph, needle: str) -> DiagnosticStatus | None:
    """The first status that holds `needle`."""
    return graph.wait_for(lambda: next((status for status in graph.statuses() if needle in status.message), None), START_S)


@pytest.mark.parametrize(
    ("remapped", "transport", "cure"),
    [
        ("eye/compressed", "raw", "(image:={ns}/eye) and set image_transport to compressed"),
        ("eye/compressed", "compressed", "(image:={ns}/eye) and set image_transport to compressed"),
        ("jpeg", "raw", "set image_transport to compressed and remap image/compressed (-r image/compressed:={ns}/jpeg)"),
        ("jpeg", "compressed", "set image_transport to compressed and remap image/compressed (-r image/compressed:={ns}/jpeg)"),
    ],
)
def test_a_topic_of_compressed_images_is_named_with_the_topic_to_give(make_graph, view, remapped, transport, cure):
    graph = make_graph("compressed_topic")
    topic = f"{graph.namespace}/{remapped}"
    to_image = graph.node.create_publisher(CompressedImage, topic, RELIABLE)
    process = graph.start("hand_mesh_node", remaps={"image": remapped}, threads=1, image_transport=transport)
    status = reported(graph, f"{topic} carries sensor_msgs/msg/CompressedImage, not sensor_msgs/msg/Image")
    assert status
    assert status.level == DiagnosticStatus.ERROR
    assert cure.format(ns=graph.namespace) in status.message
    # The advice helps.
    end(process, signal.SIGTERM)
    graph.received["/diagnostics"].clear()
    advice = {"image/compressed": remapped} if remapped == "jpeg" else {"image": "eye"}
    graph.start("hand_mesh_node", remaps=advice, threads=1, image_transport="compressed")
    assert graph.wait_for(to_image.get_subscription_count, START_S)


def test_inputs_that_carry_another_type_are_named(make_graph, view):
    graph = make_graph("other_types")
    to_image = graph.node.create_publisher(Image, "image", RELIABLE)
    graph.node.create_publisher(Image, "second_image", RELIABLE)
    graph.node.create_publisher(CompressedImage, "depth", RELIABLE)
    graph.start("hand_mesh_node", remaps={"camera_info": "second_image"}, threads=1, image_qos="reliable", max_age_ms=0.0)
    assert graph.wait_for(to_image.get_subscription_count, START_S)

    def is_named() -> bool:
        image = image_of(view.rgb)
        image.header = Header(stamp=graph.node.get_clock().now().to_msg(), frame_id=FRAME_ID)
        to_image.publish(image)
        graph.wait_for(lambda: False, 0.2)
        if not graph.statuses():
            return False
        newest = graph.statuses()[-1]
        return newest.level == DiagnosticStatus.WARN and all(
            f"{graph.namespace}/{carried}" in newest.message
            for carried in (
                "second_image carries sensor_msgs/msg/Image, not sensor_msgs/msg/CameraInfo",
                "depth carries sensor_msgs/msg/CompressedImage, not sensor_msgs/msg/Image",
            )
        )

    assert graph.wait_for(is_named, 8.0), graph.statuses()[-1].message


def test_an_image_topic_of_another_type_is_named(make_graph):
    graph = make_graph("other_type")
    graph.node.create_publisher(CameraInfo, "image", RELIABLE)
    graph.start("hand_mesh_node", threads=1)
    status = reported(
        graph, f"{graph.namespace}/image carries sensor_msgs/msg/CameraInfo, not sensor_msgs/msg/Image: give a topic"
    )
    assert status
    assert status.level == DiagnosticStatus.ERROR


@pytest.mark.parametrize(("name", "other"), [("image", "camera_info"), ("image", "depth")])
def test_two_inputs_on_one_topic_are_named(make_graph, name, other):
    graph = make_graph("one_topic")
    process = graph.start("hand_mesh_node", remaps={other: name}, threads=1)
    status = reported(graph, f"{name} and {other} are remapped to the same topic {graph.namespace}/{name}")
    assert status
    assert status.level == DiagnosticStatus.ERROR
    assert process.poll() is None


def test_a_publisher_that_is_not_latched_gets_one_subscription(make_graph):
    """A second subscription that cannot match would make the driver warn."""
    graph = make_graph("volatile")
    to_info = graph.node.create_publisher(CameraInfo, "camera_info", RELIABLE)
    graph.start("hand_mesh_node", threads=1)
    assert graph.wait_for(to_info.get_subscription_count, START_S)
    graph.wait_for(lambda: False, 3.0)
    assert len(graph.node.get_subscriptions_info_by_topic(to_info.topic_name)) == 1
