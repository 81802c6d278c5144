"""The real node in a process of its own, with the real models, fed over real DDS."""

import signal
from array import array
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import numpy as np
import pytest
from camera import Camera, image_of
from diagnostic_msgs.msg import DiagnosticStatus
from graph import Graph, end
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from hand_mesh_ros.core.hand.model import FILE_NAME, HandModel
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.msg import Hand, HandHypotheses, HandMeshArray, MeshTopology
from hand_mesh_ros.ros import qos
from hand_mesh_ros.synthetic.camera import SyntheticCamera

# 230 kB: fits the shared memory that Fast DDS gives a process without a profile.
SIZE = (320, 240)


@pytest.fixture(scope="module")
def view() -> SimpleNamespace:
    """A rendered hand and the camera that saw it."""
    camera = SyntheticCamera(HandModel.load(default_models_dir() / FILE_NAME), SIZE)
    return SimpleNamespace(rgb=camera.at(0.0).rgb, depth_m=camera.at(0.0).depth_m, k=camera.camera_matrix)


@pytest.fixture(scope="module")
def graph(view: SimpleNamespace) -> Iterator[Graph]:
    """The node at work, with this test as its camera and its audience."""
    graph = Graph("node_process")
    topics = {
        "meshes": HandMeshArray,
        "hypotheses": HandHypotheses,
        "joint_cloud": PointCloud2,
        "markers": MarkerArray,
    }
    for name, kind in topics.items():
        graph.collect(name, kind)
    graph.collect("topology", MeshTopology, qos.LATCHED)
    graph.camera = Camera(graph, SIZE)
    graph.process = graph.start("hand_mesh_node", threads=1)
    try:
        graph.camera.connect(image_of(view.rgb), view.k)
        yield graph
    finally:
        graph.close()


def test_a_rendered_hand_gives_a_mesh_with_exactly_the_images_stamp_and_frame(graph, view):
    hands = graph.camera.ask(image_of(view.rgb), view.k)
    assert hands is not None
    assert hands.header.frame_id == "camera_optical"
    assert len(hands.hands) == 1
    hand = hands.hands[0]
    assert hand.side == Hand.SIDE_RIGHT
    assert hand.scale_source == Hand.SCALE_PRIOR
    assert 0.2 < hand.wrist.pose.position.z < 1.0
    assert 0 < hands.latency < 10

    def same(topic: str) -> list:
        return [message for message in graph.received[topic] if message.header == hands.header]

    arrived = ("meshes", "hypotheses", "joint_cloud")
    graph.wait_for(lambda: all(map(same, arrived)) and all(graph.received[topic] for topic in ("markers", "topology")))
    topology, mesh = graph.received["topology"][0], same("meshes")[0].meshes[0]
    assert mesh.topology_id == topology.topology_id
    assert len(mesh.vertices) == 3 * topology.vertex_count == 3 * len(mesh.vertex_std)
    assert max(topology.triangles) < topology.vertex_count
    joints, vertices = np.reshape(hand.joints, (21, 3)), np.reshape(mesh.vertices, (-1, 3))
    assert np.linalg.norm(vertices[:, None] - joints, axis=-1).min(0).max() < 0.03
    assert len(same("hypotheses")[0].joints) == 63 * same("hypotheses")[0].n
    assert same("joint_cloud")[0].width == 21 * same("hypotheses")[0].n
    drawn = graph.received["markers"][0].markers
    assert {marker.type for marker in drawn} >= {Marker.TRIANGLE_LIST, Marker.LINE_LIST}
    assert all(marker.header.frame_id == "camera_optical" for marker in drawn)


def test_an_image_without_a_hand_is_answered_with_no_hand(graph, view):
    hands = graph.camera.ask(image_of(np.full_like(view.rgb, 127)), view.k)
    assert hands is not None
    assert hands.hands == []


def test_an_all_zero_k_gives_hands_without_position_and_a_warning(graph, view):
    hands = graph.camera.ask(image_of(view.rgb), np.zeros((3, 3)))
    assert hands is not None
    assert hands.hands[0].scale_source == Hand.SCALE_NONE
    assert np.isnan(hands.hands[0].wrist.pose.position.x)
    assert np.isfinite(hands.hands[0].joints).all()
    assert_no_hand_is_in_the_lens(graph, hands.header)
    seen = len(graph.statuses())

    def warnings() -> list[DiagnosticStatus]:
        """A warning is told for two seconds, which may pass between two looks of a busy machine."""
        graph.camera.ask(image_of(view.rgb), np.zeros((3, 3)), timeout_s=0.2)
        return [status for status in graph.statuses()[seen:] if "all-zero K" in status.message]

    warning = graph.wait_for(warnings, 30.0)
    assert warning
    assert warning[0].level == DiagnosticStatus.WARN


