"""Training of the first stage: skeletons from what the detector reports."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hand_mesh_ros.core.cascade.joint_stage import DENOISER_FILE, ENCODER_FILE
from hand_mesh_ros.core.cascade.view import CONDITION_SIZE, FEATURES_SHAPE, JOINT_UNIT_M, look_at_hand
from hand_mesh_ros.core.geometry import rigid
from hand_mesh_ros.core.models import noise
from hand_mesh_ros.core.models.sampler import ddim
from hand_mesh_ros.core.topology import N_JOINTS, joint_order_digest
from models_train.checkpoint import BEST, Checkpoint, weights_digest
from models_train.configs import JointConfig
from models_train.data import shards, views
from models_train.data.shards import StoredViews
from models_train.data.views import Views
from models_train.nets.joint_denoiser import JointNet
from models_train.task import Batch, Export, Task, TrainConfig

# A share of the views is of hands that no image shows, with modelled errors: they never repeat.
_SHARE_MODELLED = 0.4
_N_VALIDATION = 1000
_HYPOTHESES, _STEPS = 8, 4
# A view is embedded once and denoised from this many noisy skeletons: embedding and making it cost most.
_TIMES_PER_VIEW = 2
_VIEW_TOLERANCE, _JOINT_TOLERANCE = 2e-2, 1e-3  # fp16 storage included; joints in JOINT_UNIT_M: 0.05 mm


def make_task(config: JointConfig) -> Task:
    """The joint stage.

    Raises:
        ValueError: if `config` names no folder of stored views, or an empty one.
    """
    if not config.views:
        raise ValueError("joints needs stored views: --views FOLDER, made by python -m models_train.data.detected")
    folder = Path(config.views)
    return JointTask(config, StoredViews(folder, "train"), StoredViews(folder, "held_out"))


class JointTask:
    """x0 prediction of skeletons in the virtual camera."""

    def __init__(self, config: TrainConfig, stored: StoredViews, held_out: StoredViews) -> None:
        self.config = config
        self.net = JointNet()
        self.facts: dict[str, Any] = {"data": [shards.RECIPE, views.RECIPE]}
        self._stored, self._held_out_views = stored, held_out

    def train_batch(self, step: int) -> Batch:
        rng = np.random.default_rng((self.config.seed, step))
        n_modelled = round(_SHARE_MODELLED * self.config.batch_size)
        seen, features = self._stored.sample(rng, self.config.batch_size - n_modelled)
        nothing = np.zeros((n_modelled, *FEATURES_SHAPE), np.float32)
        return _joined(self._batch(seen, features), self._batch(views.sample_views(rng, n_modelled), nothing))

    def loss(self, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        view = self.net.encoder(batch["condition"], batch["features"]).repeat_interleave(_TIMES_PER_VIEW, 0)
        clean = batch["joints"].repeat_interleave(_TIMES_PER_VIEW, 0)
        time = 1 + (noise.TRAINING_STEPS - 1) * torch.rand(len(clean))
        kept = torch.from_numpy(noise.alpha_bar(time.numpy())).float()[:, None].to(clean.device)
        noisy = noise.mix(clean, torch.randn_like(clean), kept)
        guess = self.net.denoiser(noisy, time.to(clean.device), view)
        error_mm = 1000 * JOINT_UNIT_M * (guess - clean).detach().reshape(-1, N_JOINTS, 3).norm(dim=-1).mean().item()
        return (guess - clean).square().mean(), {"joint_mm": error_mm}

    def validate(self, net: JointNet) -> dict[str, float]:
        hypotheses, truth = self._hypotheses(net, self._held_out)
        blind, _ = self._hypotheses(net, self._held_out_blind)
        mean_mm = 1000 * _distance(hypotheses.mean(1), truth).mean()
        each = 1000 * _distance(hypotheses, truth[:, None])
        figures = {
            "score": mean_mm,
            "mean_mm": mean_mm,
            "mean_without_image_mm": 1000 * _distance(blind.mean(1), truth).mean(),
            "single_mm": each.mean(),
            "best_mm": each.min(1).mean(),
            "spread_mm": 1000 * np.linalg.norm(hypotheses - hypotheses.mean(1, keepdims=True), axis=-1).mean(),
        }
        return {name: float(value) for name, value in figures.items()}

    def exports(self, net: JointNet) -> list[Export]:
        width = net.encoder.unseen.numel()
        common = {"joint_order": joint_order_digest(), "view_space": view_space(net)}
        condition, features = torch.randn(3, CONDITION_SIZE), torch.randn(3, *FEATURES_SHAPE)
        condition[:, -1] = torch.tensor([1.0, 0.0, 1.0])
        seen = {"condition": condition, "features": features}
        noisy = {"noisy_joints": torch.randn(3, 3 * N_JOINTS), "time": torch.tensor([1000.0, 500.0, 1.0])}
        noisy["view_embedding"] = torch.randn(3, width)
        encoder_facts = {"kind": "joint_encoder", **common}
        denoiser_facts = {"kind": "joint_denoiser", "schedule": noise.SCHEDULE, **common}
        return [
            Export(ENCODER_FILE, net.encoder, seen, ("view_embedding",), encoder_facts, _VIEW_TOLERANCE),
            Export(DENOISER_FILE, net.denoiser, noisy, ("joints",), denoiser_facts, _JOINT_TOLERANCE),
        ]

    def _hypotheses(self, net: JointNet, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
        """Sampled (n, K, 21, 3) and true (n, 21, 3) skeletons, metres."""
        with torch.no_grad():
            drawn = sample_joints(net, batch["condition"], batch["features"], _HYPOTHESES, _STEPS)
        return drawn, JOINT_UNIT_M * batch["joints"].reshape(-1, N_JOINTS, 3).cpu().double().numpy()

    @cached_property
    def _held_out(self) -> Batch:
        return self._stored_batch(np.ones(3))

    @cached_property
    def _held_out_blind(self) -> Batch:
        return self._stored_batch(np.array([1.0, 1.0, 0.0]))

    def _stored_batch(self, given: np.ndarray) -> Batch:
        rows = np.arange(min(_N_VALIDATION, len(self._held_out_views)))
        return self._batch(*self._held_out_views.pick(rows, np.tile(given, (len(rows), 1))))

    def _batch(self, seen: Views, features: np.ndarray) -> Batch:
        return {name: value.to(self.config.device) for name, value in to_batch(seen, features).items()}


def load_joints(run: Path) -> JointNet:
    """The best joint stage of a run, in evaluation mode, frozen.

    Raises:
        CheckpointError: if there is none.
    """
    net = JointNet()
    net.load_state_dict(Checkpoint.load(run / BEST).averaged)
    return net.eval().requires_grad_(False)


def to_batch(seen: Views, features: np.ndarray) -> Batch:
    """The nets' tensors of n views and their image features (n, 192, 7, 7)."""
    view = look_at_hand(seen.cues)
    relative = (seen.joints_m - seen.joints_m[:, :1]) @ np.swapaxes(view.virtual_from_camera, -1, -2) / JOINT_UNIT_M
    joints = relative.astype(np.float32).reshape(len(relative), -1)
    arrays = {"condition": view.condition, "features": features, "joints": joints}
    return {name: torch.from_numpy(value) for name, value in arrays.items()}


def sample_joints(net: JointNet, condition: torch.Tensor, features: torch.Tensor, count: int, steps: int) -> np.ndarray:
    """Skeletons (n, count, 21, 3) metres in the virtual camera of `n` views, as run time draws them."""
    view = net.encoder(condition, features).repeat_interleave(count, 0)
    start = torch.randn(len(view), 3 * N_JOINTS, device=view.device)
    drawn = ddim(lambda noisy, time: net.denoiser(noisy, torch.full((len(noisy),), time).to(noisy), view), start, steps)
    return JOINT_UNIT_M * drawn.reshape(-1, count, N_JOINTS, 3).cpu().double().numpy()


def view_space(net: JointNet) -> str:
    """Short digest of the encoder's weights: a denoiser understands no other encoder's views."""
    return weights_digest(net.encoder)


def _joined(one: Batch, other: Batch) -> Batch:
    return {name: torch.cat([one[name], other[name]]) for name in one}


def _aligned(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    return rigid.transform(source, *rigid.align(source, target, with_scale=True))


def _distance(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Mean joint distance after similarity alignment, (...,)."""
    return np.linalg.norm(_aligned(source, target) - target, axis=-1).mean(-1)
