"""Hands of single images on request: a real node over real DDS reconstructs, reports, can be stopped; its stream goes on."""

import time
from array import array
from collections.abc import Iterator

import numpy as np
import pytest
from action_msgs.msg import GoalStatus
from builtin_interfaces.msg import Time
from graph_client import LONG, WAIT_S, Client
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from hand_mesh_ros.core.geometry import rigid
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.topology import N_JOINTS
from hand_mesh_ros.msg import Hand, HandArray
from hand_mesh_ros.srv import GenerateHands
from hand_mesh_ros.synthetic.camera import SyntheticCamera, SyntheticView

SIZE = (320, 240)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    # No image is too old for a machine that has much else to do.
    client = Client("graph_action", max_age_ms=0.0)
    yield client
    client.close()


@pytest.fixture(scope="module")
def camera(model: HandModel) -> SyntheticCamera:
    return SyntheticCamera(model, SIZE, depth_sensor="stereo")


@pytest.fixture(scope="module")
def view(camera: SyntheticCamera) -> SyntheticView:
    return camera.at(0.3)


@pytest.fixture
def seen(camera: SyntheticCamera, view: SyntheticView) -> dict[str, object]:
    """The image of a hand and its camera, as a goal has them."""
    image = Image(height=SIZE[1], width=SIZE[0], encoding="rgb8", step=3 * SIZE[0], data=array("B", view.rgb.tobytes()))
    image.header.frame_id, image.header.stamp.sec = "camera_optical", 17
    return {"image": image, "camera_info": CameraInfo(width=SIZE[0], height=SIZE[1], k=camera.camera_matrix.ravel())}


@pytest.mark.parametrize("fit", [False, True])
def test_a_rendered_hand_is_reconstructed_near_the_truth_with_feedback(client, model, seen, view, fit):
    handle, feedback = client.start(n=4, steps=5, fit=fit, **seen)
    status, result = client.result(handle)
    assert (status, result.success) == (GoalStatus.STATUS_SUCCEEDED, True), result.message
    assert (result.header, result.topology_id) == (seen["image"].header, model.digest)
    (hand,) = result.hands
    assert (hand.side, hand.scale_source, hand.n) == (Hand.SIDE_RIGHT, Hand.SCALE_PRIOR, 4)
    joints, vertices = np.reshape(hand.joints, (4, N_JOINTS, 3)), np.reshape(hand.vertices, (4, -1, 3))
    np.testing.assert_allclose(joints, model.joint_regressor @ vertices, atol=1e-5)
    assert sum(hand.weights) == pytest.approx(1, abs=1e-5)
    # The hypotheses with the best agreement are the heaviest ones.
    assert 0 < hand.reprojection_rmse_px[int(np.argmax(hand.weights))] <= np.median(hand.reprojection_rmse_px) + 2
    aligned = rigid.transform(joints, *rigid.align(joints, view.joints_m))
    assert np.linalg.norm(aligned - view.joints_m, axis=-1).mean(-1).min() < 0.02
    # The size of the hand is not known, so its distance is not either.
    assert np.linalg.norm(joints[:, 0] - view.joints_m[0], axis=-1).min() < 0.2 * view.joints_m[0, 2]
    assert client.graph.wait_for(lambda: feedback and feedback[-1].step == 5)
    assert {message.steps for message in feedback} == {5}
    assert [message.step for message in feedback] == sorted(message.step for message in feedback)


def test_without_calibration_hypotheses_are_relative_to_their_wrists(client, seen):
    status, result = client.result(client.start(n=2, steps=2, image=seen["image"])[0])
    assert status == GoalStatus.STATUS_SUCCEEDED, result.message
    assert result.hands[0].scale_source == Hand.SCALE_NONE
    np.testing.assert_allclose(np.reshape(result.hands[0].joints, (2, N_JOINTS, 3))[:, 0], 0, atol=1e-6)


def test_an_image_without_a_hand_is_no_error_and_one_that_cannot_be_read_is(client, seen):
    seen["image"].data = array("B", bytes(len(seen["image"].data)))
    status, result = client.result(client.start(**seen)[0])
    assert (status, result.success, result.hands) == (GoalStatus.STATUS_SUCCEEDED, True, [])
    seen["image"].encoding = "holographic"
    status, result = client.result(client.start(**seen)[0])
    assert status == GoalStatus.STATUS_ABORTED
    assert "holographic" in result.message


