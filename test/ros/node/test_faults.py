"""What goes wrong on a robot: the node names it, goes on, loses no good image's hand and never publishes a stale pose."""

import signal
import time
from array import array
from collections.abc import Iterator
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from camera import RELIABLE, SIZE, Camera, image_of, node_with_camera
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseWithCovarianceStamped
from graph import Graph, end
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from visualization_msgs.msg import MarkerArray

from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.stream.memory import resident_mb
from hand_mesh_ros.core.types import Frame
from hand_mesh_ros.msg import HandArray, HandHypotheses, HandMeshArray
from hand_mesh_ros.ros import qos
from hand_mesh_ros.ros.input.convert_frame import to_frame

EVERYTHING = {
    "hands": HandArray,
    "meshes": HandMeshArray,
    "hypotheses": HandHypotheses,
    "joint_cloud": PointCloud2,
    "markers": MarkerArray,
    "right/wrist": PoseWithCovarianceStamped,
}


@pytest.fixture(scope="module")
def graph(view: SimpleNamespace) -> Iterator[Graph]:
    """A node that is put through all of it."""
    graph = Graph("faults")
    graph.collect("right/wrist", PoseWithCovarianceStamped)
    # Without a largest age: on a busy machine a single image may wait for long, and is to be answered.
    with node_with_camera(graph, view, max_age_ms=0.0) as connected:
        yield connected


def found(graph: Graph, view: SimpleNamespace) -> bool:
    """Whether a good image is answered with a hand."""
    answer = graph.camera.ask(image_of(view.rgb), view.k)
    return answer is not None and len(answer.hands) == 1


def has_reported(graph: Graph, needle: str, timeout_s: float = 15.0) -> DiagnosticStatus | None:
    """A status that comes from now on and holds `needle`."""
    seen = len(graph.statuses())
    return graph.wait_for(lambda: next((s for s in graph.statuses()[seen:] if needle in s.message), None), timeout_s)


def ignore(message: object) -> None:
    """What a subscriber of a storm does."""


def value(status: DiagnosticStatus, key: str) -> str:
    return next(item.value for item in status.values if item.key == key)


def test_a_camera_that_stops_is_reported_and_may_return(graph, view):
    assert found(graph, view)
    status = has_reported(graph, "no image arrives")
    assert status
    assert status.level == DiagnosticStatus.ERROR
    published = {topic: len(graph.received[topic]) for topic in ("hands", "right/wrist")}
    graph.wait_for(lambda: False, 1.0)
    # Nothing is repeated while there is nothing new to say.
    assert published == {topic: len(graph.received[topic]) for topic in published}
    assert found(graph, view)


def test_a_camera_that_is_faster_than_the_node_does_not_make_results_old(graph, view):
    assert found(graph, view)
    graph.received["hands"].clear()
    sent = []
    until = time.monotonic() + 3.0
    while time.monotonic() < until:
        sent.append(graph.camera.send(image_of(view.rgb), view.k))
        graph.wait_for(lambda: False, 0.002)
    assert graph.wait_for(lambda: any(hands.header == sent[-1] for hands in graph.received["hands"]), 30.0), (
        "the newest image is not answered"
    )
    stamps = [hands.header.stamp.sec + 1e-9 * hands.header.stamp.nanosec for hands in graph.received["hands"]]
    assert np.all(np.diff(stamps) > 0), "results are out of order"
    # However many there are, a result is of the newest image or of the one before: two periods old at most, with some patience.
    latencies = [hands.latency for hands in graph.received["hands"]]
    assert np.median(latencies) < 3 * np.median(np.diff(stamps)) + 0.1


def test_an_image_of_4k_is_answered(view):
    # Not over DDS: 25 MB need more shared memory than a machine may have, see config/fastdds_images.xml.
    scale = 3840 / SIZE[0]
    image = image_of(cv2.resize(view.rgb, (3840, 2880), interpolation=cv2.INTER_LINEAR))
    info = CameraInfo(width=3840, height=2880, k=(np.diag([scale, scale, 1]) @ view.k).ravel())
    (hand,) = HandMeshPipeline.default("cpu").estimate(to_frame(image, info, None, rectified=False))
    assert np.max(hand.keypoints_px) > max(SIZE)
    (small,) = HandMeshPipeline.default("cpu").estimate(Frame(view.rgb, view.k))
    assert np.linalg.norm(hand.joints_m - small.joints_m, axis=-1).mean() < 0.03


def test_another_resolution_starts_a_new_stream(graph, view):
    assert found(graph, view)
    double = cv2.resize(view.rgb, (640, 480), interpolation=cv2.INTER_LINEAR)
    graph.camera.size = (640, 480)
    try:
        answer = graph.camera.ask(image_of(double), np.diag([2, 2, 1]) @ view.k)
    finally:
        graph.camera.size = SIZE
    assert answer is not None
    # Keypoints are those of the new image, without a trace of the smoothing over the old ones.
    assert np.max(answer.hands[0].keypoints_px) > SIZE[0] / 2
    assert found(graph, view)


