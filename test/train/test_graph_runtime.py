"""The run-time side of the graph diffusion, on a small untrained net: exported files, and what each call promises."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from hand_mesh_ros.core.cascade.mesh_stage import palm_from_hand
from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.geometry import rigid
from hand_mesh_ros.core.graph.condition import GraphCondition
from hand_mesh_ros.core.graph.diffusion import CONDITION_FILE, DENOISER_FILE, GraphDiffusion
from hand_mesh_ros.core.graph.directions import HandDirections
from hand_mesh_ros.core.graph.guidance import ProjectionTarget
from hand_mesh_ros.core.hand import components as hand_components
from hand_mesh_ros.core.hand import kinematics
from hand_mesh_ros.core.hand.components import UNIT_M, HandComponents
from hand_mesh_ros.core.hand.model import FILE_NAME, HandModel
from hand_mesh_ros.core.models.onnx_model import ModelError, default_models_dir
from hand_mesh_ros.core.topology import FINGER_JOINTS, N_JOINTS
from models_train import export_onnx, onnx_file
from models_train.nets.condition_tokens import TokenSize
from models_train.nets.graph_diffusion import GraphSize
from models_train.tasks import graph as graph_task
from models_train.tasks.task import Export, TrainConfig

MAP_SHAPE = (6, 3, 2)
SIZE = GraphSize(channels=(4, 8, 8, 8), time_width=16, tokens=TokenSize(width=16, map_shape=MAP_SHAPE, blocks=1))
CONFIG = PipelineConfig(device="cpu", threads=1)
STEPS = 3
HAND = HandModel.load(default_models_dir() / FILE_NAME)
DIRECTIONS = HandDirections(HAND, HandComponents.load(default_models_dir() / hand_components.FILE_NAME, HAND))


@pytest.fixture(scope="module")
def hand() -> HandModel:
    return HAND


@pytest.fixture(scope="module")
def exports(hand) -> dict[str, Export]:
    torch.manual_seed(0)
    task = graph_task.GraphTask(TrainConfig(task="graph_diffusion", steps=1), hand, SIZE)
    # As after a training, all weights differ. The exporter stores equal ones once.
    with torch.no_grad():
        for weight in task.net.parameters():
            weight.add_(0.01 * torch.randn_like(weight))
    return {export.file_name: export for export in task.exports(task.net.eval())}


@pytest.fixture(scope="module")
def files(exports) -> dict[str, onnx.ModelProto]:
    return {name: export_onnx.to_onnx(export) for name, export in exports.items()}


@pytest.fixture(scope="module")
def models_dir(files, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name in (FILE_NAME, hand_components.FILE_NAME):
        shutil.copy(default_models_dir() / name, folder)
    for name, model in files.items():
        onnx_file.save(model, folder / name, {"licence": "none"})
    return folder


@pytest.fixture(scope="module")
def model(models_dir) -> GraphDiffusion:
    return GraphDiffusion(models_dir, CONFIG)


@pytest.fixture(scope="module")
def posed(hand) -> tuple[np.ndarray, np.ndarray]:
    """Joints (21, 3) and vertices (V, 3) of a bent hand in the palm frame."""
    joints_m, vertices_m = kinematics.pose(hand, np.full((5, 4), 0.4) * [0, 1, 1, 0.7])
    palm = palm_from_hand(joints_m, hand)
    return hand.joint_regressor @ rigid.transform(vertices_m, *palm), rigid.transform(vertices_m, *palm)


@pytest.mark.parametrize(("name", "allowed"), [(CONDITION_FILE, 1e-2), (DENOISER_FILE, 5e-5 / UNIT_M)])
def test_onnx_runtime_agrees_with_torch(exports, files, name, allowed):
    assert export_onnx.largest_difference(exports[name], files[name]) < allowed
    kinds = {node.op_type for node in files[name].graph.node}
    assert not kinds & {"Conv", "Scatter", "ScatterND", "Loop", "If", "Einsum"}


def test_a_denoiser_of_other_tokens_is_refused(models_dir, tmp_path):
    shutil.copytree(models_dir, tmp_path, dirs_exist_ok=True)
    foreign = onnx.load(tmp_path / CONDITION_FILE)
    onnx_file.add_metadata(foreign, {"token_space": "other"})
    onnx_file.save(foreign, tmp_path / CONDITION_FILE, {"licence": "none"})
    with pytest.raises(ModelError, match="token_space"):
        GraphDiffusion(tmp_path, CONFIG)


def test_the_seed_decides_what_is_generated(model, hand):
    first, again, other = (model.generate(2, seed, STEPS) for seed in (0, 0, 1))
    assert first.shape == (2, *hand.template_m.shape)
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_the_given_part_of_a_mesh_stays(model, hand, posed):
    fingers = FINGER_JOINTS[:3].ravel()
    given = hand.skin_weights[:, fingers].sum(1) < 0.01
    vertices_m = np.where(given[:, None], posed[1], np.nan)
    found = model.inpaint_mesh(vertices_m, given, 2, steps=STEPS)
    assert np.linalg.norm(found[:, given] - posed[1][given], axis=-1).max() < 1e-3
    assert np.all(np.isfinite(found))


def test_the_given_part_of_a_skeleton_stays(model, hand, posed):
    given = np.ones(N_JOINTS, bool)
    given[FINGER_JOINTS[2:].ravel()] = False
    found = hand.joint_regressor @ model.inpaint_skeleton(np.where(given[:, None], posed[0], np.nan), given, 2, steps=STEPS)
    assert np.linalg.norm(found[:, given] - posed[0][given], axis=-1).max() < 1e-3


def seen(posed: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Joints (21, 3) in the camera and their rays (21, 2)."""
    turn = np.array([[0.0, 1, 0], [0, 0, -1], [-1, 0, 0]])
    placed = posed[0] @ turn.T + [0.03, 0.08, 0.5]
    return placed, placed[:, :2] / placed[:, 2:]


