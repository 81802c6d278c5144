"""Hands in a frame of the robot's: where the camera was when it took the image, or silence with the reason."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from camera import Camera, image_of
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseWithCovarianceStamped, TransformStamped
from graph import Graph, end
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header
from tf_messages import SECOND, matrix_of, motion, stamped

from hand_mesh_ros.core.geometry.camera import project
from hand_mesh_ros.core.hand.model import FILE_NAME, HandModel
from hand_mesh_ros.core.hand.wrist_frame import wrist_rotation
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.stream.transform_buffer import Sample, TransformBuffer, TransformError
from hand_mesh_ros.msg import Hand, HandArray, HandMeshArray
from hand_mesh_ros.ros import qos
from hand_mesh_ros.ros.output import output_frame
from hand_mesh_ros.ros.output.output_frame import OutputFrame
from hand_mesh_ros.ros.stamp import stamp_ns
from hand_mesh_ros.synthetic.camera import SyntheticCamera

pytest.importorskip("tf2_msgs", reason="make setup builds it")
from tf2_msgs.msg import TFMessage

SIZE, START_S = (320, 240), 90.0
# /tf is one topic for all: names that no other test has.
BASE, ARM, CAMERA, ELSEWHERE, PREFIX = (f"{name}_{os.getpid()}" for name in ("base", "arm", "camera", "elsewhere", "user"))
ARM_FROM_CAMERA = motion((0.1, -0.2, 0.3), 2.0, np.array([0.6, 0, 0.8]))
# The arm's motion, which is even, so that what lies between samples is known [m/s, rad/s].
SPEED = np.array([0.2, 0.0, -0.1])
TURN_RATE = 0.8
MARGIN_NS = 100_000_000


@dataclass
class Robot:
    """A camera on an arm that moves, with the node at work on its images."""

    graph: Graph
    camera: Camera
    rgb: np.ndarray
    k: np.ndarray

    def __post_init__(self) -> None:
        node, self._begin_ns = self.graph.node, time.time_ns()
        self._moving = node.create_publisher(TFMessage, "/tf", qos.TF)
        self._static = node.create_publisher(TFMessage, "/tf_static", qos.TF_STATIC)
        self._static.publish(TFMessage(transforms=[stamped(ARM, CAMERA, ARM_FROM_CAMERA, 0)]))

    def base_from_arm(self, stamp_ns: int) -> np.ndarray:
        """Where the arm is at a time, (4, 4)."""
        seconds = (stamp_ns - self._begin_ns) * 1e-9
        return motion(SPEED * seconds + (0, 1, 0), TURN_RATE * seconds)

    def show(self, frame_id: str) -> Header:
        """Publishes an image; its header."""
        header = Header(stamp=self.graph.node.get_clock().now().to_msg(), frame_id=frame_id)
        self.camera.info.publish(CameraInfo(header=header, width=SIZE[0], height=SIZE[1], k=self.k.ravel()))
        image = image_of(self.rgb)
        image.header = header
        self.camera.image.publish(image)
        return header

    def tell_arm(self, header: Header) -> None:
        """Publishes where the arm was a moment before and after an image."""
        taken_ns = stamp_ns(header)
        around = (taken_ns - MARGIN_NS, taken_ns + MARGIN_NS)
        self._moving.publish(TFMessage(transforms=[stamped(BASE, ARM, self.base_from_arm(moment), moment) for moment in around]))

    def seen(self, frame_id: str = CAMERA) -> HandArray:
        """An answer with a hand whose place is known, to one of several images. The arm's pose comes after its image."""
        sent: list[Time] = []

        def answer() -> HandArray | None:
            return next((hands for hands in self.camera.hands if hands.header.stamp in sent and is_placed(hands)), None)

        def is_placed(hands: HandArray) -> bool:
            return any(hand.scale_source == Hand.SCALE_PRIOR for hand in hands.hands)

        deadline = time.monotonic() + START_S
        while not answer() and time.monotonic() < deadline:
            header = self.show(frame_id)
            self.tell_arm(header)
            sent.append(header.stamp)
            self.graph.wait_for(answer, 1.0)
        found = answer()
        assert found, [status.message for status in self.graph.statuses()[-3:]]
        return found

    def silence(self, frame_id: str) -> DiagnosticStatus:
        """Shows images without telling of the arm until diagnostics name one; none of them may be answered."""
        sent: list[Header] = []

        def reported() -> DiagnosticStatus | None:
            stamps = [f"at {header.stamp.sec}.{header.stamp.nanosec:09d}" for header in sent]
            return next((s for s in self.graph.statuses() if any(stamp in s.message for stamp in stamps)), None)

        deadline = time.monotonic() + START_S
        while reported() is None and time.monotonic() < deadline:
            sent.append(self.show(frame_id))
            self.graph.wait_for(reported, 0.3)
        status = reported()
        assert status, [s.message for s in self.graph.statuses()[-3:]]
        assert not [hands for hands in self.camera.hands if hands.header.stamp in [header.stamp for header in sent]]
        return status


