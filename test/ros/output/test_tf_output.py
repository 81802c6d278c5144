"""Wrist frames on /tf, over real DDS: the frames of the topics `wrist`, and as silent."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from graph import Graph
from std_msgs.msg import Header
from tf_messages import matrix_of

from hand_mesh_ros.core.stream.transform_buffer import TransformError
from hand_mesh_ros.core.types import HandEstimate
from hand_mesh_ros.ros import qos
from hand_mesh_ros.ros.endpoints import Endpoints
from hand_mesh_ros.ros.input import transforms
from hand_mesh_ros.ros.input.transforms import TFMessage
from hand_mesh_ros.ros.output import tf_output
from hand_mesh_ros.ros.output.tf_output import WristFrames
from hand_mesh_ros.ros.stamp import stamp_ns

PREFIX = f"bench_{os.getpid()}_"
MARKS = count()


@pytest.fixture(scope="module")
def graph() -> Iterator[Graph]:
    """A listener to /tf."""
    if TFMessage is None:
        pytest.skip("tf2_msgs is not installed")
    graph = Graph("tf_output")
    graph.collect("/tf", TFMessage, qos.TF)
    yield graph
    graph.close()


@pytest.fixture
def publish(graph: Graph, header: Header, make_hand: Callable[..., HandEstimate]) -> Iterator[Callable[..., list]]:
    """Publishes hands of one image; answers with what arrived of them on /tf."""
    endpoints = Endpoints(graph.node)
    frames = WristFrames(endpoints, PREFIX)

    def received() -> list[TransformStamped]:
        every = [transform for message in graph.received["/tf"] for transform in message.transforms]
        return [transform for transform in every if transform.child_frame_id.startswith(PREFIX)]

    def is_through(timeout_s: float) -> bool:
        """Whether a mark sent now arrives. Messages keep their order: all that was sent before has arrived then."""
        mark = f"mark_{next(MARKS)}"
        frames.publish([make_hand()], Header(stamp=header.stamp, frame_id=mark))
        return graph.wait_for(lambda: any(transform.header.frame_id == mark for transform in received()), timeout_s)

    def send(*hands: HandEstimate, under: Header = header) -> list[TransformStamped]:
        frames.publish(hands, under)
        assert is_through(30.0)
        sent = [transform for transform in received() if not transform.header.frame_id.startswith("mark_")]
        graph.received["/tf"].clear()
        return sent

    # What is sent before both sides know each other is lost.
    deadline = time.monotonic() + 30
    while not is_through(0.2):
        assert time.monotonic() < deadline
    yield send
    endpoints.destroy()


def test_each_side_is_a_frame_at_the_images_stamp_in_the_images_frame(publish, make_hand, header):
    left, right = make_hand("left", track_id="1"), make_hand("right", track_id="2", shift_m=0.1)
    found = publish(left, right)
    assert [transform.child_frame_id for transform in found] == [f"{PREFIX}left_hand", f"{PREFIX}right_hand"]
    assert all(transform.header == header for transform in found)
    for pose, hand in zip((transform.transform for transform in found), (left, right)):
        np.testing.assert_allclose(matrix_of(pose.translation, pose.rotation), hand.wrist_pose, atol=1e-9)


def test_a_listener_to_tf_finds_the_wrist_at_the_images_time(graph, publish, make_hand, header):
    endpoints = Endpoints(graph.node)
    hand, listener = make_hand("left"), transforms.listen(endpoints)
    question = (header.frame_id, f"{PREFIX}left_hand", stamp_ns(header))
    try:
        deadline = time.monotonic() + 30
        while True:  # what is sent before the listener is known is lost
            publish(hand)
            try:
                found = listener.lookup(*question)
                break
            except TransformError:
                assert time.monotonic() < deadline
        np.testing.assert_allclose(found, hand.wrist_pose, atol=1e-9)
    finally:
        endpoints.destroy()


def test_what_has_no_place_is_no_frame(publish, make_hand):
    hand = make_hand()
    nowhere = hand.wrist_pose.copy()
    nowhere[:3, 3] = np.nan
    assert publish(hand)
    assert publish() == []
    assert publish(replace(hand, scale_source="none", wrist_pose=nowhere)) == []
    assert publish(replace(hand, wrist_pose=nowhere)) == []
    assert publish(replace(hand, wrist_covariance=np.full((6, 6), np.nan))) == []


def test_an_image_without_frame_id_gives_no_frames(publish, make_hand, header):
    assert publish(make_hand(), under=Header(stamp=header.stamp)) == []


def test_without_tf2_msgs_nothing_is_published_and_diagnostics_know_why(monkeypatch, make_hand, header):
    monkeypatch.setattr(tf_output, "TFMessage", None)
    alone = Graph("no_tf")
    try:
        frames = WristFrames(Endpoints(alone.node), "")
        frames.publish([make_hand()], header)
        assert "tf2_msgs is not installed" in frames.state
        assert frames._publisher is None
    finally:
        alone.close()
