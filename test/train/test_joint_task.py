"""The joint stage: what its encoder may depend on, its batches, and that it learns."""

from pathlib import Path

import numpy as np
import pytest
import torch
from stored_hands import write_joint_stage, write_shard

from hand_mesh_ros.core.cascade.view import CONDITION_SIZE, FEATURES_SHAPE, JOINT_UNIT_M
from hand_mesh_ros.core.hand.model import bone_lengths
from hand_mesh_ros.core.topology import N_JOINTS
from models_train import train_loop
from models_train.checkpoint import CheckpointError
from models_train.data import views
from models_train.nets.joint_denoiser import JointNet, JointSize, ViewEncoder
from models_train.tasks import joints as joint_task
from models_train.tasks.configs import JointConfig
from models_train.tasks.joints import JointTask

BATCH = 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("views")
    for seed, kind in enumerate(("train", "held_out")):
        write_shard(folder, kind, 24, seed)
    return folder


@pytest.fixture
def task(folder) -> JointTask:
    """On modelled views and stored ones."""
    torch.manual_seed(0)
    return joint_task.make_task(JointConfig(task="joints", steps=1, batch_size=BATCH, views=str(folder)))


@pytest.fixture
def modelled_task() -> JointTask:
    """On modelled views alone, as the shipped one."""
    torch.manual_seed(0)
    return joint_task.make_task(JointConfig(task="joints", steps=1, batch_size=BATCH))


@pytest.fixture
def encoder() -> ViewEncoder:
    torch.manual_seed(0)
    return ViewEncoder(32, looks=True).eval()


def conditions(n: int, image_given: float) -> torch.Tensor:
    condition = torch.randn(n, CONDITION_SIZE)
    condition[:, -1] = image_given
    return condition


@pytest.mark.parametrize("training", [False, True])
def test_withheld_image_features_do_not_matter(encoder, training):
    encoder.train(training)
    features = torch.randn(2, 3, *FEATURES_SHAPE)
    condition = conditions(3, 0.0)
    assert torch.equal(encoder(condition, features[0]), encoder(condition, features[1]))
    condition[:, -1] = 1.0
    assert not torch.allclose(encoder(condition, features[0]), encoder(condition, features[1]), atol=1e-2)


@pytest.mark.parametrize("image_given", [0.0, 1.0])
def test_an_encoder_that_never_learned_from_images_takes_none(image_given):
    encoder = ViewEncoder(32, looks=False).eval()
    condition = conditions(3, image_given)
    assert torch.equal(encoder(condition, torch.randn(3, *FEATURES_SHAPE)), encoder(condition))


def test_brightness_and_contrast_of_the_features_do_not_matter(encoder):
    condition, features = conditions(3, 1.0), torch.randn(3, *FEATURES_SHAPE)
    offset, gain = torch.randn(1, 192, 1, 1), 1 + torch.rand(1, 192, 1, 1)
    torch.testing.assert_close(encoder(condition, gain * features + offset), encoder(condition, features), atol=0.02, rtol=0)


def test_the_place_of_features_in_the_crop_matters(encoder):
    condition, features = conditions(3, 1.0), torch.randn(3, *FEATURES_SHAPE)
    assert not torch.allclose(encoder(condition, features.flip(-1)), encoder(condition, features), atol=1e-2)


def test_patches_are_hidden_in_training_only(encoder):
    seen: list[torch.Tensor] = []
    encoder.patches.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    condition, features = conditions(20, 1.0), torch.randn(20, *FEATURES_SHAPE)
    for training in (False, True, True):
        encoder.train(training)(condition, features)
    shares = [(patches == 0).all(-1).float().mean().item() for patches in seen]
    assert shares == pytest.approx([0, 0.3, 0.3], abs=0.06)
    assert not torch.equal(seen[1], seen[2])
    torch.testing.assert_close(encoder.eval()(condition, features), encoder(condition, features), rtol=0, atol=0)


