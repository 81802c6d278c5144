"""The scripts in examples/ as a user runs them: processes that listen to exact hands over DDS."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from geometry_msgs.msg import Vector3Stamped
from graph import Graph
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64, Header

from hand_mesh_ros.core.geometry.rotations import rotation_about
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.robot.operator_frame import operator_joints
from hand_mesh_ros.core.types import HandEstimate
from hand_mesh_ros.ros.endpoints import Endpoints
from hand_mesh_ros.ros.output.hand_shapes import HandShapes
from hand_mesh_ros.ros.output.robot_outputs import RobotOutputs, load_joint_limits

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
OPEN = np.zeros((5, 4))
FIST = np.deg2rad([[10, 20, 30, 30], *[[0, 75, 80, 50]] * 4])


class Stage:
    """The topics for robots with one example that listens to them."""

    def __init__(self, graph: Graph, model: HandModel) -> None:
        self._endpoints = Endpoints(graph.node)
        self.graph, self._outputs = graph, RobotOutputs(self._endpoints, model, load_joint_limits())
        self._processes: list[subprocess.Popen] = []
        self._model = model

    def start(self, name: str, *arguments: str) -> subprocess.Popen:
        command = [sys.executable, str(EXAMPLES / f"{name}.py"), "--ros-args", "-r", f"__ns:={self.graph.namespace}", *arguments]
        self._processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return self._processes[-1]

    def show(self, hand: HandEstimate, answers: str, stamp_s: float = 1.0) -> object:
        """Publishes a hand under new stamps until the topic `answers` has a message about it; that message."""
        self.graph.received[answers].clear()
        for _ in range(300):
            header = Header(frame_id="camera")
            header.stamp.sec, header.stamp.nanosec = divmod(round(1e9 * stamp_s), 1_000_000_000)
            self._outputs.publish([hand], header)
            if self.graph.wait_for(lambda: self.graph.received[answers], 0.1):
                return self.graph.received[answers][-1]
        return pytest.fail(f"no answer on {answers}: {[process.poll() for process in self._processes]}")

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()
        self._endpoints.destroy()


@pytest.fixture
def stage(model: HandModel) -> Iterator[Stage]:
    graph = Graph("examples")
    stage = Stage(graph, model)
    yield stage
    stage.close()
    graph.close()


def test_a_gripper_opens_and_closes_with_the_pinch_and_ignores_what_is_uncertain(stage, make_hand):
    stage.graph.collect("right/gripper_opening", Float64)
    stage.start("pinch")
    wide = stage.show(make_hand(angles=OPEN), "right/gripper_opening").data
    closed = stage.show(make_hand(angles=np.deg2rad([[30, 15, 25, 30], *[[0, 55, 45, 30]] * 4])), "right/gripper_opening").data
    assert wide > 0.6
    assert closed < wide - 0.2
    doubtful = make_hand(angles=OPEN, articulation_covariance_m2=np.tile(0.01 * np.eye(3), (21, 1, 1)))
    assert stage.show(doubtful, "right/gripper_opening").data == closed


def test_a_gripper_holds_its_opening_until_another_hand_has_reached_it(stage, make_hand):
    stage.graph.collect("right/gripper_opening", Float64)
    stage.start("pinch")
    wide, closed = OPEN, np.deg2rad([[30, 15, 25, 30], *[[0, 55, 45, 30]] * 4])

    def opening(angles: np.ndarray, track_id: str, stamp_s: float) -> float:
        hand = make_hand(angles=angles, track_id=track_id)
        return stage.show(hand, "right/gripper_opening", stamp_s).data

    held = opening(closed, "1", 1.0)
    assert opening(wide, "2", 1.1) == held, "the gripper jumps to another hand"
    assert opening(closed, "2", 1.2) == pytest.approx(held, abs=0.05)
    assert opening(wide, "2", 1.3) > held + 0.2
    # The same hand after a silence.
    held = opening(wide, "2", 1.4)
    assert opening(closed, "2", 5.0) == held
    opening(wide, "2", 5.1)
    assert opening(closed, "2", 5.2) < held - 0.2


def test_an_arm_follows_the_wrist_and_does_not_jump_when_the_hand_comes_back_elsewhere(stage, make_hand):
    stage.graph.collect("left/arm_shift", Vector3Stamped)
    stage.start("follow_wrist", "-p", "side:=left", "-p", "gain:=2.0")

    def shift(moved_m: tuple, stamp_s: float) -> list[float]:
        vector = stage.show(make_hand("left", shift_m=moved_m), "left/arm_shift", stamp_s).vector
        return [vector.x, vector.y, vector.z]

    assert shift((0, 0, 0), 1.0) == pytest.approx([0, 0, 0])
    assert shift((0.1, 0, -0.05), 1.1) == pytest.approx([0.2, 0, -0.1])
    assert shift((-0.3, 0.2, 0.4), 5.0) == pytest.approx([0.2, 0, -0.1])
    assert shift((-0.3, 0.3, 0.4), 5.1) == pytest.approx([0.2, 0.2, -0.1])


@pytest.mark.parametrize("where", ["inside", "outside", "gone"])
def test_the_distance_to_a_hand_is_printed(stage, make_hand, model, where):
    endpoints = Endpoints(stage.graph.node)
    shapes = HandShapes(endpoints, model)
    hand = make_hand()
    point = hand.joints_m[9] if where == "inside" else hand.joints_m[9] + (0, 0, 1.0)
    remap = ("-r", "hand_mesh_node/get_hand_shape:=test/get_hand_shape")
    process = stage.start("keep_away", *remap, "-p", f"point:={[float(value) for value in point]}")

    def has_ended() -> bool:
        shapes.update([] if where == "gone" else [hand], Header())
        return process.poll() is not None

    assert stage.graph.wait_for(has_ended, 20.0)
    printed, error = process.communicate()
    endpoints.destroy()
    if where == "gone":
        assert process.returncode == 1
        assert "no hand of side" in error
    else:
        nearest = np.linalg.norm(hand.vertices_m - point, axis=-1).min()
        assert float(printed) < 0 if where == "inside" else nearest - 0.06 < float(printed) < nearest


@pytest.fixture
def robot_hand(monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.syspath_prepend(EXAMPLES)
    return pytest.importorskip("robot_hand")


def tips_of(robot_hand: object, side: str, positions: dict[str, float]) -> np.ndarray:
    """(4, 3) fingertips of the robot in its palm, for angles by joint."""
    frames, tips = {"palm": np.eye(4)}, []
    for name, parent, offset, axis, _ in robot_hand.joints(side):
        frame = np.eye(4)
        frame[:3, 3] = offset
        if axis:
            frame[:3, :3] = rotation_about(np.array(axis) / np.linalg.norm(axis), np.array(positions[name]))
        placed = frames[parent] @ frame
        frames[f"{name}_link"] = placed
        if not axis:
            tips.append(placed[:3, 3])
    return np.array(tips)


def test_the_robot_hand_is_a_tree_and_its_sides_mirror_each_other(robot_hand):
    positions = dict.fromkeys((name for name, *_, axis, _ in robot_hand.joints("right") if axis), 0.4)
    assert len(positions) == 12
    right, left = (tips_of(robot_hand, side, positions) for side in ("right", "left"))
    np.testing.assert_allclose(left, right * (1, -1, 1), atol=1e-12)
    for side in ("right", "left"):
        tree = ElementTree.fromstring(robot_hand.urdf(side))
        links = {link.get("name") for link in tree.findall("link")}
        children = [joint.find("child").get("link") for joint in tree.findall("joint")]
        assert links - set(children) == {"palm"}
        assert len(children) == len(set(children)) == 16
        assert {joint.find("parent").get("link") for joint in tree.findall("joint")} <= links


@pytest.mark.parametrize("side", ["left", "right"])
def test_dex_retargeting_moves_a_robot_hand_like_ours(stage, make_hand, robot_hand, side):
    for needed in ("dex_retargeting", "torch", "pinocchio", "six"):
        pytest.importorskip(needed, reason="pip install dex-retargeting six torch")
    stage.graph.collect(f"{side}/robot_joint_states", JointState)
    stage.start("retarget", "-p", f"side:={side}")
    found = {}
    for name, angles in (("open", OPEN), ("fist", FIST)):
        hand = make_hand(side, angles)
        for _ in range(15):
            state = stage.show(hand, f"{side}/robot_joint_states")
        found[name] = dict(zip(state.name, state.position))
        wanted = operator_joints(hand.joints_m, side)[[4, 8, 12, 16]]
        errors_mm = 1e3 * np.linalg.norm(tips_of(robot_hand, side, found[name]) - wanted, axis=-1)
        print(f"{side} {name}: fingertips off by {np.round(errors_mm, 1)} mm")
        assert errors_mm.max() < 10
    for finger in ("index", "middle", "ring"):
        assert found["fist"][f"{finger}_proximal"] > found["open"][f"{finger}_proximal"] + 0.8
        assert found["fist"][f"{finger}_distal"] > 1.2


def test_a_robot_hand_moves_slowly_to_the_pose_of_another_hand(stage, make_hand, robot_hand):
    for needed in ("dex_retargeting", "torch", "pinocchio", "six"):
        pytest.importorskip(needed, reason="pip install dex-retargeting six torch")
    stage.graph.collect("right/robot_joint_states", JointState)
    stage.start("retarget")

    def flexion(angles: np.ndarray, stamp_s: float) -> float:
        """The optimiser needs several messages to settle."""
        for _ in range(15):
            state = stage.show(make_hand(angles=angles), "right/robot_joint_states", stamp_s)
        return dict(zip(state.name, state.position))["index_distal"]

    held = flexion(OPEN, 1.0)
    # After a silence the hand is a fist.
    assert flexion(FIST, 5.0) == pytest.approx(held, abs=0.01)
    half = [flexion(FIST, 5.0 + moment) for moment in (0.2, 0.4, 0.6, 0.8)]
    fist = flexion(FIST, 6.1)
    assert np.all(np.diff([held, *half, fist]) > 0.1)
    assert fist > held + 1.0
    assert flexion(OPEN, 6.2) == pytest.approx(held, abs=0.05)
