"""Stamps that lie: the node names the offset and the cure within seconds, and robots get nothing that is old or repeated."""

import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
from camera import FRAME_ID, RELIABLE, SIZE, Camera, image_of, node_with_camera
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseWithCovarianceStamped
from graph import Graph
from rclpy.duration import Duration
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from hand_mesh_ros.msg import HandArray
from hand_mesh_ros.ros import qos
from hand_mesh_ros.ros.input.transforms import TFMessage

PERIOD_S = 0.2


@pytest.fixture(scope="module")
def graph(view: SimpleNamespace) -> Iterator[Graph]:
    """A node with the deployed largest age."""
    graph = Graph("stamps")
    graph.collect("right/wrist", PoseWithCovarianceStamped)
    graph.collect("/tf", TFMessage, qos.TF)
    with node_with_camera(graph, view) as connected:
        yield connected


def now_header(graph: Graph, age_s: float = 0.0) -> Header:
    stamp = graph.node.get_clock().now() - Duration(seconds=age_s)
    return Header(stamp=stamp.to_msg(), frame_id=FRAME_ID)


def play(
    graph: Graph,
    view: SimpleNamespace,
    duration_s: float,
    header_at: Callable[[float], Header],
    is_done: Callable[[list[DiagnosticStatus]], object] = lambda _: False,
) -> list[DiagnosticStatus]:
    """Sends images for some time, or until the statuses of this time suffice; these statuses."""
    seen, began_s = len(graph.statuses()), time.monotonic()
    while (elapsed_s := time.monotonic() - began_s) < duration_s and not is_done(graph.statuses()[seen:]):
        image = image_of(view.rgb)
        image.header = header_at(elapsed_s)
        graph.camera.info.publish(CameraInfo(header=image.header, width=SIZE[0], height=SIZE[1], k=view.k.ravel()))
        graph.camera.image.publish(image)
        graph.wait_for(lambda: False, PERIOD_S)
    return graph.statuses()[seen:]


def is_settled(graph: Graph, view: SimpleNamespace) -> bool:
    """Whether right stamps lead to a node that is satisfied."""

    def is_ok(statuses: list[DiagnosticStatus]) -> bool:
        return bool(statuses) and statuses[-1].level == DiagnosticStatus.OK

    return is_ok(play(graph, view, 10.0, lambda _: now_header(graph), is_ok))


def times_named(statuses: list[DiagnosticStatus], needle: str) -> int:
    return sum(needle in status.message for status in statuses)


def test_right_stamps_never_warn(graph, view):
    assert is_settled(graph, view)
    statuses = play(graph, view, 10.0, lambda _: now_header(graph, 0.05), lambda statuses: len(statuses) >= 3)
    assert {(status.level, status.message) for status in statuses} == {(DiagnosticStatus.OK, "working")}


@pytest.mark.parametrize(
    ("age_s", "needle", "is_answered"),
    [(9.0, "ms old", False), (11.0, "s behind the clock", True), (-37.0, "s ahead of the clock", True)],
)
def test_stamps_of_another_clock_are_a_warning_with_the_offset(graph, view, age_s, needle, is_answered):
    assert is_settled(graph, view)
    graph.received["hands"].clear()
    statuses = play(graph, view, 6.0, lambda _: now_header(graph, age_s), lambda statuses: times_named(statuses, needle) >= 2)
    named = [needle in status.message and status.level == DiagnosticStatus.WARN for status in statuses]
    assert any(named[:3]), [status.message for status in statuses]
    assert all(named[named.index(True) :])
    value = next(float(word) for word in reversed(statuses[-1].message.split(needle)[0].split()) if word[0].isdigit())
    assert value == pytest.approx(1e3 * age_s if needle == "ms old" else abs(age_s), rel=0.03)
    answers = [hands for hands in graph.received["hands"] if stamp_s(hands) < time.time() - 5 or stamp_s(hands) > time.time() + 5]
    assert bool(answers) == is_answered
    assert all(hands.latency != hands.latency for hands in answers)


def test_a_delay_that_grows_is_never_answered_again(graph, view):
    assert is_settled(graph, view)
    graph.received["hands"].clear()
    # Stamps advance fifty times slower than time. At the end the age is more than that of another clock.
    statuses = play(graph, view, 11.5, lambda elapsed_s: now_header(graph, 0.98 * elapsed_s))
    assert "ms old" in statuses[-1].message
    assert statuses[-1].level == DiagnosticStatus.WARN
    assert all(hands.latency < 2.0 for hands in graph.received["hands"])


def test_stamps_that_do_not_advance_are_an_error_and_robots_get_each_stamp_once(graph, view):
    assert is_settled(graph, view)
    for topic in ("right/wrist", "/tf"):
        graph.received[topic].clear()
    stuck = now_header(graph)
    text = "stamps do not advance"
    statuses = play(graph, view, 8.0, lambda _: stuck, lambda statuses: times_named(statuses, text) >= 2)
    named = [text in status.message and status.level == DiagnosticStatus.ERROR for status in statuses]
    assert any(named[:4])
    assert named[-1]
    assert len([wrist for wrist in graph.received["right/wrist"] if wrist.header == stuck]) == 1
    frames = [frame for message in graph.received["/tf"] for frame in message.transforms]
    assert len([frame for frame in frames if frame.header == stuck and frame.child_frame_id == "right_hand"]) == 1
    assert is_settled(graph, view)


def test_simulated_time_without_a_clock_is_a_warning_and_images_are_answered(view):
    graph = Graph("no_clock")
    graph.camera = Camera(graph, SIZE, RELIABLE)
    try:
        graph.start("hand_mesh_node", threads=1, image_qos="reliable", use_sim_time=True)
        graph.camera.connect(image_of(view.rgb), view.k)
        text = "use_sim_time is true and nothing has arrived on /clock"
        statuses = play(graph, view, 3.5, lambda _: now_header(graph), lambda statuses: times_named(statuses, text))
        assert statuses[-1].level == DiagnosticStatus.WARN
        assert text in statuses[-1].message

        def is_error(statuses: list[DiagnosticStatus]) -> bool:
            return bool(statuses) and statuses[-1].level == DiagnosticStatus.ERROR

        # A driver that takes the time from /clock stamps its images with zero.
        unstamped = play(graph, view, 3.5, lambda _: Header(frame_id=FRAME_ID), is_error)[-1]
        assert unstamped.level == DiagnosticStatus.ERROR
        assert "nothing has arrived on /clock" in unstamped.message
    finally:
        graph.close()


def stamp_s(hands: HandArray) -> float:
    return hands.header.stamp.sec + 1e-9 * hands.header.stamp.nanosec
