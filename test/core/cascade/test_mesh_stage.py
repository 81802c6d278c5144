"""Meshes from skeletons, with the shipped models: symmetries, and hands whose surface is known."""

import shutil

import numpy as np
import pytest

from hand_mesh_ros.core.cascade.aggregate import main_mode
from hand_mesh_ros.core.cascade.joint_stage import ENCODER_FILE
from hand_mesh_ros.core.cascade.mesh_stage import DECODER_FILE, DENOISER_FILE, MeshDecoder, palm_from_hand
from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.geometry import rigid
from hand_mesh_ros.core.hand import kinematics
from hand_mesh_ros.core.hand.model import FILE_NAME, HandModel
from hand_mesh_ros.core.models.onnx_model import ModelError, OnnxModel, default_models_dir
from hand_mesh_ros.core.topology import PALM_JOINTS
from hand_mesh_ros.core.types import Hypotheses, ViewEmbedding

CONFIG = PipelineConfig(device="cpu", threads=1)
VIEW_SPACE = OnnxModel(default_models_dir() / ENCODER_FILE, {}, "cpu").metadata["view_space"]


@pytest.fixture(scope="module")
def hand() -> HandModel:
    return HandModel.load(default_models_dir() / FILE_NAME)


@pytest.fixture(scope="module")
def decoder() -> MeshDecoder:
    return MeshDecoder(default_models_dir(), CONFIG, VIEW_SPACE)


@pytest.fixture(scope="module")
def posed(hand) -> tuple[np.ndarray, np.ndarray]:
    """Joints (6, 21, 3) and vertices (6, V, 3) of hands from open to closed."""
    closing = np.linspace(0, 1, 6)[:, None, None]
    angles = closing * np.array([0.0, 0.9, 1.2, 0.7]) * np.array([0.4, 1, 1, 1, 1])[:, None]
    joints_m, vertices_m = kinematics.pose(hand, angles)
    return joints_m.astype(np.float32), vertices_m


def test_meshes_of_known_hands_are_found(decoder, posed):
    joints_m, vertices_m = posed
    error_m = np.linalg.norm(decoder(joints_m) - vertices_m, axis=-1)
    assert error_m.mean() < 0.005


def test_the_mesh_lies_on_its_skeleton(decoder, hand, posed):
    joints_m, _ = posed
    assert np.linalg.norm(hand.joint_regressor @ decoder(joints_m) - joints_m, axis=-1).mean() < 0.005


def test_a_moved_skeleton_moves_its_mesh(decoder, posed):
    joints_m, _ = posed
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    shift = np.array([0.1, -0.2, 0.5])
    moved = decoder((joints_m @ turn.T + shift).astype(np.float32))
    np.testing.assert_allclose(moved, decoder(joints_m) @ turn.T + shift, atol=2e-5)


def test_a_turned_view_of_a_turned_skeleton_is_the_same_view(decoder, posed):
    joints_m, _ = posed
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    embedding = np.random.default_rng(2).normal(size=256).astype(np.float32)
    seen = decoder(joints_m, ViewEmbedding(embedding, np.eye(3)))
    turned = decoder((joints_m @ turn.T).astype(np.float32), ViewEmbedding(embedding, turn.T))
    np.testing.assert_allclose(turned, seen @ turn.T, atol=2e-5)
    assert np.abs(seen - decoder(joints_m)).max() > 1e-4


def test_hypotheses_depend_on_each_other_only_by_the_rounding_of_their_layers(decoder, posed):
    joints_m, _ = posed
    apart = np.linalg.norm(decoder(joints_m)[:2] - decoder(joints_m[:2]), axis=-1)
    # The processor rounds a layer to 8 bits in the range of all hypotheses.
    assert apart.mean() < 2e-4
    assert apart.max() < 1e-3


def test_the_mean_latent_gives_the_mean_mesh(decoder, posed):
    rng = np.random.default_rng(3)
    skeletons = (posed[0][3] + rng.normal(0, 0.003, (8, 21, 3))).astype(np.float32)
    main = main_mode(skeletons, np.full(8, 1 / 8))
    mesh_m = decoder.mean_mesh(Hypotheses(skeletons, np.zeros(8, np.float32)), main)
    mean_m = decoder(skeletons).mean(0)
    mean_m = rigid.transform(mean_m, *rigid.align(mean_m, mesh_m, with_scale=True))
    assert np.linalg.norm(mesh_m - mean_m, axis=-1).mean() < 0.0003


def test_the_same_noise_gives_the_same_mesh(decoder, posed):
    joints_m, _ = posed
    noise = np.random.default_rng(CONFIG.seed).standard_normal((len(joints_m), decoder.latent_size))
    np.testing.assert_array_equal(decoder(joints_m, noise=noise), decoder(joints_m))


def test_more_steps_find_the_same_hand(posed):
    joints_m, _ = posed
    one, four = (
        MeshDecoder(default_models_dir(), PipelineConfig(device="cpu", threads=1, mesh_steps=n), VIEW_SPACE)(joints_m)
        for n in (1, 4)
    )
    assert np.linalg.norm(one - four, axis=-1).mean() < 0.005


def test_palm_frame_lays_the_palm_onto_the_rest_pose(hand):
    turn = rigid.align(np.eye(3), np.eye(3)[[1, 2, 0]])[0]
    joints_m = hand.joints_m @ turn.T + [0.3, 0.2, 0.1]
    palm = rigid.transform(joints_m, *palm_from_hand(joints_m, hand))
    np.testing.assert_allclose(palm[PALM_JOINTS], hand.joints_m[PALM_JOINTS], atol=1e-6)


@pytest.mark.parametrize("joints_m", [np.zeros((0, 21, 3)), np.full((2, 21, 3), np.nan), np.zeros((21, 3)), np.zeros((1, 20, 3))])
def test_skeletons_that_are_none_are_refused(decoder, joints_m):
    with pytest.raises(ValueError, match="joints_m"):
        decoder(joints_m)


def test_noise_of_another_size_is_refused(decoder, posed):
    with pytest.raises(ValueError, match="noise"):
        decoder(posed[0], noise=np.zeros((len(posed[0]), decoder.latent_size + 1)))


@pytest.mark.parametrize("missing", [FILE_NAME, DENOISER_FILE, DECODER_FILE])
def test_a_missing_file_is_named(tmp_path, missing):
    for name in {FILE_NAME, DENOISER_FILE, DECODER_FILE} - {missing}:
        shutil.copy(default_models_dir() / name, tmp_path)
    with pytest.raises(ModelError, match=missing):
        MeshDecoder(tmp_path, CONFIG, VIEW_SPACE)


def test_a_foreign_file_is_refused(tmp_path):
    for name in (FILE_NAME, DECODER_FILE):
        shutil.copy(default_models_dir() / name, tmp_path)
    shutil.copy(default_models_dir() / DECODER_FILE, tmp_path / DENOISER_FILE)
    with pytest.raises(ModelError, match="kind 'mesh_decoder', expected 'mesh_denoiser'"):
        MeshDecoder(tmp_path, CONFIG, VIEW_SPACE)


def test_a_joint_stage_of_another_training_is_refused():
    with pytest.raises(ModelError, match=r"view_space .* expected 'another'"):
        MeshDecoder(default_models_dir(), CONFIG, "another")
