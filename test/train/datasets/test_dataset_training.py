"""From a data set to run-time files: views, fine-tuning from the shipped weights, export with the licence mark, and the chain."""

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from tiny_datasets import invented_hands, write_freihand, write_interhand

from hand_mesh_ros.core.cascade.joint_stage import DENOISER_FILE, ENCODER_FILE
from hand_mesh_ros.core.hand.model import FILE_NAME, HandModel, bone_lengths
from hand_mesh_ros.core.models.onnx_model import ModelError, OnnxModel, default_models_dir
from models_train import export_onnx, train
from models_train.checkpoint import BEST, Checkpoint
from models_train.data.real_views import RealView, RealViews, write_shard
from models_train.datasets import evaluate
from models_train.datasets import views as dataset_views
from models_train.datasets.formats.sources import NON_COMMERCIAL
from models_train.datasets.predict import load_pipeline
from models_train.exported_weights import load_exported_joints
from models_train.tasks import joints as joint_task
from models_train.tasks.configs import JointConfig
from models_train.tasks.skeleton_pairs import MixedPairs, StageOnePairs

STEPS = 20


@pytest.fixture(scope="module")
def freihand_root(rendered, tmp_path_factory) -> Path:
    # The last picture shows nothing, so that the detector misses a hand.
    blank = replace(rendered[-1], rgb=np.zeros_like(rendered[-1].rgb))
    return write_freihand(tmp_path_factory.mktemp("freihand"), [*rendered[:-1], blank], rendered[:2])


