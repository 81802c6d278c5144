"""Exported files compute what the nets compute, at any batch size, and say what they are."""

import dataclasses
import json

import numpy as np
import onnx
import pytest
import torch
from stored_hands import stage_one_pairs, write_shard

from hand_mesh_ros.core.cascade import joint_stage
from hand_mesh_ros.core.cascade.mesh_stage import DECODER_FILE, DENOISER_FILE
from hand_mesh_ros.core.hand.model import FILE_NAME, HandModel
from hand_mesh_ros.core.models.onnx_model import ModelError, OnnxModel, default_models_dir
from models_train import export_onnx, onnx_file
from models_train.nets.mesh_autoencoder import AutoencoderSize
from models_train.tasks import joints as joint_task
from models_train.tasks import mesh as mesh_tasks
from models_train.tasks.configs import JointConfig
from models_train.tasks.task import Export, TrainConfig

SIZE = AutoencoderSize(latent=16, channels=(4, 8, 8, 8), hidden=32)
# What torch and ONNX Runtime may differ by, half-precision storage included.
ALLOWED = {joint_stage.ENCODER_FILE: 1e-2, joint_stage.DENOISER_FILE: 1e-3, DECODER_FILE: 5e-5, DENOISER_FILE: 1e-2}


@pytest.fixture(scope="module")
def exports(tmp_path_factory) -> dict[str, Export]:
    torch.manual_seed(0)
    hand = HandModel.load(default_models_dir() / FILE_NAME)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mesh_tasks, "_N_START", 100)  # what the weights are does not matter here
        autoencoder = mesh_tasks.AutoencoderTask(TrainConfig(task="mesh_autoencoder", steps=1), hand, SIZE)
    pairs = stage_one_pairs(tmp_path_factory.mktemp("pairs"))
    latent = mesh_tasks.LatentTask(TrainConfig(task="mesh_latent", steps=1), hand, autoencoder.net.eval(), pairs)
    joints = joint_task.make_task(JointConfig(task="joints", steps=1))
    # Untrained blocks are the identity, which would hide errors of theirs.
    for block in (*latent.net.blocks, *joints.net.denoiser.blocks):
        torch.nn.init.normal_(block.modulation.weight, std=0.02)
    found = [export for task in (autoencoder, latent, joints) for export in task.exports(task.net.eval())]
    return {export.file_name: export for export in found}


@pytest.fixture(scope="module")
def models(exports) -> dict[str, onnx.ModelProto]:
    return {name: export_onnx.to_onnx(export) for name, export in exports.items()}


@pytest.mark.parametrize("name", ALLOWED)
def test_onnx_runtime_agrees_with_torch(exports, models, name):
    assert export_onnx.largest_difference(exports[name], models[name]) < ALLOWED[name]


def test_the_joint_and_the_mesh_stage_name_the_encoder_whose_views_they_understand(exports):
    encoder, joints = exports[joint_stage.ENCODER_FILE], exports[joint_stage.DENOISER_FILE]
    assert encoder.metadata["view_space"] == joints.metadata["view_space"]
    # This mesh stage was built on another joint stage than the one exported here.
    assert exports[DENOISER_FILE].metadata["view_space"] != encoder.metadata["view_space"]


def test_an_encoder_states_what_it_learned_from_and_has_an_input_for_an_image_only_then(exports, tmp_path):
    write_shard(tmp_path, "train", 4)
    task = joint_task.make_task(JointConfig(task="joints", steps=1, views=str(tmp_path)))
    looking = task.exports(task.net.eval())[0]
    blind = exports[joint_stage.ENCODER_FILE]
    assert (blind.metadata["cues"], looking.metadata["cues"]) == ("depth", "depth world image")
    assert (set(blind.inputs), set(looking.inputs)) == ({"condition"}, {"condition", "features"})
    assert export_onnx.largest_difference(looking, export_onnx.to_onnx(looking)) < ALLOWED[joint_stage.ENCODER_FILE]


@pytest.mark.parametrize("name", ALLOWED)
def test_a_hand_is_computed_alike_alone_and_among_others(exports, models, name, tmp_path):
    onnx_file.save(models[name], tmp_path / name, {"licence": "none"})
    model = OnnxModel(tmp_path / name, {"kind": exports[name].metadata["kind"]}, "cpu", threads=1)
    shared = {key: exports[name].inputs[key].numpy() for key in exports[name].shared}
    own = {key: value.numpy() for key, value in exports[name].inputs.items() if key not in shared}
    (together,), (alone,) = (
        model(**shared, **{key: value[rows] for key, value in own.items()}).values() for rows in (slice(None), slice(1, 2))
    )
    np.testing.assert_allclose(together[1:2], alone, atol=1e-5)


def test_only_matrix_products_and_elementwise_operators_are_exported(models):
    kinds = {node.op_type for model in models.values() for node in model.graph.node}
    assert not kinds & {"Conv", "Scatter", "ScatterND", "Loop", "If", "Einsum"}


def test_the_file_is_recorded_and_refuses_a_foreign_mesh(models, tmp_path):
    onnx_file.save(models[DECODER_FILE], tmp_path / DECODER_FILE, {"licence": "none"})
    assert json.loads((tmp_path / "MANIFEST").read_text())[DECODER_FILE]["licence"] == "none"
    with pytest.raises(ModelError, match="topology"):
        OnnxModel(tmp_path / DECODER_FILE, {"kind": "mesh_decoder", "topology": "another"})


def test_a_file_that_differs_is_not_made(exports):
    # On some processors torch and ONNX Runtime give exactly the same result. So no difference is small enough.
    with pytest.raises(export_onnx.ParityError, match="differs from torch"):
        export_onnx.checked_onnx(dataclasses.replace(exports[DECODER_FILE], tolerance=-1.0))
