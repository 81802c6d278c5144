"""The camera node in a process of its own: a video's pictures, the synthetic hand with its truth, rate and lock-step."""

import signal
import subprocess
from collections.abc import Callable
from itertools import groupby, pairwise
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from graph import Graph, end
from rclpy.duration import Duration
from sensor_msgs.msg import CameraInfo, Image

from hand_mesh_ros.core.geometry.camera import project
from hand_mesh_ros.msg import HandArray
from hand_mesh_ros.ros import qos
from hand_mesh_ros.ros.input.convert_image import decode_depth, decode_rgb
from hand_mesh_ros.ros.tools.camera_node import CameraConfig, CameraNode

START_S = 20.0
N_FRAMES = 12


@pytest.fixture
def graph(make_graph: Callable[[str], Graph]) -> Graph:
    return make_graph("camera")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video whose images can be told apart: image n is grey with a level of 20 n."""
    path = tmp_path_factory.mktemp("video") / "levels.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25.0, (160, 120))
    for number in range(N_FRAMES):
        writer.write(np.full((120, 160, 3), 20 * number, np.uint8))
    writer.release()
    return path


def levels(images: list[Image]) -> list[int]:
    return [round(decode_rgb(image).mean() / 20) for image in images]


def distinct(numbers: list[int]) -> list[int]:
    """Without repetitions: until the first answer the first image is sent again."""
    return [number for number, _ in groupby(numbers)]


def finish(process: subprocess.Popen, graph: Graph, timeout_s: float = START_S) -> tuple[int, str]:
    """Exit code and log of a process that ends by itself."""
    assert graph.wait_for(lambda: process.poll() is not None, timeout_s), "the node does not end"
    return process.returncode, process.stderr.read()


def test_video_in_lock_step_sends_every_image_once_after_each_answer(graph: Graph, video: Path) -> None:
    graph.collect("camera_info", CameraInfo)
    answers = graph.node.create_publisher(HandArray, "hands", qos.RESULT)
    images: list[Image] = []
    unanswered = []

    def answer(image: Image) -> None:
        unanswered.append(len(images))
        images.append(image)
        answers.publish(HandArray(header=image.header))

    graph.node.create_subscription(Image, "image", answer, qos.RESULT)
    process = graph.start("camera_node", source=video, lock_step=True, frame_id="some_optical_frame")
    exit_code, log = finish(process, graph)
    assert exit_code == 0, log
    assert distinct(levels(images)) == list(range(N_FRAMES))
    assert f"{N_FRAMES} answered, 0 not" in log
    assert {image.header.frame_id for image in images} == {"some_optical_frame"}
    info = graph.received["camera_info"][-1]
    assert (info.width, info.height, info.header.frame_id) == (160, 120, "some_optical_frame")
    # 60 degrees across 160 px, as the parameter's default says.
    np.testing.assert_allclose(info.k, [138.564, 0, 79.5, 0, 138.564, 59.5, 0, 0, 1], atol=1e-3)


def test_lock_step_reports_an_answer_that_does_not_come_and_goes_on(graph: Graph, video: Path) -> None:
    answers = graph.node.create_publisher(HandArray, "hands", qos.RESULT)
    images: list[Image] = []

    def answer(image: Image) -> None:
        images.append(image)
        if levels([image]) != [4]:
            answers.publish(HandArray(header=image.header))

    graph.node.create_subscription(Image, "image", answer, qos.RESULT)
    process = graph.start("camera_node", source=video, lock_step=True, answer_timeout_s=0.3)
    exit_code, log = finish(process, graph)
    assert exit_code == 0, log
    assert distinct(levels(images)) == list(range(N_FRAMES))
    assert f"{N_FRAMES - 1} answered, 1 not within 0.3 s" in log
    assert "image 5 was not answered within 0.3 s" in log


def test_video_at_a_rate_ends_or_loops(graph: Graph, video: Path) -> None:
    graph.collect("image", Image)
    process = graph.start("camera_node", source=video, rate_hz=40.0, loop=True, width=80)
    assert graph.wait_for(lambda: len(graph.received["image"]) > 2 * N_FRAMES, START_S)
    assert end(process, signal.SIGINT)[0] == 0
    images = graph.received["image"]
    assert (images[0].width, images[0].height, images[0].step) == (80, 60, 240)
    stamps_s = [image.header.stamp.sec + 1e-9 * image.header.stamp.nanosec for image in images]
    assert np.median(np.diff(stamps_s)) == pytest.approx(1 / 40.0, rel=0.3)
    found = levels(images)
    assert all((after - before) % N_FRAMES <= 3 for before, after in pairwise(found))
    exit_code, log = finish(graph.start("camera_node", source=video, rate_hz=100.0), graph)
    assert exit_code == 0, log


def test_synthetic_camera_sends_its_truth(graph: Graph) -> None:
    for topic, kind in (("image", Image), ("depth", Image), ("camera_info", CameraInfo), ("ground_truth", HandArray)):
        graph.collect(topic, kind)
    process = graph.start("camera_node", source="synthetic", width=320, height=240, side="left", depth=True, rate_hz=10.0)
    assert graph.wait_for(lambda: min(map(len, (graph.received[t] for t in ("depth", "ground_truth")))) > 3, START_S)
    exit_code, log = end(process, signal.SIGTERM)
    assert exit_code == 0, log
    of_stamp = {str(image.header.stamp): image for image in graph.received["image"]}
    truth = next(message for message in graph.received["ground_truth"] if str(message.header.stamp) in of_stamp)
    stamp = str(truth.header.stamp)
    depth = next(message for message in graph.received["depth"] if str(message.header.stamp) == stamp)
    hand = truth.hands[0]
    assert hand.side == hand.SIDE_LEFT
    joints_m = np.asarray(hand.joints).reshape(21, 3)
    keypoints_px = np.asarray(hand.keypoints_px).reshape(21, 2)
    matrix = np.asarray(graph.received["camera_info"][-1].k).reshape(3, 3)
    np.testing.assert_allclose(project(joints_m, matrix), keypoints_px, atol=1e-2)
    assert decode_rgb(of_stamp[stamp]).shape == (240, 320, 3)
    u, v = np.round(keypoints_px[9]).astype(int)
    # The middle knuckle lies at most a finger's thickness under the skin that the depth image shows, or is hidden by a finger.
    assert -0.005 < joints_m[9, 2] - decode_depth(depth)[v, u] < 0.12


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"source": "/there/is/no.mp4"}, "'/there/is/no.mp4' is not a file"),
        ({"source": Path(__file__)}, "damaged, or OpenCV cannot decode its format"),
        ({"source": '"97"'}, "webcam 97 cannot be opened"),
        ({"stamps": "never"}, "allowed are now, source"),
    ],
)
def test_what_cannot_be_opened_is_a_clear_line_and_exit_code_1(graph: Graph, parameters: dict[str, object], reason: str) -> None:
    exit_code, log = finish(graph.start("camera_node", **parameters), graph)
    assert exit_code == 1
    assert reason in log
    assert "Traceback" not in log


def test_a_truncated_video_is_an_error(graph: Graph, video: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    content = video.read_bytes()
    broken.write_bytes(content[: len(content) // 3])
    exit_code, log = finish(graph.start("camera_node", source=broken, rate_hz=100.0), graph)
    assert exit_code == 1
    assert "broken.mp4" in log
    assert "Traceback" not in log


def test_a_subscriber_that_never_acknowledges_does_not_keep_the_camera_alive() -> None:
    patience: list[float] = []

    def never(timeout: Duration = Duration(nanoseconds=-1)) -> bool:  # noqa: B008
        patience.append(timeout.nanoseconds)
        return False

    logger = SimpleNamespace(info=str, error=str, warning=str)
    camera = SimpleNamespace(
        _config=CameraConfig(),
        _name="video",
        _sent=3,
        _started_s=0.0,
        _image=SimpleNamespace(wait_for_all_acked=never),
        get_logger=lambda: logger,
        context=SimpleNamespace(try_shutdown=lambda: patience.append(0)),
    )
    CameraNode._end(camera, 0, "end of 'video'")
    assert len(patience) == 2
    assert 0 < patience[0] < 10e9, "a negative time is for ever"
