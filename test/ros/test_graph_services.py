"""The graph diffusion on request: a real node over real DDS draws, completes and reconstructs hands while its stream goes on."""

import shutil
import signal
import time
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from action_msgs.msg import GoalStatus
from graph import Graph, end
from rclpy.action import ActionClient
from rclpy.action.client import ClientGoalHandle
from rclpy.qos import qos_profile_sensor_data
from rclpy.task import Future
from sensor_msgs.msg import CameraInfo, Image

from hand_mesh_ros.action import ReconstructHand
from hand_mesh_ros.apps.synthetic import SyntheticCamera, SyntheticView
from hand_mesh_ros.core import kinematics, rigid
from hand_mesh_ros.core.graph_diffusion import CONDITION_FILE, DENOISER_FILE
from hand_mesh_ros.core.hand_model import HandModel
from hand_mesh_ros.core.mirror import mirror_in_wrist_frame
from hand_mesh_ros.core.onnx_model import default_models_dir
from hand_mesh_ros.core.topology import FINGER_JOINTS, N_JOINTS
from hand_mesh_ros.msg import Hand, HandArray
from hand_mesh_ros.srv import GenerateHands, InpaintHand

SIZE = (320, 240)
STEPS = 3
WAIT_S, START_S = 30.0, 60.0
# Takes minutes: long enough to look at the node meanwhile.
LONG = {"n": 64, "steps": 1000}


class Client:
    """A node in a process of its own, and this test as its client."""

    def __init__(self, name: str, **parameters: object) -> None:
        self.graph = Graph(name)
        self.generating = self.graph.node.create_client(GenerateHands, "hand_mesh_node/generate")
        self.inpainting = self.graph.node.create_client(InpaintHand, "hand_mesh_node/inpaint")
        self.reconstructing = ActionClient(self.graph.node, ReconstructHand, "hand_mesh_node/reconstruct")
        self.process = self.graph.start("hand_mesh_node", threads=1, device="cpu", **parameters)
        for client in (self.generating, self.inpainting):
            assert self.graph.wait_for(client.service_is_ready, START_S)
        assert self.graph.wait_for(self.reconstructing.server_is_ready, START_S)
        # The node may not know yet where its answers go: from here on it does.
        assert self._again_until_answered(lambda: self.generating.call_async(GenerateHands.Request(n=0)))
        assert self._again_until_answered(lambda: self.inpainting.call_async(InpaintHand.Request(n=0)))
        assert self._again_until_answered(lambda: self.reconstructing.send_goal_async(ReconstructHand.Goal(n=0)))

    def _again_until_answered(self, ask: object) -> bool:
        deadline, futures = time.monotonic() + START_S, []
        while time.monotonic() < deadline:
            futures.append(ask())
            if self.graph.wait_for(lambda: any(future.done() for future in futures), 2.0):
                return True
        return False

    def answer(self, future: Future) -> object:
        assert self.graph.wait_for(future.done, WAIT_S), "no answer"
        return future.result()

    def generate(self, **request: object) -> GenerateHands.Response:
        return self.answer(self.generating.call_async(GenerateHands.Request(**{"steps": STEPS, **request})))

    def inpaint(self, **request: object) -> InpaintHand.Response:
        return self.answer(self.inpainting.call_async(InpaintHand.Request(**{"steps": STEPS, **request})))

    def start(self, **goal: object) -> tuple[ClientGoalHandle, list[ReconstructHand.Feedback]]:
        """Handle of a goal that was accepted, and a list that collects its feedback."""
        feedback = []
        future = self.reconstructing.send_goal_async(
            ReconstructHand.Goal(**goal), feedback_callback=lambda message: feedback.append(message.feedback)
        )
        handle = self.answer(future)
        assert handle.accepted
        return handle, feedback

    def result(self, handle: ClientGoalHandle) -> tuple[int, ReconstructHand.Result]:
        answer = self.answer(handle.get_result_async())
        return answer.status, answer.result

    def cancel(self, handle: ClientGoalHandle) -> None:
        self.answer(handle.cancel_goal_async())

    def close(self) -> None:
        self.reconstructing.destroy()
        self.graph.close()


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    # No image is too old for a machine that has much else to do.
    client = Client("graph_services", max_age_ms=0.0)
    yield client
    client.close()