@pytest.fixture(scope="module")
def robot() -> Iterator[Robot]:
    synthetic = SyntheticCamera(HandModel.load(default_models_dir() / FILE_NAME), SIZE)
    graph = Graph("output_frame")
    graph.collect("/tf", TFMessage, qos.TF)
    graph.collect("meshes", HandMeshArray)
    graph.collect("right/wrist", PoseWithCovarianceStamped)
    robot = Robot(graph, Camera(graph, SIZE), synthetic.at(0.0).rgb, synthetic.camera_matrix)
    process = graph.start("hand_mesh_node", threads=1, output_frame=BASE, tf_prefix=PREFIX, tf_wait_ms=200, max_age_ms=0)
    yield robot
    code, log = end(process, signal.SIGINT, signal.SIGINT)
    graph.close()
    assert code == 0, log
    assert "Traceback" not in log


def reprojection_px(hand: Hand, camera_from_frame: np.ndarray, k: np.ndarray) -> float:
    """What `reprojection_rmse_px` says, from the joints as they are published."""
    joints = np.reshape(hand.joints, (21, 3)).astype(float) @ camera_from_frame[:3, :3].T + camera_from_frame[:3, 3]
    offsets = project(joints, k) - np.reshape(hand.keypoints_px, (21, 2))
    return float(np.sqrt(np.mean(np.sum(offsets**2, -1))))


def test_hands_are_where_the_camera_was_when_it_took_the_image(robot):
    hands = robot.seen()
    assert hands.header.frame_id == BASE
    taken_ns = stamp_ns(hands.header)
    hand = hands.hands[0]
    then, later = (np.linalg.inv(robot.base_from_arm(moment) @ ARM_FROM_CAMERA) for moment in (taken_ns, taken_ns + 50_000_000))
    assert reprojection_px(hand, then, robot.k) == pytest.approx(hand.reprojection_rmse_px, abs=0.02)
    assert abs(reprojection_px(hand, later, robot.k) - hand.reprojection_rmse_px) > 1
    joints, wrist = np.reshape(hand.joints, (21, 3)), matrix_of(hand.wrist.pose.position, hand.wrist.pose.orientation)
    np.testing.assert_allclose(wrist[:3, 3], joints[0], atol=1e-5)
    np.testing.assert_allclose(wrist[:3, :3], wrist_rotation(joints, "right"), atol=1e-4)


