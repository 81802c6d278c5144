"""The training of corrected keypoints: the pooled features, the truth in the crop, learning, and the gain."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from stored_hands import write_shard

from benchmarks import metrics
from hand_mesh_ros.core.cascade.keypoints import KeypointCorrector
from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.detect.detector import HandDetector
from hand_mesh_ros.core.geometry import camera
from hand_mesh_ros.core.models.onnx_model import OnnxModel, default_models_dir
from hand_mesh_ros.core.topology import N_JOINTS
from models_train import export_onnx, onnx_file
from models_train.data import detected
from models_train.data.scenes import SceneMaker
from models_train.tasks import keypoints
from models_train.tasks.configs import KeypointConfig
from models_train.tasks.keypoints import Corrector, KeypointTask

N = 24


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("views")
    for seed, kind in enumerate(("train", "held_out")):
        write_shard(folder, kind, N, seed)
    return folder


@pytest.fixture
def task(folder) -> KeypointTask:
    torch.manual_seed(0)
    return KeypointTask(KeypointConfig(task="keypoints", steps=1, batch_size=N, views=str(folder)))


def test_the_landmarks_are_a_linear_function_of_the_pooled_features():
    path = default_models_dir() / "hand_landmark.onnx"
    model = OnnxModel(path, {"kind": "hand_landmark"}, "cpu", threads=1)
    answer = model(image=np.random.default_rng(0).integers(0, 255, (224, 224, 3)).astype(np.uint8))
    graph = onnx_file.restore_fp32(onnx.load(path)).graph
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    layers = [[weights[name] for name in node.input[1:]] for node in graph.node if node.op_type == "Gemm"]
    pooled = answer["pooled_features"]
    found = [pooled @ (matrix if len(matrix) == len(pooled) else matrix.T) + bias for matrix, bias in layers]
    assert any(len(values) == 63 and np.allclose(values, answer["landmarks"].ravel(), atol=1e-3) for values in found)


def test_an_untrained_net_corrects_nothing(task):
    landmarks = torch.randn(2, N_JOINTS, 3)
    corrected, _ = Corrector(task.net.eval())(torch.randn(2, 1152), landmarks, torch.randn(2, N_JOINTS, 3))
    assert torch.equal(corrected, landmarks)


def test_true_landmarks_are_where_the_crop_shows_the_joints():
    rng = np.random.default_rng(0)
    joints_m = rng.normal(0, 0.05, (N_JOINTS, 3)) + np.array([0.3, -0.2, 0.8])
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    plane_from_crop = np.column_stack([0.002 * turn, [0.2, -0.5]])
    landmarks, world_m = keypoints.true_in_crop(joints_m, plane_from_crop)
    shown = plane_from_crop[:, :2] @ landmarks[:, :2].T + plane_from_crop[:, 2:]
    np.testing.assert_allclose(shown.T, joints_m[:, :2] / joints_m[:, 2:], atol=1e-9)
    apart = np.linalg.norm(joints_m[:, None] - joints_m, axis=-1)
    np.testing.assert_allclose(np.linalg.norm(world_m[:, None] - world_m, axis=-1), apart, atol=1e-9)
    # One unit of depth is one pixel at the distance of the hand.
    depth_m = landmarks[:, 2] * 0.002 * np.linalg.norm(joints_m.mean(0))
    np.testing.assert_allclose(depth_m - depth_m.mean(), world_m[:, 2], atol=1e-9)


def test_expected_errors_are_those_of_the_corrected_world_landmarks():
    rng = np.random.default_rng(0)
    truth, noise = rng.normal(size=(4, 126)), np.zeros((4, 2, N_JOINTS, 3))
    noise[:, 1, :] = [5.0, 0.0, -3.0]  # a common offset is no error
    noise[1, 1] += rng.normal(0, 0.1, (N_JOINTS, 3))
    noise[2, 1] += 0.2 * truth[2].reshape(2, N_JOINTS, 3)[1]  # a wrong size is an error only without alignment
    errors = keypoints._log_errors(*(torch.from_numpy(values) for values in (truth + noise.reshape(4, 126), truth)))
    np.testing.assert_allclose(errors[[0, 3]], np.log(1e-9), atol=1e-3)
    np.testing.assert_allclose(errors[1], np.log((0.1 * 0.02) ** 2), atol=0.5)
    assert errors[2, 0] < np.log(1e-8) < np.log(1e-6) < errors[2, 1]


def test_the_expected_errors_do_not_change_the_correction(task):
    batch = task.train_batch(0)
    torch.nn.init.normal_(task.net.offsets.weight, std=0.1)
    task.net(batch["pooled"], batch["cues"])[1].sum().backward()
    assert task.net.error_hidden.weight.grad.abs().max() > 0
    for part in (task.net.pooled, task.net.hidden, task.net.offsets):
        assert part.weight.grad is None


def test_one_batch_can_be_learned(task):
    batch = task.train_batch(0)
    optimizer = torch.optim.Adam(task.net.parameters(), 3e-3)
    first = task.loss(batch)[0].item()
    for _ in range(150):
        optimizer.zero_grad()
        loss = task.loss(batch)[0]
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.6 * first


def test_the_exported_file_agrees_with_torch(task):
    torch.nn.init.normal_(task.net.offsets.weight, std=0.1)
    (export,) = task.exports(task.net.eval())
    assert export_onnx.largest_difference(export, export_onnx.to_onnx(export)) < 0.1


def test_held_out_hands_have_better_keypoints_after_the_shipped_correction():
    rng = np.random.default_rng(77)
    detector = HandDetector(default_models_dir(), PipelineConfig(max_hands=1, min_score=0.3, threads=1, device="cpu"))
    corrector = KeypointCorrector(default_models_dir(), PipelineConfig(threads=1, device="cpu"))
    gains, expected, true = [], [], []
    for scene in SceneMaker(rng, held_out=True, natural=True, n_skins=4, n_rooms=4).scenes(40):
        if (hand := detected.observe(detector, scene, rng)) is None:
            continue
        truth = camera.project(scene.joints_m, scene.camera_matrix)
        errors = [np.linalg.norm(found.keypoints_px - truth, axis=1).mean() for found in (hand, corrector(hand))]
        gains.append(np.log(errors[1] / errors[0]))
        expected.append(corrector(hand).log_errors[0])
        true.append(np.log(metrics.pa_error(hand.world_landmarks_m, scene.joints_m)))
    assert len(gains) > 25
    assert np.mean(gains) < -0.05
    assert np.corrcoef(expected, true)[0, 1] > 0.3
