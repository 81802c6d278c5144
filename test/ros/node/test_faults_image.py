"""Images whose encoding, colours or brightness is not what it should be: decoded, or named with what to do."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from camera import SIZE, image_of, node_with_camera
from diagnostic_msgs.msg import DiagnosticStatus
from graph import Graph
from sensor_msgs.msg import Image

from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.synthetic import appearance
from hand_mesh_ros.synthetic.camera import SyntheticCamera


@pytest.fixture(scope="module")
def view(model: HandModel) -> SimpleNamespace:
    """A rendered hand and the camera that saw it."""
    camera = SyntheticCamera(model, SIZE)
    # At this moment the hand is found by its colours only.
    rgb = camera.at(0.3).rgb
    return SimpleNamespace(rgb=rgb, grey=cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), k=camera.camera_matrix)


@pytest.fixture(scope="module")
def graph(view: SimpleNamespace) -> Iterator[Graph]:
    """A node that gets images of all kinds."""
    graph = Graph("faults_image")
    with node_with_camera(graph, view, max_age_ms=0.0) as connected:
        yield connected


def begin(graph: Graph, view: SimpleNamespace) -> None:
    """Waits until the node works without a warning, with a hand in view, and then without a hand in view."""
    seen = len(graph.statuses())

    def works() -> bool:
        answer = graph.camera.ask(image_of(view.rgb), view.k)
        graph.wait_for(lambda: False, 0.1)
        newest = graph.statuses()[seen:][-1:]
        return bool(answer and answer.hands and newest) and newest[0].message == "working"

    assert graph.wait_for(works, 15.0), graph.statuses()[-1:]


def answers(
    graph: Graph,
    view: SimpleNamespace,
    image: Image,
    seconds: float,
    is_done: Callable[[list[bool], set[str]], bool] = lambda found, messages: False,
) -> tuple[list[bool], set[str]]:
    """Sends an image for so long, or until the answers suffice.

    Returns whether each answer has a seen hand, and the messages of the diagnostics, except the first: it may be about the time
    before.
    """
    seen, answered = len(graph.statuses()), len(graph.camera.hands)

    def received() -> tuple[list[bool], set[str]]:
        found = [any(hand.state != hand.STATE_PREDICTED for hand in hands.hands) for hands in graph.camera.hands[answered:]]
        return found, {status.message for status in graph.statuses()[seen + 1 :]}

    for _ in range(round(10 * seconds)):
        if is_done(*received()):
            break
        graph.camera.send(image, view.k)
        graph.wait_for(lambda: False, 0.1)
    return received()


def names(text: str) -> Callable[[list[bool], set[str]], bool]:
    """Whether the diagnostics hold a text."""
    return lambda _, messages: any(text in message for message in messages)


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_mono16_that_uses_its_low_bits_shows_the_hand(graph, view, bits):
    begin(graph, view)
    graph.camera.ask(image_of(np.zeros_like(view.rgb)), view.k)
    graph.wait_for(lambda: False, 0.5)
    deep = (view.grey.astype(np.uint16) << 8) >> (16 - bits)
    found, messages = answers(graph, view, image_of(deep, "mono16"), 2.5)
    # The followed stream may still have the brightness of another one in its first images.
    assert np.mean(found[-10:]) > 0.9
    assert messages == {"working"}


@pytest.mark.parametrize(
    ("pixels", "encoding", "text"),
    [
        (lambda view: view.rgb // 64, "rgb8", "nearly black"),
        (lambda view: np.zeros_like(view.grey), "mono8", "nearly black"),
        (lambda view: np.random.default_rng(0).normal(200, 30, view.grey.shape).astype(np.uint16), "mono16", "nearly black"),
        (lambda view: 255 - view.rgb // 64, "rgb8", "nearly white"),
        (lambda view: np.full_like(view.rgb, (0, 136, 0)), "rgb8", "of one colour only"),
    ],
)
def test_images_that_show_nothing_are_named_within_seconds(graph, view, pixels, encoding, text):
    begin(graph, view)
    expected = f"{graph.namespace}/image is {text}"
    found, messages = answers(graph, view, image_of(pixels(view), encoding), 3.0, names(expected))
    assert not any(found[5:])
    assert any(expected in message for message in messages)
    assert graph.statuses()[-1].level == DiagnosticStatus.WARN


def semi_planar(rgb: np.ndarray, encoding: str) -> Image:
    """The picture as the camera of a phone sends it."""
    height, width = rgb.shape[:2]
    planes = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)
    u, v = planes[height:].reshape(2, -1)
    colours = np.stack([u, v] if encoding == "nv12" else [v, u], -1).reshape(height // 2, width)
    image = image_of(np.concatenate([planes[:height], colours]), encoding)
    image.height = height
    return image


@pytest.mark.parametrize("encoding", ["nv12", "nv21"])
def test_semi_planar_images_show_the_hand_and_a_wrong_height_is_named(graph, view, encoding):
    begin(graph, view)
    found, messages = answers(graph, view, semi_planar(view.rgb, encoding), 2.5)
    assert all(found)
    assert messages == {"working"}
    wrong = semi_planar(view.rgb, encoding)
    wrong.height = SIZE[1] * 3 // 2
    _, messages = answers(graph, view, wrong, 3.0, names(f"set height to {SIZE[1]}"))
    assert any(f"{graph.namespace}/image refused: {encoding} image contains" in message for message in messages)
    assert any(f"set height to {SIZE[1]}" in message for message in messages)


def packed(rgb: np.ndarray, encoding: str) -> Image:
    """The picture as UYVY or YUYV, with a colour for every two pixels."""
    luma, u, v = cv2.split(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV))
    colours = u.copy()
    colours[:, 1::2] = v[:, 0::2]
    return image_of(np.stack([colours, luma] if encoding == "uyvy" else [luma, colours], -1), encoding)


def mosaic(rgb: np.ndarray) -> np.ndarray:
    """The picture behind the colour filter of bayer_rggb8."""
    raw = rgb[..., 1].copy()
    raw[0::2, 0::2], raw[1::2, 1::2] = rgb[0::2, 0::2, 0], rgb[1::2, 1::2, 2]
    return raw


# What the bytes are, what the driver states, and how to read them.
MISTAKEN = {
    "rgb as bgr8": (lambda view: image_of(view.rgb), "bgr8", "rgb8"),
    "bgr as rgb8": (lambda view: image_of(view.rgb[..., ::-1]), "rgb8", "bgr8"),
    "rgb as 8UC3": (lambda view: image_of(view.rgb), "8UC3", "rgb8"),
    "UYVY as yuyv": (lambda view: packed(view.rgb, "uyvy"), "yuyv", "uyvy"),
    "YUYV as yuv422": (lambda view: packed(view.rgb, "yuyv"), "yuv422", "yuv422_yuy2"),
    "NV12 as nv21": (lambda view: semi_planar(view.rgb, "nv12"), "nv21", "nv12"),
    "RGGB as bayer_bggr8": (lambda view: image_of(mosaic(view.rgb)), "bayer_bggr8", "bayer_rggb8"),
    "other byte order": (
        lambda view: image_of(((view.grey.astype(np.uint16) << 6) + 17).byteswap()),
        "mono16",
        "mono16 with is_bigendian 1",
    ),
}


@pytest.mark.parametrize("name", MISTAKEN)
def test_a_wrong_encoding_is_named_with_the_right_one_after_seconds_without_a_hand(graph, view, name):
    make, stated, right = MISTAKEN[name]
    begin(graph, view)
    # A hand that is followed is found with wrong colours too.
    noise = np.random.default_rng(0).integers(0, 256, view.rgb.shape).astype(np.uint8)
    answers(graph, view, image_of(noise), 2.0, lambda found, _: len(found) >= 3 and not any(found[-3:]))
    image = make(view)
    image.encoding = stated
    expected = f"image shows a hand only if its encoding '{stated}' is read as '{right}'"
    found, messages = answers(graph, view, image, 5.0, names(expected))
    assert not any(found[5:])
    assert any(expected in message for message in messages)
    assert graph.statuses()[-1].level == DiagnosticStatus.WARN


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "yuyv"])
def test_a_room_without_a_hand_raises_no_warning_of_the_encoding(graph, view, encoding):
    begin(graph, view)
    room = appearance.room(SIZE, np.random.default_rng(5))
    noise = np.random.default_rng(6).normal(0, 3, room.shape)
    rgb = np.clip(room + noise, 0, 255).astype(np.uint8)
    image = packed(rgb, "yuyv") if encoding == "yuyv" else image_of(rgb, encoding)
    # A hand would be named after 3 s.
    found, messages = answers(graph, view, image, 4.5)
    assert not any(found[5:])
    assert messages == {"working"}