@pytest.fixture(scope="module")
def camera(model: HandModel) -> SyntheticCamera:
    return SyntheticCamera(model, SIZE)


@pytest.fixture(scope="module")
def view(camera: SyntheticCamera) -> SyntheticView:
    return camera.at(0.3)


@pytest.fixture
def seen(camera: SyntheticCamera, view: SyntheticView) -> dict[str, object]:
    """The image of a hand and its camera, as a goal has them."""
    image = Image(height=SIZE[1], width=SIZE[0], encoding="rgb8", step=3 * SIZE[0], data=array("B", view.rgb.tobytes()))
    image.header.frame_id, image.header.stamp.sec = "camera_optical", 17
    return {"image": image, "camera_info": CameraInfo(width=SIZE[0], height=SIZE[1], k=camera.camera_matrix.ravel())}


def meshes(answer: GenerateHands.Response | InpaintHand.Response) -> np.ndarray:
    """(n, V, 3)."""
    assert answer.success, answer.message
    return np.reshape(answer.vertices, (answer.n, -1, 3))


def test_generated_hands_are_whole_and_different_and_a_seed_gives_them_again(client, model):
    answer = client.generate(n=3, seed=5)
    vertices = meshes(answer)
    assert vertices.shape == (3, *model.template_m.shape)
    assert np.isfinite(vertices).all()
    assert (answer.topology_id, answer.side) == (model.digest, Hand.SIDE_RIGHT)
    np.testing.assert_allclose(np.reshape(answer.joints, (3, N_JOINTS, 3)), model.joint_regressor @ vertices, atol=1e-5)
    # Hands in their wrist frames: fingers along z, none longer than a hand.
    assert np.all(np.abs(vertices).max((1, 2)) < 0.3)
    assert all(np.linalg.norm(vertices[one] - vertices[other], axis=-1).mean() > 1e-3 for one, other in ((0, 1), (0, 2), (1, 2)))
    np.testing.assert_array_equal(meshes(client.generate(n=3, seed=5)), vertices)
    assert np.abs(meshes(client.generate(n=3, seed=6)) - vertices).max() > 1e-3
    left = client.generate(n=3, seed=5, side=Hand.SIDE_LEFT)
    assert left.side == Hand.SIDE_LEFT
    np.testing.assert_array_equal(meshes(left), mirror_in_wrist_frame(vertices))