def test_everything_else_is_in_the_same_frame_and_the_wrist_is_on_tf(robot):
    def together() -> tuple[HandArray, HandMeshArray, PoseWithCovarianceStamped, TransformStamped] | None:
        """What belongs to one image, newest first."""
        frames = [t for m in robot.graph.received["/tf"] for t in m.transforms if t.child_frame_id == f"{PREFIX}right_hand"]
        for hands in reversed(robot.camera.hands):
            parts = [robot.graph.received["meshes"], robot.graph.received["right/wrist"], frames]
            found = [next((message for message in part if message.header == hands.header), None) for part in parts]
            if all(found):
                return (hands, *found)
        return None

    deadline = time.monotonic() + START_S
    while not (found := robot.graph.wait_for(together, 0.5)) and time.monotonic() < deadline:
        robot.seen()
    assert found, {name: len(messages) for name, messages in robot.graph.received.items()}
    hands, meshes, wrist, frame = found
    assert frame.header.frame_id == BASE
    assert wrist.pose == hands.hands[0].wrist
    pose = matrix_of(wrist.pose.pose.position, wrist.pose.pose.orientation)
    np.testing.assert_allclose(matrix_of(frame.transform.translation, frame.transform.rotation), pose, atol=1e-12)
    vertices, joints = np.reshape(meshes.meshes[0].vertices, (-1, 3)), np.reshape(hands.hands[0].joints, (21, 3))
    assert np.linalg.norm(vertices[:, None] - joints, axis=-1).min(0).max() < 0.03


def test_an_image_in_that_frame_needs_no_transform(robot):
    hands = robot.seen(frame_id=BASE)
    assert hands.header.frame_id == BASE
    hand = hands.hands[0]
    assert reprojection_px(hand, np.eye(4), robot.k) == pytest.approx(hand.reprojection_rmse_px, abs=0.02)


def test_a_camera_that_tf_does_not_know_is_silence_and_a_warning(robot):
    status = robot.silence(ELSEWHERE)
    assert status.level == DiagnosticStatus.WARN
    assert ELSEWHERE in status.message
    assert BASE in status.message
    assert int({item.key: item.value for item in status.values}["images without transform"]) > 0


def test_where_the_camera_was_before_is_not_where_it_is_now(robot):
    robot.seen()
    time.sleep(2e-9 * MARGIN_NS)
    status = robot.silence(CAMERA)
    assert status.level == DiagnosticStatus.WARN
    assert CAMERA in status.message
    robot.seen()


@pytest.fixture
def placed(monkeypatch: pytest.MonkeyPatch) -> OutputFrame:
    """The output frame `world` with a buffer in which a camera moves from 100 s to 101 s."""
    buffer = TransformBuffer()
    monkeypatch.setattr(output_frame.transforms, "listen", lambda node: buffer)
    for second in (0, 1):
        sample = Sample("world", np.array([second, 0.0, 0.0]), np.array([0, 0, np.sqrt(0.5), np.sqrt(0.5)]))
        buffer.insert("camera", sample, (100 + second) * SECOND, False)
    return OutputFrame(None, "world", 0.0)


def header_at(seconds: float) -> Header:
    return Header(stamp=Time(sec=int(seconds), nanosec=int(seconds % 1 * 1e9)), frame_id="camera")


def test_only_the_frame_changes_in_the_header(placed: OutputFrame, make_hand: Callable):
    hand = make_hand()
    (there,), header = placed.of([hand], header_at(100.25))
    assert (header.stamp, header.frame_id) == (header_at(100.25).stamp, "world")
    quarter_turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
    np.testing.assert_allclose(there.joints_m, hand.joints_m @ quarter_turn.T + (0.25, 0, 0), atol=1e-9)
    assert placed.of([], header_at(100.5))[1].frame_id == "world"
    assert placed.missed == 0


def test_what_is_not_known_is_counted_also_after_stamps_jumped_back(placed: OutputFrame, make_hand: Callable):
    with pytest.raises(TransformError, match=r"from camera to output_frame world at 101\.500000000: camera is known only until"):
        placed.of([make_hand()], header_at(101.5))
    placed.of([make_hand()], header_at(100.5))
    placed.clear()
    with pytest.raises(TransformError, match="camera"):
        placed.of([make_hand()], header_at(100.5))
    assert placed.missed == 2
