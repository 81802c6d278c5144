"""Hands drawn and completed on request: a real node over real DDS keeps what is given, and refuses with the reason."""

import shutil
import signal
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from action_msgs.msg import GoalStatus
from graph import end
from graph_client import LONG, Client

from hand_mesh_ros.core.geometry.mirror import mirror_in_wrist_frame
from hand_mesh_ros.core.graph.diffusion import CONDITION_FILE, DENOISER_FILE
from hand_mesh_ros.core.hand import kinematics
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.topology import FINGER_JOINTS, N_JOINTS
from hand_mesh_ros.msg import Hand
from hand_mesh_ros.srv import GenerateHands, InpaintHand


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    client = Client("graph_services")
    yield client
    client.close()


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