def test_a_condition_holds_what_was_seen(model, hand, posed):
    placed, rays = seen(posed)
    condition, rotation = model.condition_of(placed[None].repeat(3, 0), rays, np.ones(N_JOINTS), np.ones(MAP_SHAPE))
    np.testing.assert_allclose(condition.joints_m[0], posed[0], atol=5e-3)
    assert rotation.shape == (3, 3, 3)


def test_a_moved_skeleton_moves_its_reconstructions(model, hand, posed):
    placed, rays = seen(posed)
    shift = np.array([0.1, 0.2, -0.1])
    skeletons_m = placed + 0.003 * np.random.default_rng(0).standard_normal((2, N_JOINTS, 3))
    found = model.reconstruct(skeletons_m, rays, np.ones(N_JOINTS), np.ones(MAP_SHAPE), 3, STEPS)
    moved = model.reconstruct(skeletons_m + shift, rays, np.ones(N_JOINTS), np.ones(MAP_SHAPE), 3, STEPS)
    assert found.shape == (3, *hand.template_m.shape)
    np.testing.assert_allclose(moved, found + shift, atol=2e-5)


def test_fitting_brings_joints_onto_their_rays(model, hand, posed):
    placed, rays = seen(posed)
    condition, rotation = model.condition_of(placed[None], rays, np.ones(N_JOINTS))
    fit = model.fit_2d(
        condition, rotation, rays, np.ones(N_JOINTS), steps=STEPS, start_m=posed[1][None], start_time=200, prior_std_m=0.01
    )
    joints_m = hand.joint_regressor @ fit.vertices_m
    distance = np.sqrt((((joints_m[..., :2] / joints_m[..., 2:]) - rays) ** 2).sum(-1).mean(-1))
    np.testing.assert_allclose(fit.residual, distance, rtol=1e-3)
    # Even an untrained net's meshes, which are no hands, are brought near.
    free_m = model.sample(condition, STEPS, 0, (), posed[1][None], 200)
    target = ProjectionTarget(DIRECTIONS, rays, np.ones(N_JOINTS), 0.003, rotation)
    assert fit.residual[0] < 0.3 * np.sqrt(target.value(free_m)[0] / N_JOINTS)


def test_little_noise_stays_near_the_start(model, hand, posed):
    def distance(start_time: float) -> float:
        drawn = model.sample(GraphCondition.nothing(1), 1, 0, (), posed[1][None], start_time)
        return float(np.abs(drawn - model.sample(GraphCondition.nothing(1), 1, 1, (), posed[1][None], start_time)).mean())

    assert distance(1) < distance(200) < distance(900)


def test_features_of_another_shape_are_refused(model):
    with pytest.raises(ValueError, match="features"):
        model.sample(GraphCondition.nothing(1).with_image(np.zeros((5, 3, 2))), STEPS, seed=0)


def test_a_start_that_is_no_mesh_is_refused(model):
    with pytest.raises(ValueError, match="start_m"):
        model.sample(GraphCondition.nothing(2), STEPS, 0, (), np.zeros((2, 5, 3)), 100)


def test_a_training_starts_at_the_weights_of_exported_files(exports, models_dir, hand):
    torch.manual_seed(1)
    task = graph_task.GraphTask(TrainConfig(task="graph_diffusion", steps=1), hand, SIZE)
    task.start_from(models_dir)
    for part, name in ((task.net.condition, CONDITION_FILE), (task.net.denoiser, DENOISER_FILE)):
        # The files store weights in half precision.
        torch.testing.assert_close(dict(part.state_dict()), dict(exports[name].module.state_dict()), rtol=1e-3, atol=1e-6)
    assert task.facts["start"] == exports[DENOISER_FILE].metadata["token_space"]


def test_a_training_refuses_files_of_a_network_of_another_size(models_dir, hand):
    task = graph_task.GraphTask(TrainConfig(task="graph_diffusion", steps=1), hand, replace(SIZE, time_width=8))
    with pytest.raises(ModelError, match=r"graph_denoiser\.onnx has no weights"):
        task.start_from(models_dir)