def depth_of(view: SyntheticView, image: Image, unit_m: float = 0.001) -> Image:
    data = array("B", np.round(view.depth_m / unit_m).astype(np.uint16).tobytes())
    return Image(header=image.header, height=SIZE[1], width=SIZE[0], encoding="16UC1", step=2 * SIZE[0], data=data)


def test_depth_gives_the_position_and_what_is_wrong_with_it_is_answered(client, seen, view):
    depth = depth_of(view, seen["image"])
    status, result = client.result(client.start(n=3, steps=3, depth=depth, **seen)[0])
    assert (status, result.message) == (GoalStatus.STATUS_SUCCEEDED, "")
    (hand,) = result.hands
    assert hand.scale_source == Hand.SCALE_DEPTH
    joints = np.reshape(hand.joints, (3, N_JOINTS, 3))
    assert np.linalg.norm(joints - view.joints_m, axis=-1).mean(-1).min() < 0.02

    status, result = client.result(client.start(n=3, steps=3, depth=depth_of(view, seen["image"], 0.0001), **seen)[0])
    assert status == GoalStatus.STATUS_SUCCEEDED, "as without depth"
    assert result.hands[0].scale_source == Hand.SCALE_PRIOR
    assert "depth_scale" in result.message

    status, result = client.result(client.start(depth=depth, image=seen["image"], n=2, steps=2)[0])
    assert (result.hands[0].scale_source, "calibration" in result.message) == (Hand.SCALE_NONE, True)

    for name, value, reason in (("height", SIZE[1] // 2, "register"), ("encoding", "holographic", "holographic")):
        wrong = depth_of(view, seen["image"])
        setattr(wrong, name, value)
        status, result = client.result(client.start(depth=wrong, **seen)[0])
        assert (status, reason in result.message) == (GoalStatus.STATUS_ABORTED, True), result.message
    late = depth_of(view, seen["image"])
    late.header = Header(frame_id="camera_optical", stamp=Time(sec=17, nanosec=40_000_000))
    status, result = client.result(client.start(depth=late, **seen)[0])
    assert status == GoalStatus.STATUS_ABORTED
    assert "40.0 ms" in result.message
    assert "depth_slop_ms is 15" in result.message


def test_the_stream_is_answered_during_a_reconstruction_which_ends_when_it_is_cancelled(client, seen):
    graph = client.graph
    graph.collect("hands", HandArray)
    images = graph.node.create_publisher(Image, "image", qos_profile_sensor_data)
    infos = graph.node.create_publisher(CameraInfo, "camera_info", qos_profile_sensor_data)
    handle, feedback = client.start(**LONG, **seen)
    assert graph.wait_for(lambda: feedback, WAIT_S), "the reconstruction does not begin"
    sent, deadline = [], time.monotonic() + WAIT_S

    def answered() -> int:
        return sum(hands.header.stamp in sent and len(hands.hands) == 1 for hands in graph.received["hands"])

    while answered() < 5 and time.monotonic() < deadline:
        for message in (seen["camera_info"], seen["image"]):
            message.header.stamp = graph.node.get_clock().now().to_msg()
        sent.append(type(seen["image"].header.stamp)(sec=message.header.stamp.sec, nanosec=message.header.stamp.nanosec))
        infos.publish(seen["camera_info"])
        images.publish(seen["image"])
        graph.wait_for(lambda: False, 0.1)
    assert answered() >= 5
    steps_then = feedback[-1].step
    assert graph.wait_for(lambda: feedback[-1].step > steps_then, WAIT_S), "the reconstruction does not go on"
    client.cancel(handle)
    status, result = client.result(handle)
    assert (status, result.success) == (GoalStatus.STATUS_CANCELED, False)
    assert "cancelled" in result.message
    assert feedback[-1].step < feedback[-1].steps
    for publisher in (images, infos):
        graph.node.destroy_publisher(publisher)


def test_requests_wait_for_the_one_at_work_and_too_many_are_refused(client, seen):
    handle, feedback = client.start(**LONG, **seen)
    assert client.graph.wait_for(lambda: feedback, WAIT_S)
    waiting = [client.generating.call_async(GenerateHands.Request(n=1, steps=1, seed=seed)) for seed in range(6)]
    refused = client.graph.wait_for(lambda: [future for future in waiting if future.done()], WAIT_S)
    assert refused
    assert all("already waiting" in future.result().message for future in refused)
    assert client.generate(n=0).message.startswith("n is 0"), "what cannot be done need not wait"
    client.cancel(handle)
    assert client.result(handle)[0] == GoalStatus.STATUS_CANCELED
    answers = [client.answer(future) for future in waiting]
    assert sum(answer.success for answer in answers) == 4