def bent(model: HandModel, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Joints (21, 3) and vertices (V, 3) of a bent hand in its wrist frame."""
    _, vertices = kinematics.pose(model, np.full((5, 4), 0.4) * [0, 1, 1, 0.7])
    vertices = mirror_in_wrist_frame(vertices) if side == Hand.SIDE_LEFT else vertices
    return model.joint_regressor @ vertices, vertices


@pytest.mark.parametrize("side", [Hand.SIDE_LEFT, Hand.SIDE_RIGHT])
def test_the_given_part_of_a_surface_or_skeleton_stays_and_the_rest_is_drawn(client, model, side):
    joints, vertices = bent(model, side)
    given = model.skin_weights[:, FINGER_JOINTS[:3].ravel()].sum(1) < 0.01
    request = {"vertices": array("f", np.where(given[:, None], vertices, np.nan).ravel().astype(np.float32))}
    found = meshes(client.inpaint(n=2, side=side, vertices_given=given.tolist(), **request))
    assert np.isfinite(found).all()
    assert np.linalg.norm(found[:, given] - vertices[given], axis=-1).max() < 1e-3
    assert np.linalg.norm(found[0] - found[1], axis=-1)[~given].max() > 1e-3
    told = np.ones(N_JOINTS, bool)
    told[FINGER_JOINTS[2:].ravel()] = False
    request = {"joints": np.where(told[:, None], joints, np.nan).ravel().astype(np.float32), "joints_given": told.tolist()}
    found = model.joint_regressor @ meshes(client.inpaint(n=2, side=side, **request))
    assert np.linalg.norm(found[:, told] - joints[told], axis=-1).max() < 1e-3


@pytest.mark.parametrize(
    ("request_fields", "needle"),
    [
        ({"n": 0}, "n is 0, allowed are 1 to 64"),
        ({"n": 65}, "n is 65"),
        ({"steps": 0}, "steps is 0, allowed are 1 to 1000"),
        ({"steps": 1001}, "steps is 1001"),
        ({"side": Hand.SIDE_UNKNOWN}, "side is 0"),
    ],
)
def test_a_request_out_of_range_is_refused_with_the_number(client, request_fields, needle):
    for answer in (client.generate(**request_fields), client.inpaint(**request_fields)):
        assert not answer.success
        assert needle in answer.message
        assert not answer.vertices
    if "side" not in request_fields:
        status, result = client.result(client.start(**request_fields)[0])
        assert (status, result.success) == (GoalStatus.STATUS_ABORTED, False)
        assert needle in result.message


def test_a_part_that_cannot_be_one_is_refused_with_the_reason(client, model):
    n_vertices = len(model.template_m)
    surface = {"vertices": array("f", model.template_m.ravel()), "vertices_given": [True] * n_vertices}
    first_joint = [True] + [False] * (N_JOINTS - 1)
    not_finite, far = np.full(63, np.nan, np.float32), np.full(63, 5.0, np.float32)
    for request, needle in (
        ({}, "neither a vertex nor a joint"),
        ({**surface, "joints_given": first_joint}, "both"),
        ({**surface, "vertices": array("f", [0.0] * 6)}, f"vertices has 6 entries, a surface of {n_vertices} vertices"),
        ({**surface, "vertices_given": [True]}, "vertices_given has 1 entries"),
        ({"joints": not_finite, "joints_given": first_joint}, "joint wrist is given at [nan"),
        ({"joints": far, "joints_given": first_joint}, "within 0.3 m"),
    ):
        answer = client.inpaint(**request)
        assert not answer.success
        assert needle in answer.message


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
    assert all("wait already" in future.result().message for future in refused)
    assert client.generate(n=0).message.startswith("n is 0"), "what cannot be done need not wait"
    client.cancel(handle)
    assert client.result(handle)[0] == GoalStatus.STATUS_CANCELED
    answers = [client.answer(future) for future in waiting]
    assert sum(answer.success for answer in answers) == 4


def test_a_missing_or_foreign_model_file_is_named_and_the_node_goes_on(tmp_path: Path):
    shutil.copytree(default_models_dir(), tmp_path, dirs_exist_ok=True)
    (tmp_path / DENOISER_FILE).unlink()
    client = Client("graph_models", models_dir=tmp_path)
    try:
        answer = client.generate(n=1)
        assert not answer.success
        assert str(tmp_path / DENOISER_FILE) in answer.message
        shutil.copy(tmp_path / CONDITION_FILE, tmp_path / DENOISER_FILE)
        answer = client.generate(n=1)
        assert not answer.success
        assert f"{tmp_path / DENOISER_FILE} has kind 'graph_condition'" in answer.message
        assert not any("cannot be loaded" in status.message for status in client.graph.statuses())
        shutil.copy(default_models_dir() / DENOISER_FILE, tmp_path)
        assert client.generate(n=1).success, "a file that has come is used"
    finally:
        client.close()


def test_a_node_that_is_told_to_end_during_a_request_ends_quietly():
    client = Client("graph_end")
    try:
        assert client.generate(n=1).success
        client.generating.call_async(GenerateHands.Request(**LONG))
        client.graph.wait_for(lambda: False, 1.0)
        code, log = end(client.process, signal.SIGINT, signal.SIGINT)
        assert code == 0, log
        assert "Traceback" not in log
        assert "never" not in log
    finally:
        client.close()