@pytest.fixture(scope="module")
def real_views(freihand_root, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    assert dataset_views.main(["--dataset", "freihand", "--root", str(freihand_root), "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def tuned(real_views, tmp_path_factory) -> tuple[Path, Path]:
    """Run folder of a fine-tuned denoiser, and a folder of model files with this denoiser."""
    run, models = tmp_path_factory.mktemp("runs") / "tuned", tmp_path_factory.mktemp("tuned") / "models"
    shipped = default_models_dir()
    shutil.copytree(shipped, models)
    options = ["joints", "--run", str(run), "--steps", str(STEPS), "--validate-every", "10", "--batch-size", "16"]
    options += ["--real-views", str(real_views), "--start", str(shipped), "--trained", "denoiser", "--learning-rate", "1e-4"]
    train.main(options)
    export_onnx.main(["joints", "--run", str(run), "--out", str(models)])
    return run, models


def test_views_hold_the_truth_of_average_size_and_the_keypoints_of_the_detector(real_views, rendered):
    shard = np.load(real_views / "freihand_0000.npz")
    bone_sum_m = HandModel.load(default_models_dir() / FILE_NAME).bone_lengths_m.sum()
    assert len(shard["joints_m"]) == 4 * len(rendered)
    assert str(shard["licence"]) == NON_COMMERCIAL
    np.testing.assert_allclose(bone_lengths(shard["joints_m"]).sum(1), bone_sum_m, rtol=1e-5)
    truth = rendered[0].joints_m[:, :2] / rendered[0].joints_m[:, 2:]
    np.testing.assert_allclose(shard["joints_m"][0, :, :2] / shard["joints_m"][0, :, 2:], truth, atol=1e-5)
    seen = shard["is_detected"]
    assert 0.3 < seen.mean() < 1
    true_rays = shard["joints_m"][..., :2] / shard["joints_m"][..., 2:]
    extent = np.sqrt(((true_rays - true_rays.mean(1, keepdims=True)) ** 2).sum(-1).mean(1))
    error = np.linalg.norm(shard["rays"] - true_rays, axis=-1).mean(1) / extent
    assert np.all(error[seen] < 0.7)
    assert np.median(error[seen]) > 0.01
    assert np.all(error[~seen] < 1e-4)
    assert np.all(shard["confidence"][~seen] == 0)


def test_views_of_left_hands_are_right_hands(rendered, tmp_path):
    write_interhand(tmp_path / "set", "train", [rendered[0], rendered[1]])
    out = tmp_path / "views"
    assert dataset_views.main(["--dataset", "interhand", "--root", str(tmp_path / "set"), "--out", str(out)]) == 0
    shard = np.load(out / "interhand_0000.npz")
    # The first picture is the mirrored picture of a right hand, so its view is that of the right hand.
    for row in range(2):
        joints_m = rendered[row].joints_m
        scaled = joints_m * bone_lengths(shard["joints_m"][row]).sum() / bone_lengths(joints_m).sum()
        np.testing.assert_allclose(shard["joints_m"][row], scaled, atol=1e-5)
        truth = joints_m[:, :2] / joints_m[:, 2:]
        assert np.linalg.norm(shard["rays"][row] - truth, axis=-1).mean() < 0.2 * np.ptp(truth)
    assert shard["is_detected"].any()


def test_hands_without_all_joints_make_no_views(tmp_path):
    write_interhand(tmp_path / "set", "train", invented_hands(3), missing=[(0, 25)])
    assert dataset_views.main(["--dataset", "interhand", "--root", str(tmp_path / "set"), "--out", str(tmp_path / "views")]) == 0
    assert len(np.load(tmp_path / "views/interhand_0000.npz")["joints_m"]) == 3


def test_missed_hands_get_modelled_keypoints_that_differ_in_every_batch(tmp_path):
    hand = invented_hands(1)[0].joints_m.astype(np.float32)
    nothing = np.zeros(21, np.float32)
    unseen = RealView(hand, hand[:, :2] / hand[:, 2:], nothing, nothing, np.bool_(False))
    seen = RealView(hand, hand[:, :2] / hand[:, 2:] + 1, nothing + 0.5, nothing + 0.1, np.bool_(True))
    write_shard(tmp_path / "a_0000.npz", [unseen] * 10, "A", NON_COMMERCIAL)
    write_shard(tmp_path / "b_0000.npz", [seen] * 10, "B", NON_COMMERCIAL)
    views = RealViews(tmp_path)
    assert "50.0% seen" in views.recipe
    assert "A, B" in views.recipe
    cues = views.sample(np.random.default_rng(0), 200).cues
    is_seen = np.isclose(cues.rays, seen.rays).all((1, 2))
    assert 0.3 < is_seen.mean() < 0.7
    modelled = cues.rays[~is_seen]
    assert np.ptp(modelled, axis=0).max() > 1e-3
    assert np.abs(np.median(modelled, 0) - unseen.rays).max() < 0.1 * np.ptp(unseen.rays)
    assert np.all(cues.confidence[is_seen] == 0.5)
    assert np.all(cues.given[:, 1:] == 0)
    assert 0.7 < cues.given[:, 0].mean() < 0.95
    # One row of each data set only validates.
    assert len(views.held_out(np.random.default_rng(0), 100).joints_m) == 2


def test_folders_without_views_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"models_train\.datasets\.views"):
        RealViews(tmp_path)


def test_the_shipped_weights_become_a_network(tmp_path):
    """`load_exported_joints` itself compares the outputs. A file with other weights is refused."""
    stage = load_exported_joints(default_models_dir())
    encoder = OnnxModel(default_models_dir() / ENCODER_FILE, {"kind": "joint_encoder"})
    assert stage.view_space == encoder.fact("view_space")
    assert stage.licence == ""
    for name in (ENCODER_FILE, DENOISER_FILE):
        model = onnx.load(str(default_models_dir() / name))
        if name == DENOISER_FILE:
            tensor = next(each for each in model.graph.initializer if each.name == "entry.bias")
            tensor.name = "other.bias"
            for node in model.graph.node:
                node.input[:] = ["other.bias" if value == "entry.bias" else value for value in node.input]
        onnx.save(model, str(tmp_path / name))
    with pytest.raises(ModelError, match="other weights than the denoiser"):
        load_exported_joints(tmp_path)


def test_a_fine_tuning_starts_at_the_shipped_weights_and_changes_the_denoiser_only(tuned):
    run, _ = tuned
    start, net = load_exported_joints(default_models_dir()).net, joint_task.load_joints(run)
    for name, value in start.encoder.state_dict().items():
        torch.testing.assert_close(net.encoder.state_dict()[name], value, rtol=0, atol=0)
    moved = [(net.denoiser.state_dict()[name] - value).abs().max() for name, value in start.denoiser.state_dict().items()]
    assert 0 < max(moved) < 0.05
    checkpoint = Checkpoint.load(run / BEST)
    assert checkpoint.step in (10, STEPS)
    # The untrained network has more than 30 mm on any hand.
    assert checkpoint.metrics["mean_mm"] < 25


def test_exported_files_carry_the_mark_and_the_chain_reports_it(tuned, freihand_root, caplog):
    _, models = tuned
    manifest = json.loads((models / "MANIFEST").read_text())
    for name in (ENCODER_FILE, DENOISER_FILE):
        assert OnnxModel(models / name, {"licence": NON_COMMERCIAL}).is_non_commercial
        assert manifest[name]["licence"] == NON_COMMERCIAL
    with caplog.at_level(logging.WARNING):
        pipeline = load_pipeline(str(models))
    assert f"{DENOISER_FILE} is {NON_COMMERCIAL}" in caplog.text
    assert len(pipeline.restrictions) == 2
    assert NON_COMMERCIAL in pipeline.hand_model.licence
    options = ["--dataset", "freihand", "--root", str(freihand_root), "--models", str(models)]
    assert evaluate.main(options) == 0


def test_the_shipped_chain_has_no_restriction(caplog):
    with caplog.at_level(logging.WARNING):
        pipeline = load_pipeline()
    assert pipeline.restrictions == ()
    assert "non-commercial" not in pipeline.hand_model.licence
    assert not caplog.text


def test_stages_trained_on_marked_weights_are_marked(tuned, tmp_path):
    run, models = tuned
    pairs = MixedPairs(StageOnePairs(run, 0.6))
    assert pairs.licence == NON_COMMERCIAL
    shipped = OnnxModel(default_models_dir() / ENCODER_FILE, {"kind": "joint_encoder"})
    assert pairs.view_space == shipped.fact("view_space")
    # The unchanged encoder file may be the shipped one.
    shutil.copytree(models, tmp_path / "mixed")
    shutil.copy(default_models_dir() / ENCODER_FILE, tmp_path / "mixed" / ENCODER_FILE)
    again = joint_task.make_task(JointConfig(task="joints", steps=1, start=str(tmp_path / "mixed")))
    assert again.facts["licence"] == NON_COMMERCIAL
    assert all(export.metadata["licence"] == NON_COMMERCIAL for export in again.exports(again.net.eval()))


def test_a_training_of_all_networks_has_its_own_view_space(real_views):
    task = joint_task.make_task(JointConfig(task="joints", steps=1, batch_size=8, real_views=str(real_views)))
    batch = task.train_batch(0)
    assert len(batch["joints"]) == 8
    assert "view_space" not in task.facts
    assert task.facts["licence"] == NON_COMMERCIAL
    for name, value in task.train_batch(0).items():
        assert torch.equal(value, batch[name])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"views": "somewhere", "start": "models"}, "use one or the other"),
        ({"trained": "denoiser"}, "give the folder of the encoder"),
        ({"real_views": "somewhere", "batch_size": 1}, "batch_size is 1"),
    ],
)
def test_settings_that_exclude_each_other_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        joint_task.make_task(JointConfig(task="joints", steps=1, **settings))
