"""What robots get, over real DDS: exact hands in, the right numbers out, and silence wherever a robot must not move."""

import itertools
import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from geometry_msgs.msg import PoseArray, PoseWithCovarianceStamped
from graph import Graph
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Header

from hand_mesh_ros.core.hand.joint_angles import ANGLE_NAMES
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.robot.choose import RobotHands
from hand_mesh_ros.core.robot.grasp import grasp_cues
from hand_mesh_ros.core.robot.operator_frame import operator_joints
from hand_mesh_ros.core.types import HandEstimate
from hand_mesh_ros.msg import GraspCues, Hand, HandArray
from hand_mesh_ros.ros import package_files
from hand_mesh_ros.ros.endpoints import Endpoints
from hand_mesh_ros.ros.output import robot_outputs
from hand_mesh_ros.ros.output.robot_outputs import TOPICS, RobotOutputs, load_joint_limits
from hand_mesh_ros.synthetic.camera import SyntheticCamera

ANGLES = np.deg2rad([[20, 15, 10, 25], [6, 30, 60, 40], [2, 35, 65, 45], [-4, 40, 70, 50], [-8, 45, 75, 50]])
SILENCE_S = 0.5
KINDS = {"wrist": PoseWithCovarianceStamped, "joints_operator": PoseArray, "joint_states": JointState, "grasp": GraspCues}


@pytest.fixture(scope="module")
def graph() -> Iterator[Graph]:
    """A listener to all topics for robots."""
    graph = Graph("robot_outputs")
    for side in ("left", "right"):
        for name, kind in KINDS.items():
            graph.collect(f"{side}/{name}", kind)
    yield graph
    graph.close()


@pytest.fixture
def publish(graph: Graph, model: HandModel, header: Header) -> Iterator[Callable[..., dict[str, list]]]:
    """Publishes the hands of one image after another; answers what has arrived since then, by topic."""
    endpoints = Endpoints(graph.node)
    hands, outputs = RobotHands(SILENCE_S), RobotOutputs(endpoints, model, load_joint_limits())
    publishers = outputs._publishers.values()
    assert graph.wait_for(lambda: all(publisher.get_subscription_count() for publisher in publishers))

    stamps = itertools.count(1.0)

    def send(*estimates: HandEstimate, stamp_s: float | None = None) -> dict[str, list]:
        for messages in graph.received.values():
            messages.clear()
        outputs.publish(hands.choose(estimates, next(stamps) if stamp_s is None else stamp_s), header)
        graph.wait_for(lambda: False, 0.15)
        return {topic: list(messages) for topic, messages in graph.received.items() if messages and topic != "/diagnostics"}

    yield send
    endpoints.destroy()


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_seen_hand_is_on_the_topics_of_its_side_with_stamp_frame_and_the_right_numbers(publish, make_hand, header, side):
    hand = make_hand(side, ANGLES)
    received = publish(hand)
    assert set(received) == {f"{side}/{name}" for name in TOPICS}
    wrist, joints, angles, cues = (received[f"{side}/{name}"][0] for name in TOPICS)
    assert wrist.header == angles.header == cues.header == header
    assert (joints.header.stamp, joints.header.frame_id) == (header.stamp, f"{side}_operator")
    position = wrist.pose.pose.position
    np.testing.assert_allclose([position.x, position.y, position.z], hand.joints_m[0])
    np.testing.assert_allclose(np.reshape(wrist.pose.covariance, (6, 6)), hand.wrist_covariance)
    found = np.array([[p.position.x, p.position.y, p.position.z] for p in joints.poses])
    np.testing.assert_allclose(found, operator_joints(hand.joints_m, side))
    assert all(p.orientation.w == 1 for p in joints.poses)
    assert list(angles.name) == [f"{side}_{name}" for name in ANGLE_NAMES]
    np.testing.assert_allclose(np.reshape(angles.position, (5, 4)), ANGLES, atol=1e-6)
    expected = grasp_cues(hand)
    assert (cues.id, cues.side, cues.state) == ("5", Hand.SIDE_LEFT if side == "left" else Hand.SIDE_RIGHT, Hand.STATE_TRACKED)
    assert cues.aperture == pytest.approx(expected.aperture_m)
    assert cues.aperture_std == pytest.approx(expected.aperture_std_m)
    assert [cues.pinch_point.x, cues.pinch_point.y, cues.pinch_point.z] == pytest.approx(expected.pinch_point_m)
    np.testing.assert_allclose(cues.palm_centre_covariance[[0, 3, 5]], np.diag(expected.palm_centre_covariance_m2), rtol=1e-6)
    assert [cues.palm_normal.x, cues.palm_normal.y, cues.palm_normal.z] == pytest.approx(hand.wrist_pose[:3, 0])


def test_both_sides_at_once(publish, make_hand):
    received = publish(make_hand("left", track_id="1"), make_hand("right", track_id="2"))
    assert set(received) == {f"{side}/{name}" for side in ("left", "right") for name in TOPICS}


@pytest.mark.parametrize("state", ["predicted", "lost"])
def test_a_hand_that_is_not_seen_is_silence(publish, make_hand, state):
    assert publish(make_hand(state="new"))
    assert publish(make_hand(state=state)) == {}
    assert publish() == {}


