"""Cameras that lie or come apart: the node names it, goes on, and never publishes a stale or an invented hand."""

import signal
from array import array
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
from camera import FRAME_ID, SIZE, image_of, node_with_camera
from diagnostic_msgs.msg import DiagnosticStatus
from graph import Graph
from sensor_msgs.msg import CameraInfo, RegionOfInterest
from std_msgs.msg import Header

from hand_mesh_ros.msg import Hand

MAX_AGE_MS = 1000.0


@pytest.fixture(scope="module")
def graph(view: SimpleNamespace) -> Iterator[Graph]:
    """A node that is put through all of it."""
    graph = Graph("faults_camera")
    with node_with_camera(graph, view, max_age_ms=MAX_AGE_MS) as connected:
        yield connected


def hands_in(graph: Graph, view: SimpleNamespace, **more: object) -> list[Hand]:
    """The hands of the answer to a good image."""
    answer = graph.camera.ask(image_of(view.rgb), view.k, **more)
    return [] if answer is None else answer.hands


def too_old(graph: Graph) -> int:
    """Images that the node has dropped for their age, as its newest diagnostics say."""
    newest = graph.wait_for(graph.statuses, 15.0)[-1]
    return int(next(item.value for item in newest.values if item.key == "too old"))


def test_depth_that_ends_costs_the_depth_and_no_image(graph, view):
    depth = image_of(view.depth_m, "32FC1")
    measured = graph.wait_for(lambda: [h for h in hands_in(graph, view, depth=depth) if h.scale_source == Hand.SCALE_DEPTH], 20.0)
    assert measured, "depth is never used"
    (hand,) = hands_in(graph, view)
    assert not any(flags & Hand.FLAG_DEPTH_ANCHORED for flags in hand.joint_flags)
    # What depth told of the size is not forgotten.
    assert hand.scale_source == Hand.SCALE_DEPTH
    assert abs(hand.wrist.pose.position.z - measured[0].wrist.pose.position.z) < 0.1


def test_a_stamp_from_the_future_is_a_jump_and_the_stream_goes_on(graph, view):
    assert hands_in(graph, view)
    future = image_of(view.rgb)
    future.header = Header(stamp=graph.node.get_clock().now().to_msg(), frame_id=FRAME_ID)
    future.header.stamp.sec += 3600
    graph.camera.image.publish(future)
    assert graph.wait_for(lambda: [hands for hands in graph.received["hands"] if hands.header == future.header], 10.0)
    # Stamped now, so an hour before the newest one: neither late nor lost.
    assert hands_in(graph, view)


def test_a_node_that_was_suspended_does_not_answer_what_has_become_old(graph, view):
    assert hands_in(graph, view)
    before = too_old(graph)
    graph.process.send_signal(signal.SIGSTOP)
    try:
        sent = [graph.camera.send(image_of(view.rgb), view.k) for _ in range(3)]
        graph.wait_for(lambda: False, 1.5 + 1e-3 * MAX_AGE_MS)
        graph.received["hands"].clear()
    finally:
        graph.process.send_signal(signal.SIGCONT)
    assert graph.wait_for(lambda: too_old(graph) > before, 15.0), "nothing is reported as too old"
    assert not [hands for hands in graph.received["hands"] if hands.header in sent]
    assert hands_in(graph, view)


@pytest.mark.parametrize("shape", [(8, 2000), (2000, 8), (2, 2), (240, 1)])
def test_images_of_odd_shapes_are_answered_with_no_hand_or_refused(graph, view, shape):
    graph.camera.size = shape[::-1]
    try:
        answer = graph.camera.ask(image_of(np.full((*shape, 3), 90, np.uint8)), view.k, timeout_s=2.0)
    finally:
        graph.camera.size = SIZE
    assert answer is None or not answer.hands
    assert hands_in(graph, view)


def test_black_white_and_noise_show_no_hand(graph, view):
    noise = np.random.default_rng(0).integers(0, 256, view.rgb.shape).astype(np.uint8)
    for picture in (np.zeros_like(view.rgb), np.full_like(view.rgb, 255), noise):
        graph.camera.ask(image_of(picture), view.k)
        # A hand that was just seen may be predicted for a moment; it is not seen.
        graph.wait_for(lambda: False, 0.2)
        answer = graph.camera.ask(image_of(picture), view.k)
        assert answer is not None
        assert not answer.hands
    assert hands_in(graph, view)