def assert_no_hand_is_in_the_lens(graph: Graph, header: Header) -> None:
    """Points relative to the wrist are not sent as points in the frame of the camera."""

    def same(topic: str) -> list:
        return [message for message in graph.received[topic] if message.header.stamp == header.stamp]

    assert graph.wait_for(lambda: all(map(same, ("meshes", "hypotheses", "joint_cloud"))))
    assert same("joint_cloud")[0].width == 0
    assert same("meshes")[0].header.frame_id == same("hypotheses")[0].header.frame_id == ""
    drawn = [marker for array in graph.received["markers"] for marker in array.markers if marker.header.stamp == header.stamp]
    assert all(marker.action == Marker.DELETE for marker in drawn)


def damaged(make: Callable[[], Image], **changes: object) -> Image:
    image = make()
    for name, value in changes.items():
        setattr(image, name, value)
    return image


BAD_IMAGES = {
    "unknown encoding": (lambda rgb: damaged(lambda: image_of(rgb), encoding="holographic"), "holographic"),
    "encoding wider than the data": (lambda rgb: damaged(lambda: image_of(rgb), encoding="rgba8"), "step is 960"),
    "truncated data": (lambda rgb: damaged(lambda: image_of(rgb), data=array("B", bytes(1000))), "1000 bytes"),
    "no data": (lambda rgb: Image(encoding="rgb8"), "0x0"),
    "step too small": (lambda rgb: damaged(lambda: image_of(rgb), step=10), "step is 10"),
    "another shape than the camera": (lambda rgb: image_of(rgb[:100]), "320x100"),
}


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_a_bad_image_is_named_in_diagnostics_and_the_next_good_one_is_answered(graph, view, name):
    make, needle = BAD_IMAGES[name]
    assert graph.camera.ask(make(view.rgb), view.k, timeout_s=0.5) is None
    reported = graph.wait_for(lambda: [s for s in graph.statuses() if needle in s.message], 3.0)
    assert reported, f"no diagnostic names '{needle}'; last: {[s.message for s in graph.statuses()[-3:]]}"
    assert reported[0].level == DiagnosticStatus.ERROR
    assert "/image" in reported[0].message
    assert graph.camera.ask(image_of(view.rgb), view.k).hands


def test_an_image_of_one_pixel_and_an_unstamped_one_leave_the_node_alive(graph, view):
    graph.camera.ask(image_of(np.zeros((1, 1, 3), np.uint8)), view.k, timeout_s=0.5)
    unstamped = image_of(view.rgb)
    graph.camera.image.publish(unstamped)
    assert graph.wait_for(lambda: [s for s in graph.statuses() if "stamp is zero" in s.message], 3.0)
    assert graph.camera.ask(image_of(view.rgb), view.k).hands


def test_depth_of_nothing_or_of_another_size_costs_the_depth_alone(graph, view):
    nothing = np.full(SIZE[::-1], np.nan, np.float32)
    nothing[::2] = np.inf
    nothing[1::4] = 0
    assert graph.camera.ask(image_of(view.rgb), view.k, image_of(nothing, "32FC1")).hands
    assert graph.camera.ask(image_of(view.rgb), view.k, image_of(nothing[:50], "32FC1")).hands
    assert graph.wait_for(lambda: [s for s in graph.statuses() if "register the depth" in s.message], 3.0)
    millimetres = (1000 * view.depth_m).astype(np.uint16)
    assert graph.camera.ask(image_of(view.rgb), view.k, image_of(millimetres, "16UC1")).hands


def test_stamps_that_jump_back_are_a_restart_not_an_error(graph, view):
    assert graph.camera.ask(image_of(view.rgb), view.k).hands
    old = image_of(view.rgb)
    old.header.stamp.sec = 1000
    graph.camera.image.publish(old)
    assert graph.wait_for(lambda: [h for h in graph.received["hands"] if h.header.stamp.sec == 1000], 5.0)
    answer = graph.received["hands"][-1]
    assert np.isnan(answer.latency)
    assert graph.wait_for(lambda: [s for s in graph.statuses() if "jumped back" in s.message], 3.0)


def test_control_c_that_comes_twice_ends_the_node_cleanly(graph):
    code, log = end(graph.process, signal.SIGINT, signal.SIGINT)
    assert code == 0, log
    assert "Traceback" not in log