def test_batches_have_their_shapes_and_parts(task):
    batch = task.train_batch(0)
    assert batch["condition"].shape == (BATCH, CONDITION_SIZE)
    assert batch["features"].shape == (BATCH, *FEATURES_SHAPE)
    assert batch["joints"].shape == (BATCH, 3 * N_JOINTS)
    assert all(value.dtype == torch.float32 for value in batch.values())
    # The last two fifths are hands that no image shows.
    modelled = slice(BATCH - round(0.4 * BATCH), None)
    assert torch.all(batch["condition"][modelled, -1] == 0)
    assert torch.all(batch["features"][modelled] == 0)
    assert torch.all(batch["features"][: modelled.start].abs().amax((1, 2, 3)) > 0)


def test_batches_of_modelled_views_have_no_images(modelled_task):
    batch = modelled_task.train_batch(0)
    assert set(batch) == {"condition", "joints"}
    assert len(batch["condition"]) == BATCH
    assert torch.all(batch["condition"][:, -1] == 0)
    assert not modelled_task.net.size.looks


def test_batches_depend_on_seed_and_step_alone(task):
    first, again, other = (task.train_batch(step) for step in (3, 3, 4))
    for name, value in first.items():
        assert torch.equal(value, again[name])
    assert not torch.allclose(first["joints"], other["joints"])


def test_targets_are_true_skeletons_turned_into_the_virtual_camera():
    seen = views.sample_views(np.random.default_rng(0), 10)
    batch = joint_task.to_batch(seen, np.zeros((10, *FEATURES_SHAPE), np.float32))
    joints_m = JOINT_UNIT_M * batch["joints"].reshape(-1, N_JOINTS, 3).numpy()
    np.testing.assert_allclose(joints_m[:, 0], 0, atol=1e-7)
    np.testing.assert_allclose(bone_lengths(joints_m), bone_lengths(seen.joints_m), atol=1e-6)
    # From the wrist the middle finger's base lies above, as the cues are upright; errors of theirs tilt it.
    assert np.median(joints_m[:, 9, 1]) < -0.02
    # In the unit of the nets they are about 1.
    assert 0.5 < batch["joints"].std().item() < 2


@pytest.mark.parametrize("kind", ["task", "modelled_task"])
def test_one_batch_can_be_learned(request, kind):
    task = request.getfixturevalue(kind)
    batch = task.train_batch(0)
    optimizer = train_loop.make_optimizer(task.net, task.config)
    values = []
    for _ in range(30):
        torch.manual_seed(0)  # the same noise in every step: only the weights change
        loss, figures = task.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert figures["joint_mm"] > 0
    assert values[-1] < 0.5 * values[0]
    assert max(values[-5:]) < min(values[:5])


@pytest.mark.parametrize("kind", ["task", "modelled_task"])
def test_validation_measures_samples_on_hands_kept_from_training(request, kind, monkeypatch):
    task, asked = request.getfixturevalue(kind), []
    draw = views.sample_views
    monkeypatch.setattr(views, "sample_views", lambda *args, **named: (asked.append(named), draw(*args, **named))[1])
    figures = task.validate(task.net.eval())
    assert asked == [{"held_out": True}]
    assert all(np.isfinite(value) for value in figures.values())
    assert figures["score"] == figures["mean_mm"]
    assert figures["best_mm"] < figures["single_mm"]


def test_samples_have_their_shape_and_come_from_the_generator(task):
    batch = task.train_batch(0)
    draws = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        with torch.no_grad():
            draws.append(joint_task.sample_joints(task.net.eval(), batch["condition"], batch["features"], 3, 2))
    assert draws[0].shape == (BATCH, 3, N_JOINTS, 3)
    np.testing.assert_array_equal(draws[0], draws[1])
    assert np.abs(draws[0] - draws[2]).max() > 1e-3


def test_a_trained_stage_is_loaded_frozen_and_known_by_its_encoder(tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint"):
        joint_task.load_joints(tmp_path)
    net = write_joint_stage(tmp_path)
    loaded = joint_task.load_joints(tmp_path)
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert joint_task.view_space(loaded) == joint_task.view_space(net)
    torch.manual_seed(1)
    assert joint_task.view_space(JointNet(JointSize())) != joint_task.view_space(net)


def test_an_empty_folder_of_views_is_refused_with_advice(tmp_path):
    with pytest.raises(ValueError, match=r"models_train\.data\.detected"):
        joint_task.make_task(JointConfig(task="joints", steps=1, views=str(tmp_path)))
