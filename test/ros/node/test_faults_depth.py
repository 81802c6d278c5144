"""Depth that is wrong in a way that no single image shows: the node names cause and cure, and correct depth raises no warning."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
from camera import FRAME_ID, RELIABLE, SIZE, Camera, image_of, node_with_camera
from depth_files import compressed_depth
from diagnostic_msgs.msg import DiagnosticStatus
from graph import Graph
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.synthetic.camera import SyntheticCamera

WALL_M = 1.5


@pytest.fixture(scope="module")
def view(model: HandModel) -> SimpleNamespace:
    """A rendered hand before a wall, with its depth, and the camera that saw them."""
    camera = SyntheticCamera(model, SIZE)
    moment = camera.at(0.0)
    depth_m = np.where(moment.depth_m > 0, moment.depth_m, WALL_M).astype(np.float32)
    return SimpleNamespace(rgb=moment.rgb, depth_m=depth_m, k=camera.camera_matrix, z_m=moment.joints_m[0, 2])


@pytest.fixture(scope="module")
def graph(view: SimpleNamespace) -> Iterator[Graph]:
    """A node that gets depth of all kinds."""
    graph = Graph("faults_depth")
    with node_with_camera(graph, view, max_age_ms=0.0) as connected:
        connected.camera.add_depth()
        yield connected


def set_parameter(graph: Graph, name: str, value: float) -> None:
    client = graph.node.create_client(SetParameters, "hand_mesh_node/set_parameters")
    assert graph.wait_for(client.service_is_ready, 15.0)
    answer = client.call_async(SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()]))
    assert graph.wait_for(answer.done, 15.0)
    assert all(result.successful for result in answer.result().results)
    graph.node.destroy_client(client)


@contextmanager
def changed_parameter(graph: Graph, name: str, value: float, before: float) -> Iterator[None]:
    """Sets a parameter of the node, and the value `before` at the end."""
    set_parameter(graph, name, value)
    try:
        yield
    finally:
        set_parameter(graph, name, before)


def play(
    graph: Graph,
    send: Callable[[int], None],
    seconds: float,
    rate_hz: float = 10.0,
    is_done: Callable[[list[DiagnosticStatus]], object] = lambda _: False,
) -> list[DiagnosticStatus]:
    """Sends images for so long, or until the statuses of that time suffice. Returns these statuses."""
    seen, number, started = len(graph.statuses()), 0, time.monotonic()
    while (due := started + number / rate_hz) < started + seconds and not is_done(graph.statuses()[seen:]):
        graph.wait_for(lambda due=due: time.monotonic() >= due, 1.0)
        send(number)
        number += 1
    return graph.statuses()[seen:]


def works(statuses: list[DiagnosticStatus]) -> bool:
    """Whether the newest status has no warning."""
    return bool(statuses) and statuses[-1].message == "working"


def names(text: str) -> Callable[[list[DiagnosticStatus]], bool]:
    """Whether the newest status holds a text."""
    return lambda statuses: bool(statuses) and text in statuses[-1].message


def forget_warnings(graph: Graph, view: SimpleNamespace, good: CompressedImage | None = None) -> None:
    """Waits until warnings of the test before are over: images with correct depth raise none. Forgets the size of the hand."""
    image, depth = image_of(view.rgb), good or scaled(view, 1.0)
    statuses = play(graph, lambda _: graph.camera.send(image, view.k, depth), 15.0, is_done=works)
    assert works(statuses), statuses
    for factor in (1.001, 1.0):
        set_parameter(graph, "depth_scale", factor)
        # Without an image, the worker applies new settings after half a second.
        graph.wait_for(lambda: False, 0.6)


def scaled(view: SimpleNamespace, factor: float) -> Image:
    millimetres = np.round(1000 * factor * view.depth_m)
    if millimetres.max() > np.iinfo(np.uint16).max:
        return image_of(view.depth_m * np.float32(factor), "32FC1")
    # With the image this fits the shared memory that Fast DDS gives a process without a profile.
    return image_of(millimetres.astype(np.uint16), "16UC1")


@pytest.mark.parametrize("factor", [10.0, 0.1, 1000.0, 0.25, 1.25])
def test_depth_in_a_wrong_unit_is_named_with_the_ratio_and_the_parameter(graph, view, factor):
    forget_warnings(graph, view)
    depth = scaled(view, factor)
    text = "does not agree with the hand"
    statuses = play(graph, lambda _: graph.camera.send(image_of(view.rgb), view.k, depth), 4.0, is_done=names(text))
    warned = [status for status in statuses if text in status.message]
    assert warned, [status.message for status in statuses]
    assert warned[-1].level == DiagnosticStatus.WARN
    assert "set depth_scale to" in warned[-1].message
    advised = float(warned[-1].message.split("set depth_scale to ")[1].split(";")[0])
    assert advised == pytest.approx(1 / factor, rel=0.15)
    # The position is never far outside of what its covariance says.
    hand = graph.camera.hands[-1].hands[0].wrist
    assert abs(hand.pose.position.z - view.z_m) < 3 * np.sqrt(hand.covariance[14])


def test_depth_scale_corrects_the_unit_while_the_node_runs(graph, view):
    forget_warnings(graph, view)
    depth = scaled(view, 10.0)
    with changed_parameter(graph, "depth_scale", 0.1, 1.0):
        statuses = play(graph, lambda _: graph.camera.send(image_of(view.rgb), view.k, depth), 4.0)
    assert not warnings_of(statuses[1:])
    hand = graph.camera.hands[-1].hands[0]
    assert hand.scale_source == hand.SCALE_DEPTH
    assert hand.wrist.pose.position.z == pytest.approx(view.z_m, abs=0.02)


def test_correct_depth_raises_no_warning_and_depth_of_a_possible_child_widens_the_covariance(graph, view):
    for factor in (1.0, 0.8):
        forget_warnings(graph, view)
        depth = scaled(view, factor)
        statuses = play(graph, lambda _, depth=depth: graph.camera.send(image_of(view.rgb), view.k, depth), 4.0)
        assert not warnings_of(statuses[1:])
        hand = graph.camera.hands[-1].hands[0].wrist
        assert abs(hand.pose.position.z - view.z_m) < 3 * np.sqrt(hand.covariance[14])


def test_a_hand_of_known_size_shows_that_depth_is_a_fifth_too_short(graph, view):
    forget_warnings(graph, view)
    depth = scaled(view, 0.8)
    with changed_parameter(graph, "user_hand_scale", 1.0, 0.0):
        done = names("set depth_scale to 1.")
        statuses = play(graph, lambda _: graph.camera.send(image_of(view.rgb), view.k, depth), 4.0, is_done=done)
    assert any("set depth_scale to 1.2" in status.message or "set depth_scale to 1.3" in status.message for status in statuses)


class Delayed:
    """Sends images with depth of equal stamps; the depth is sent later or earlier than its image."""

    def __init__(self, graph: Graph, view: SimpleNamespace, late_s: float, every: int = 1, frame_id: str = FRAME_ID) -> None:
        self._graph, self._view, self._late_s, self._every, self._frame_id = graph, view, late_s, every, frame_id
        self._waiting: list[tuple[float, object, Image]] = []

    def __call__(self, number: int) -> None:
        camera, now_s = self._graph.camera, time.monotonic()
        header = Header(stamp=self._graph.node.get_clock().now().to_msg(), frame_id=FRAME_ID)
        image, depth = image_of(self._view.rgb), scaled(self._view, 1.0)
        image.header, depth.header = header, Header(stamp=header.stamp, frame_id=self._frame_id)
        camera.info.publish(CameraInfo(header=header, width=SIZE[0], height=SIZE[1], k=np.ravel(self._view.k)))
        self._waiting.append((now_s + max(-self._late_s, 0.0), camera.image, image))
        if number % self._every == 0:
            self._waiting.append((now_s + max(self._late_s, 0.0), camera.depth, depth))
        # As a camera does, each publisher sends one message at a time. Of two at once, the queues of one message lose the first.
        for publisher in (camera.image, camera.depth):
            due = next((due for due in self._waiting if due[1] is publisher and due[0] <= now_s), None)
            if due is not None:
                self._waiting.remove(due)
                publisher.publish(due[2])


def warnings_of(statuses: list[DiagnosticStatus]) -> set[str]:
    return {status.message for status in statuses} - {"working"}


def test_depth_in_another_frame_is_named_with_topics_and_frames_and_is_used(graph, view):
    forget_warnings(graph, view)
    statuses = play(graph, Delayed(graph, view, 0.0, frame_id="camera_depth_optical_frame"), 3.0, is_done=warnings_of)
    (text,) = warnings_of(statuses)
    for part in (f"{graph.namespace}/depth", f"{graph.namespace}/image", "'camera_depth_optical_frame'", f"'{FRAME_ID}'"):
        assert part in text
    hand = graph.camera.hands[-1].hands[0]
    assert hand.scale_source == hand.SCALE_DEPTH


@pytest.mark.parametrize("frame_id", ["", FRAME_ID, f"/{FRAME_ID}"])
def test_depth_without_frame_or_in_the_frame_of_the_image_raises_no_warning(graph, view, frame_id):
    forget_warnings(graph, view)
    assert not warnings_of(play(graph, Delayed(graph, view, 0.0, frame_id=frame_id), 3.0))


def test_correct_depth_at_the_rate_of_a_camera_raises_no_warning(graph, view):
    forget_warnings(graph, view)
    assert not warnings_of(play(graph, Delayed(graph, view, 0.0), 6.0, rate_hz=30.0))


def test_depth_at_half_of_the_rate_is_named_with_both_rates(graph, view):
    forget_warnings(graph, view)
    statuses = play(graph, Delayed(graph, view, 0.0, every=2), 6.0, is_done=lambda s: names("images come at")(s[:-1]))
    texts = [status.message for status in statuses if "images come at" in status.message]
    assert texts
    image_hz, depth_hz = (int(rate) for rate in re.search(r"images come at (\d+) Hz, \S+ at (\d+) Hz", texts[-1]).groups())
    # The figures are of the last seconds only.
    assert 0.35 < depth_hz / image_hz < 0.65


@pytest.mark.parametrize("late_s", [0.12, 0.3, -0.2])
def test_depth_that_comes_late_or_early_is_named_with_the_time_to_wait_and_that_time_is_enough(graph, view, late_s):
    forget_warnings(graph, view)
    # At this rate more images wait for their depth than before a short delay.
    statuses = play(graph, Delayed(graph, view, late_s), 4.0, rate_hz=25.0)
    # On a busy machine the delay grows, and the node advises a longer time.
    for _ in range(2):
        texts = warnings_of(statuses)
        assert texts
        assert not [text for text in texts if "slop" in text]
        advised_ms = max(float(re.search(r"set depth_wait_ms to (\d+)", text).group(1)) for text in texts)
        assert 1e3 * abs(late_s) < advised_ms
        with changed_parameter(graph, "depth_wait_ms", advised_ms, 60.0):
            statuses = play(graph, Delayed(graph, view, late_s), 8.0, rate_hz=25.0, is_done=lambda s: works(s) and works(s[:-1]))
        if works(statuses):
            break
    assert statuses[-1].message == "working"
    hand = graph.camera.hands[-1].hands[0]
    assert any(flags & hand.FLAG_DEPTH_ANCHORED for flags in hand.joint_flags)


@pytest.fixture(scope="module")
def compressed_graph(view: SimpleNamespace) -> Iterator[Graph]:
    """A node that gets compressed depth."""
    graph = Graph("compressed_depth")
    try:
        graph.camera = Camera(graph, SIZE, RELIABLE)
        settings = {"image_qos": "reliable", "max_age_ms": 0.0, "depth_transport": "compressedDepth"}
        graph.start("hand_mesh_node", threads=1, **settings)
        graph.camera.connect(image_of(view.rgb), view.k)
        graph.camera.add_depth(CompressedImage, "depth/compressedDepth")
        yield graph
    finally:
        graph.close()


@pytest.mark.parametrize(("encoding", "codec"), [("16UC1", "png"), ("32FC1", "png"), ("16UC1", "rvl")])
def test_compressed_depth_measures_the_hand_and_a_damaged_one_costs_the_depth_alone(compressed_graph, view, encoding, codec):
    graph = compressed_graph
    good = compressed_depth(view.depth_m, encoding, codec)
    forget_warnings(graph, view, good)
    statuses = play(graph, lambda _: graph.camera.send(image_of(view.rgb), view.k, good), 2.5)
    assert statuses[-1].message == "working"
    hand = graph.camera.hands[-1].hands[0]
    assert hand.scale_source == hand.SCALE_DEPTH
    assert any(flags & hand.FLAG_DEPTH_ANCHORED for flags in hand.joint_flags)
    assert hand.wrist.pose.position.z == pytest.approx(view.z_m, abs=0.02)
    damaged = CompressedImage(format=good.format, data=bytes(good.data)[:500])
    text = f"{graph.namespace}/depth/compressedDepth refused"
    statuses = play(graph, lambda _: graph.camera.send(image_of(view.rgb), view.k, damaged), 3.0, is_done=names(text))
    assert text in statuses[-1].message
    assert graph.camera.hands[-1].hands


def test_depth_in_another_transport_is_named_with_the_parameter(view):
    graph = Graph("depth_transport")
    try:
        graph.camera = Camera(graph, SIZE, RELIABLE)
        graph.start("hand_mesh_node", threads=1, image_qos="reliable", max_age_ms=0.0)
        graph.camera.connect(image_of(view.rgb), view.k)
        graph.node.create_publisher(CompressedImage, "depth/compressedDepth", RELIABLE)
        expected = f"{graph.namespace}/depth/compressedDepth has: set the parameter depth_transport to compressedDepth"
        statuses = play(graph, lambda _: graph.camera.send(image_of(view.rgb), view.k), 4.0, is_done=names(expected))
        assert expected in statuses[-1].message
        assert statuses[-1].level == DiagnosticStatus.WARN
    finally:
        graph.close()


def test_depth_that_has_a_publisher_and_never_arrives_is_named_within_seconds(make_graph, view):
    graph = make_graph("silent_depth")
    graph.camera = Camera(graph, SIZE, RELIABLE)
    graph.node.create_publisher(Image, "depth", RELIABLE)
    graph.start("hand_mesh_node", threads=1, image_qos="reliable", max_age_ms=0.0)
    graph.camera.connect(image_of(view.rgb), view.k)
    # The images begin again.
    graph.wait_for(lambda: bool(graph.statuses()) and "no image arrives" in graph.statuses()[-1].message, 10.0)
    text = f"no depth arrives on {graph.namespace}/depth although it has a publisher"
    began_s = time.monotonic()
    statuses = play(graph, lambda _: graph.camera.send(image_of(view.rgb), view.k), 5.0, is_done=names(text))
    assert time.monotonic() - began_s < 3.2, statuses
    assert statuses[-1].level == DiagnosticStatus.WARN
    assert "enable depth in the driver" in statuses[-1].message
    # Depth that arrives ends the warning.
    depth = scaled(view, 1.0)
    assert works(play(graph, lambda _: graph.camera.send(image_of(view.rgb), view.k, depth), 10.0, is_done=works))


def test_depth_that_stops_is_named_and_not_taken_for_a_lower_rate(graph, view):
    forget_warnings(graph, view)
    play(graph, Delayed(graph, view, 0.0), 3.0, rate_hz=30.0)
    text = f"no depth arrives on {graph.namespace}/depth although it has a publisher"
    statuses = play(graph, lambda _: graph.camera.send(image_of(view.rgb), view.k), 5.0, rate_hz=30.0, is_done=names(text))
    assert {status.message.split(";")[0] for status in statuses} - {"working"} == {text}


@pytest.mark.parametrize(
    ("values", "encoding", "text"),
    [
        (lambda view: view.depth_m.round().astype(np.uint16) + 1, "16UC1", "set depth_scale to 1000"),
        (lambda view: 1000 * view.depth_m, "32FC1", "set depth_scale to 0.001"),
        (lambda view: np.full_like(view.depth_m, 0.42), "32FC1", "has the same distance of 0.42 m at all pixels"),
        (lambda view: np.full_like(view.depth_m, np.nan), "32FC1", "has no distance at more than 99.9 % of its pixels"),
    ],
)
def test_depth_that_no_camera_measures_is_named_without_a_hand(graph, view, values, encoding, text):
    forget_warnings(graph, view)
    room, depth = np.random.default_rng(0).integers(40, 200, view.rgb.shape, dtype=np.uint8), image_of(values(view), encoding)
    statuses = play(graph, lambda _: graph.camera.send(image_of(room), view.k, depth), 4.0, is_done=names(text))
    assert text in statuses[-1].message
    assert statuses[-1].level == DiagnosticStatus.WARN