def ask_with_lens(graph: Graph, view: SimpleNamespace, lens: str, d: list[float], has_place: bool) -> Hand | None:
    """The hand of a good image whose camera_info has this lens; sent until the hand has a position, or has none."""
    sent: list[Header] = []

    def answered() -> Hand | None:
        image = image_of(view.rgb)
        image.header = Header(stamp=graph.node.get_clock().now().to_msg(), frame_id=FRAME_ID)
        info = CameraInfo(header=image.header, width=SIZE[0], height=SIZE[1], k=np.ravel(view.k), distortion_model=lens, d=d)
        graph.camera.info.publish(info)
        graph.camera.image.publish(image)
        sent.append(image.header)
        graph.wait_for(lambda: False, 0.1)
        hands = [hand for answer in graph.received["hands"] if answer.header in sent for hand in answer.hands]
        return next((hand for hand in hands if (hand.scale_source != Hand.SCALE_NONE) == has_place), None)

    return graph.wait_for(answered, 15.0)


@pytest.mark.parametrize(("lens", "d"), [("brown_conrady", [0.1] * 5), ("plumb_bob", [0.1] * 6), ("fisheye", [0.0] * 4)])
def test_an_unknown_lens_gives_hands_without_position_and_a_warning_with_the_cure(graph, view, lens, d):
    seen = len(graph.statuses())
    assert ask_with_lens(graph, view, lens, d, has_place=False), "the image is not answered, or answered with a position"
    warned = graph.wait_for(lambda: [s for s in graph.statuses()[seen:] if f"'{lens}'" in s.message], 5.0)
    assert warned
    assert warned[-1].level == DiagnosticStatus.WARN
    for needle in (f"{graph.namespace}/camera_info", f"{len(d)} coefficients", "parameter rectified"):
        assert needle in warned[-1].message
    assert ask_with_lens(graph, view, "plumb_bob", [], has_place=True), "a usable calibration is not used again"


@pytest.mark.parametrize("d", [[0.05, -0.02, 0.004, 0.0], [0.0] * 4])
def test_images_of_a_fisheye_are_answered_with_positions(graph, view, d):
    assert ask_with_lens(graph, view, "fisheye", [], has_place=False), "the earlier calibration is still in use"
    assert ask_with_lens(graph, view, "equidistant", d, has_place=True)


def test_random_numbers_in_every_field_of_camera_info_leave_the_node_alive(graph, view):
    rng = np.random.default_rng(0)

    def whole() -> int:
        return int(2 ** rng.uniform(0, 32)) - 1

    def numbers(count: int) -> np.ndarray:
        return rng.choice([0.0, -1.0, np.nan, np.inf, 1e300, 1e-300, 100.0, *rng.normal(size=4)], count)

    for _ in range(100):
        image = image_of(view.rgb)
        image.header = Header(stamp=graph.node.get_clock().now().to_msg(), frame_id=str(rng.choice(["", "/", "a" * 1000])))
        region = RegionOfInterest(x_offset=whole(), y_offset=whole(), width=whole(), height=whole())
        info = CameraInfo(header=image.header, width=whole(), height=whole(), binning_x=whole(), binning_y=whole())
        info.distortion_model = str(rng.choice(["", "plumb_bob", "equidistant", "rational_polynomial", "\x7f"]))
        info.d = array("d", numbers(int(rng.integers(0, 20))))
        info.k, info.r, info.p = numbers(9), numbers(9), numbers(12)
        if rng.uniform() < 0.5:
            # As far as the shape of the image: then the numbers of the lens are what matters.
            info.width, info.height, region = *SIZE, RegionOfInterest()
            info.k = np.ravel(view.k) if rng.uniform() < 0.5 else info.k
        info.roi = region
        graph.camera.info.publish(info)
        graph.camera.image.publish(image)
        graph.wait_for(lambda: False, 0.02)
    assert graph.process.poll() is None
    (hand,) = hands_in(graph, view)
    assert hand.scale_source != Hand.SCALE_NONE
    assert np.all(np.isfinite(hand.joints))
