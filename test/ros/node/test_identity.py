"""One stream with several hands or several cameras: no consumer of a topic without ids mistakes one for another."""

import time
from itertools import pairwise

import numpy as np
import pytest
from camera import RELIABLE, SIZE, Camera, image_of
from geometry_msgs.msg import PoseWithCovarianceStamped
from graph import Graph

from hand_mesh_ros.msg import Hand
from hand_mesh_ros.ros import qos
from hand_mesh_ros.ros.input.transforms import TFMessage

SILENCE_S = 0.6
# Consumers clutch after this time, as the scripts in examples/ do.
CLUTCH_S = 0.3


def stamp_s(message: object) -> float:
    return message.header.stamp.sec + 1e-9 * message.header.stamp.nanosec


@pytest.mark.parametrize("one_per_side", [True, False])
def test_another_hand_of_a_side_comes_after_a_silence_that_consumers_notice(view, one_per_side):
    graph = Graph(f"bystander_{one_per_side}")
    nothing = np.full_like(view.rgb, view.rgb[0, 0])
    both, left, right = (np.hstack(halves) for halves in ((view.rgb, view.rgb), (view.rgb, nothing), (nothing, view.rgb)))
    try:
        graph.collect("right/wrist", PoseWithCovarianceStamped)
        graph.collect("/tf", TFMessage, qos.TF)
        camera = Camera(graph, (2 * SIZE[0], SIZE[1]), RELIABLE)
        settings = {"one_per_side": one_per_side, "new_hand_silence_s": SILENCE_S}
        graph.start("hand_mesh_node", threads=1, image_qos="reliable", max_age_ms=0.0, **settings)
        camera.connect(image_of(both), view.k)
        answers = [camera.ask(image_of(both), view.k) for _ in range(8)]
        wrists = graph.received["right/wrist"]
        assert graph.wait_for(lambda: wrists and wrists[-1].header == answers[-1].header)
        followed_m = wrists[-1].pose.pose.position.x
        followed = next(hand for hand in answers[-1].hands if hand.wrist.pose.position.x == followed_m)
        rest = image_of(right if np.mean(followed.keypoints_px[::2]) < SIZE[0] else left)
        deadline = time.monotonic() + 15.0
        while abs(wrists[-1].pose.pose.position.x - followed_m) < 0.1 and time.monotonic() < deadline:
            assert camera.ask(rest, view.k)
        graph.wait_for(lambda: False, 0.3)
        frames = [frame for message in graph.received["/tf"] for frame in message.transforms if "right" in frame.child_frame_id]
    finally:
        graph.close()
    for places in (
        [(stamp_s(wrist), wrist.pose.pose.position.x) for wrist in wrists],
        [(stamp_s(frame), frame.transform.translation.x) for frame in frames],
    ):
        silences = [later[0] - sooner[0] for sooner, later in pairwise(places) if abs(later[1] - sooner[1]) > 0.1]
        assert len(silences) == 1, "the other hand comes once, and stays"
        assert silences[0] >= SILENCE_S > CLUTCH_S


def test_another_frame_id_is_another_camera(view):
    graph = Graph("mux")
    try:
        camera = Camera(graph, SIZE, RELIABLE)
        graph.start("hand_mesh_node", threads=1, image_qos="reliable", max_age_ms=0.0)
        camera.connect(image_of(view.rgb), view.k)
        first, second = (camera.ask(image_of(view.rgb), view.k) for _ in range(2))
        assert first.hands[0].id == second.hands[0].id
        # The other camera sees the hand elsewhere.
        shifted = image_of(np.roll(view.rgb, 20, 1))
        camera.frame_id = "rear_optical"
        other = camera.ask(shifted, view.k)
        assert other.hands[0].id != first.hands[0].id
        assert other.hands[0].state == Hand.STATE_NEW
        assert graph.wait_for(lambda: [s for s in graph.statuses() if "'camera_optical' to 'rear_optical'" in s.message], 3.0)
        assert "publishers" not in graph.statuses()[-1].message
    finally:
        graph.close()


def test_a_calibration_of_another_frame_is_named_with_both_frames(view):
    graph = Graph("foreign_info")
    try:
        camera = Camera(graph, SIZE, RELIABLE)
        graph.collect("/tf", TFMessage, qos.TF)
        graph.start("hand_mesh_node", threads=1, image_qos="reliable", max_age_ms=0.0)
        camera.connect(image_of(view.rgb), view.k)

        def newest(image_frame: str, info_frame: str, seconds: float, needle: str = "nothing") -> str:
            """The message of the last status after so many seconds of these frames, or after the first status with a text."""
            until, seen = time.monotonic() + seconds, len(graph.statuses())
            while time.monotonic() < until and not any(needle in status.message for status in graph.statuses()[seen:]):
                camera.frame_id, camera.info_frame_id = image_frame, info_frame
                camera.send(image_of(view.rgb), view.k)
                graph.wait_for(lambda: False, 0.1)
            return graph.statuses()[-1].message

        foreign = "image has the frame_id 'colour', camera_info 'depth'"
        assert foreign in newest("colour", "depth", 3.2, foreign)
        assert newest("colour", "colour", 6.4, "working") == "working"
        assert newest("colour", "", 3.2) == "working"
        unnamed = "no wrist frames on /tf: the images have no frame_id"
        assert unnamed in newest("", "", 3.2, unnamed)
    finally:
        graph.close()