def test_a_hand_without_a_place_moves_fingers_but_no_arm(publish, make_hand):
    hand = make_hand(angles=ANGLES, scale_source="none")
    nowhere = hand.wrist_pose.copy()
    nowhere[:3, 3] = np.nan
    received = publish(replace(hand, wrist_pose=nowhere, joints_m=hand.joints_m - hand.joints_m[0]))
    assert set(received) == {"right/joints_operator", "right/joint_states"}
    np.testing.assert_allclose(np.reshape(received["right/joint_states"][0].position, (5, 4)), ANGLES, atol=1e-6)


def test_numbers_that_are_not_finite_never_leave(publish, make_hand):
    hand = make_hand()
    broken = hand.joints_m.copy()
    broken[7, 1] = np.nan
    assert publish(replace(hand, joints_m=broken)) == {}
    unknown = np.full((6, 6), np.nan)
    assert set(publish(replace(hand, wrist_covariance=unknown))) == {"right/joints_operator", "right/joint_states"}


def test_of_several_hands_of_one_side_one_is_followed_until_it_is_lost(publish, make_hand):
    def ids(stamp_s: float, *hands: HandEstimate) -> list[str]:
        return [message.id for message in publish(*hands, stamp_s=stamp_s).get("right/grasp", [])]

    first, second = make_hand(track_id="1"), make_hand(track_id="2")
    assert ids(1.0, first, second) == ["1"]
    assert ids(1.1, second, first) == ["1"]
    assert ids(1.2, replace(first, state="predicted"), second) == [], "another hand must not jump in"
    assert ids(1.3, second, first) == ["1"]
    assert ids(1.4, second) == [], "nobody can tell the second hand from the first one"
    assert ids(1.9, second) == ["2"]
    assert ids(2.0, first, second) == ["2"]


def test_angles_never_leave_their_limits(publish, make_hand):
    beyond = ANGLES.copy()
    beyond[1, 1:] = np.deg2rad([110, 125, 100])
    published = np.reshape(publish(make_hand(angles=beyond))["right/joint_states"][0].position, (5, 4))
    np.testing.assert_allclose(np.rad2deg(published[1, 1:]), [95, 112, 85])


def test_nothing_is_computed_while_nobody_listens(model, make_hand, header, monkeypatch):
    alone = Graph("nobody")
    endpoints = Endpoints(alone.node)
    outputs = RobotOutputs(endpoints, model, load_joint_limits())
    try:
        for name in ("to_wrist", "to_operator_joints", "to_joint_state", "to_grasp_cues"):
            monkeypatch.setattr(robot_outputs, name, lambda *_: pytest.fail("computed for nobody"))
        outputs.publish([make_hand()], header)
    finally:
        endpoints.destroy()
        alone.close()


def test_the_node_itself_feeds_robots_with_the_images_stamp_and_frame(model):
    graph = Graph("robot_process")
    camera = SyntheticCamera(model, (320, 240))
    pixels = camera.at(0.0).rgb
    image = Image(height=240, width=320, encoding="rgb8", step=960, data=array("B", pixels.tobytes()))
    to_image = graph.node.create_publisher(Image, "image", qos_profile_sensor_data)
    to_info = graph.node.create_publisher(CameraInfo, "camera_info", qos_profile_sensor_data)

    def shown(k: np.ndarray, is_enough: Callable[[], object]) -> dict[str, list]:
        """Shows the hand to a camera of matrix k until there is enough; what has arrived by then."""
        for messages in graph.received.values():
            messages.clear()
        deadline = time.monotonic() + 40
        while not is_enough() and time.monotonic() < deadline:
            image.header = Header(stamp=graph.node.get_clock().now().to_msg(), frame_id="optical")
            to_info.publish(CameraInfo(header=image.header, width=320, height=240, k=k.ravel()))
            graph.wait_for(lambda: False, 0.05)
            to_image.publish(image)
            graph.wait_for(lambda: False, 0.15)
        return {name: list(graph.received[f"right/{name}"]) for name in TOPICS}

    try:
        graph.collect("hands", HandArray)
        for side in ("left", "right"):
            for name, kind in KINDS.items():
                graph.collect(f"{side}/{name}", kind)
        graph.start("hand_mesh_node", threads=1)
        assert graph.wait_for(to_image.get_subscription_count, 40.0)
        seen = shown(camera.camera_matrix, lambda: all(graph.received[f"right/{name}"] for name in TOPICS))
        assert all(seen.values())
        headers = [hands.header for hands in graph.received["hands"]]
        for name in ("wrist", "joint_states", "grasp"):
            assert all(message.header in headers and message.header.frame_id == "optical" for message in seen[name])
        assert all(message.header.stamp in [header.stamp for header in headers] for message in seen["joints_operator"])
        # The last images with the true K may still be under way.
        shown(np.zeros((3, 3)), lambda: len(graph.received["right/joint_states"]) >= 3)
        seen = shown(np.zeros((3, 3)), lambda: len(graph.received["right/joint_states"]) >= 3)
        assert {name for name, messages in seen.items() if messages} == {"joints_operator", "joint_states"}
        assert not any(graph.received[f"left/{name}"] for name in TOPICS)
    finally:
        graph.close()


def test_joint_limits_that_are_missing_or_damaged_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(package_files, "find", lambda _: None)
    with pytest.raises(FileNotFoundError, match=r"joint_limits\.yaml"):
        load_joint_limits()
    damaged = tmp_path / "joint_limits.yaml"
    monkeypatch.setattr(package_files, "find", lambda _: damaged)
    for content in ("", "[1, 2]", "index_mcp_flexion: [0, 90]", "{{", "index_mcp_flexion: ["):
        damaged.write_text(content)
        with pytest.raises(ValueError, match=str(damaged)):
            load_joint_limits()