def test_depth_that_never_fits_an_image_is_named_with_the_difference(graph, view):
    depth, to_depth = image_of(np.full(SIZE[::-1], 500, np.uint16), "16UC1"), graph.camera.add_depth()
    seen = len(graph.statuses())

    def is_named() -> DiagnosticStatus | None:
        graph.camera.send(image_of(view.rgb), view.k)
        depth.header.stamp = graph.node.get_clock().now().to_msg()
        depth.header.stamp.sec -= 3
        to_depth.publish(depth)
        graph.wait_for(lambda: False, 0.1)
        return next((status for status in graph.statuses()[seen:] if "depth_slop_ms" in status.message), None)

    status = graph.wait_for(is_named, 15.0)
    assert status
    assert float(value(status, "nearest depth [s]")) > 1.0
    assert found(graph, view)


def test_subscribers_that_come_and_go_disturb_nobody(graph, view):
    for _ in range(5):
        wanted = [*EVERYTHING.items()] * 3
        subscriptions = [graph.node.create_subscription(kind, topic, ignore, qos.RESULT) for topic, kind in wanted]
        assert found(graph, view)
        for subscription in subscriptions:
            graph.node.destroy_subscription(subscription)
    assert found(graph, view)


def test_random_bytes_in_every_field_of_an_image_leave_the_node_alive(graph, view):
    rng = np.random.default_rng(0)
    encodings = ("rgb8", "bgr8", "mono8", "16UC1", "bayer_rggb8", "yuv422", "", "\x7f", "rgb8" * 50)
    for number in range(120):
        length = int(rng.integers(0, 2000))
        # Sizes from nothing to more than any memory holds.
        height, width, step = (int(2 ** rng.uniform(0, 32)) - 1 for _ in range(3))
        image = Image(
            height=height, width=width, encoding=str(rng.choice(encodings)), is_bigendian=int(rng.integers(256)), step=step
        )
        image.data = array("B", rng.bytes(length))
        graph.camera.send(image, rng.normal(size=9) * 10.0 ** rng.integers(-300, 300))
        if number % 5 == 0:
            graph.camera.add_depth().publish(image)
        graph.wait_for(lambda: False, 0.02)
    assert graph.process.poll() is None
    assert found(graph, view)


def test_memory_stays_flat(graph, view):
    blank = image_of(np.full_like(view.rgb, 127))

    def play(count: int) -> None:
        for number in range(count):
            assert graph.camera.ask(image_of(view.rgb) if number % 10 else blank, view.k)

    play(30)
    before_mb = resident_mb(graph.process.pid)
    play(120)
    assert resident_mb(graph.process.pid) - before_mb < 10
    told_mb = float(value(graph.statuses()[-1], "memory [MB]"))
    assert told_mb == pytest.approx(before_mb, rel=0.3)
    assert value(graph.statuses()[-1], "hand size") == "1.000 +- 8.0 % (prior)"


def test_a_signal_in_the_middle_of_an_image_ends_the_node_cleanly(graph, view):
    for _ in range(5):
        graph.camera.send(image_of(view.rgb), view.k)
    code, log = end(graph.process, signal.SIGTERM)
    assert code == 0, log
    assert "Traceback" not in log


EXTREMES = {
    "least": {"n_hypotheses": 1, "joint_steps": 1, "mesh_steps": 1, "max_hands": 1, "predict_ms": 0.0, "smooth_cutoff_hz": 0.0},
    "most": {
        **{"n_hypotheses": 64, "joint_steps": 100, "mesh_steps": 100, "max_hands": 8, "predict_ms": 500.0, "markers_hz": 120.0},
        **{"fit_enabled": True, "fit_steps": 100, "fit_budget_ms": 0.0, "fit_noise": 1000.0, "fit_pull_mm": 100.0},
    },
}


@pytest.mark.parametrize("name", EXTREMES)
def test_parameters_at_their_limits_still_give_hands(view, name):
    graph = Graph(f"extreme_{name}")
    camera = Camera(graph, SIZE, RELIABLE)
    try:
        node = graph.start("hand_mesh_node", threads=1, image_qos="reliable", max_age_ms=0.0, **EXTREMES[name])
        camera.connect(image_of(view.rgb), view.k, timeout_s=150.0)
        hand = camera.hands[-1].hands[0]
        assert np.all(np.isfinite(hand.joints))
        assert np.all(np.isfinite(hand.joint_covariance))
        # The image at hand is answered first.
        assert end(node, signal.SIGTERM, timeout_s=120.0)[0] == 0
    finally:
        graph.close()
