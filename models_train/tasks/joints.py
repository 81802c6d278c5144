"""Training of the first stage: skeletons from the cues of the detector."""

from dataclasses import asdict
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
from models_train.data import shards, views
from models_train.data.real_views import RealViews
from models_train.data.shards import StoredViews
from models_train.data.views import Views
from models_train.exported_weights import ExportedStage, load_exported_joints
from models_train.nets.joint_denoiser import JointNet, JointSize
from models_train.tasks.configs import JointConfig
from models_train.tasks.task import Batch, Export, TrainConfig

# Share of modelled views in a training with stored views. Modelled views have no image and never repeat.
_SHARE_MODELLED = 0.4
_VALIDATION_SEED, _N_VALIDATION = 40_000, 1000
_HYPOTHESES, _STEPS = 8, 4
# Number of noisy skeletons per view. The view itself costs the most time, so the training uses each view several times.
_TIMES_PER_VIEW = 2
_VIEW_TOLERANCE, _JOINT_TOLERANCE = 2e-2, 1.5e-3  # fp16 storage included; joints in JOINT_UNIT_M: 0.075 mm for any coordinate


def make_task(config: JointConfig) -> "JointTask":
    """Returns the task of the joint stage with modelled views and the views of the folders that `config` names.

    Raises:
        ValueError: if a folder is empty, or the settings exclude each other.
        ModelError: if the files to start from are missing or foreign.
    """
    if config.views and (config.real_views or config.start):
        raise ValueError("views are rendered and have image features; real_views and start have none: use one or the other")
    if config.trained == "denoiser" and not config.start:
        raise ValueError("trained is denoiser: give the folder of the encoder with start")
    if config.real_views and config.batch_size < 2:
        raise ValueError(f"batch_size is {config.batch_size}; real_views need 2 or more, since a part of each batch is modelled")
    start = load_exported_joints(Path(config.start)) if config.start else None
    if start and start.net.size.looks:
        raise ValueError(
            f"the encoder in {config.start} takes image features; only a stage without image features can be a start"
        )
    stored = StoredViews(Path(config.views), "train") if config.views else None
    return JointTask(config, stored, RealViews(Path(config.real_views)) if config.real_views else None, start)


class JointTask:
    """x0 prediction of skeletons in the virtual camera."""

    def __init__(
        self,
        config: TrainConfig,
        stored: StoredViews | None = None,
        real: RealViews | None = None,
        start: ExportedStage | None = None,
    ) -> None:
        self.config, self._stored, self._real = config, stored, real
        self.net = start.net if start else JointNet(JointSize(config.width, looks=stored is not None))
        data = {"views": views.RECIPE, "natural_share": config.natural_share, "stored": shards.RECIPE if stored else ""}
        self.facts: dict[str, Any] = {"data": data, "size": asdict(self.net.size)}
        if real:
            data |= {"real": real.recipe, "real_share": config.real_share}
        if start:
            self.facts["start"] = start.view_space
        if start and config.trained == "denoiser":
            # The embeddings stay those of the start, so the mesh stage of the start fits.
            self.net.encoder.requires_grad_(False)
            self.facts["view_space"] = start.view_space
        if licence := (real.licence if real else "") or (start.licence if start else ""):
            self.facts["licence"] = licence

    def train_batch(self, step: int) -> Batch:
        rng = np.random.default_rng((self.config.seed, step))
        n, share = self.config.batch_size, self.config.natural_share
        if self._real is not None:
            n_real = min(max(round(self.config.real_share * n), 1), n - 1)
            return _joined(self._batch(self._real.sample(rng, n_real)), self._batch(views.sample_views(rng, n - n_real, share)))
        if self._stored is None:
            return self._batch(views.sample_views(rng, n, share))
        n_modelled = round(_SHARE_MODELLED * n)
        seen = self._batch(*self._stored.sample(rng, n - n_modelled))
        nothing = np.zeros((n_modelled, *FEATURES_SHAPE), np.float32)
        return _joined(seen, self._batch(views.sample_views(rng, n_modelled, share), nothing))

    def loss(self, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        view = self.net.encoder(batch["condition"], batch.get("features")).repeat_interleave(_TIMES_PER_VIEW, 0)
        clean = batch["joints"].repeat_interleave(_TIMES_PER_VIEW, 0)
        time = 1 + (noise.TRAINING_STEPS - 1) * torch.rand(len(clean))
        kept = torch.from_numpy(noise.alpha_bar(time.numpy())).float()[:, None].to(clean.device)
        noisy = noise.mix(clean, torch.randn_like(clean), kept)
        guess = self.net.denoiser(noisy, time.to(clean.device), view)
        error_mm = 1000 * JOINT_UNIT_M * (guess - clean).detach().reshape(-1, N_JOINTS, 3).norm(dim=-1).mean().item()
        return (guess - clean).square().mean(), {"joint_mm": error_mm}

    def validate(self, net: JointNet) -> dict[str, float]:
        batch = self._held_out
        hypotheses = sample_joints(net, batch["condition"], batch.get("features"), _HYPOTHESES, _STEPS)
        truth = JOINT_UNIT_M * batch["joints"].reshape(-1, N_JOINTS, 3).cpu().double().numpy()
        each = 1000 * _distance(hypotheses, truth[:, None])
        mean_mm = 1000 * _distance(hypotheses.mean(1), truth).mean()
        figures = {
            "score": mean_mm,
            "mean_mm": mean_mm,
            "single_mm": each.mean(),
            "best_mm": each.min(1).mean(),
            "spread_mm": 1000 * np.linalg.norm(hypotheses - hypotheses.mean(1, keepdims=True), axis=-1).mean(),
        }
        return {name: float(value) for name, value in figures.items()}

    def exports(self, net: JointNet) -> list[Export]:
        common = {"joint_order": joint_order_digest(), "view_space": self.facts.get("view_space") or view_space(net)}
        if "licence" in self.facts:
            common["licence"] = self.facts["licence"]
        cues = "depth world image" if net.size.looks else "depth"
        condition = torch.randn(3, CONDITION_SIZE)
        condition[:, -1] = torch.tensor([1.0, 0.0, 1.0])
        seen = {"condition": condition}
        if net.size.looks:
            seen["features"] = torch.randn(3, *FEATURES_SHAPE)
        # All hypotheses of one hand have the same time and the same view.
        noisy = {"noisy_joints": torch.randn(3, 3 * N_JOINTS), "time": torch.tensor([500.0])}
        noisy["view_embedding"] = torch.randn(1, net.size.width)
        encoder_facts = {"kind": "joint_encoder", "cues": cues, **common}
        denoiser_facts = {"kind": "joint_denoiser", "schedule": noise.SCHEDULE, **common}
        return [
            Export(ENCODER_FILE, net.encoder, seen, ("view_embedding",), encoder_facts, _VIEW_TOLERANCE),
            Export(
                DENOISER_FILE,
                net.denoiser,
                noisy,
                ("joints",),
                denoiser_facts,
                _JOINT_TOLERANCE,
                shared=("time", "view_embedding"),
            ),
        ]

    @cached_property
    def _held_out(self) -> Batch:
        rng = np.random.default_rng(_VALIDATION_SEED)
        if self._real is not None:
            return self._batch(self._real.held_out(rng, _N_VALIDATION))
        seen = views.sample_views(rng, _N_VALIDATION, self.config.natural_share, held_out=True)
        nothing = None if self._stored is None else np.zeros((_N_VALIDATION, *FEATURES_SHAPE), np.float32)
        return self._batch(seen, nothing)

    def _batch(self, seen: Views, features: np.ndarray | None = None) -> Batch:
        return {name: value.to(self.config.device) for name, value in to_batch(seen, features).items()}


def load_joints(run: Path) -> JointNet:
    """Returns the best joint stage of a run, in evaluation mode, with frozen weights.

    Raises:
        CheckpointError: if the run has no checkpoint.
    """
    checkpoint = Checkpoint.load(run / BEST)
    net = JointNet(JointSize(**checkpoint.facts["size"]))
    net.load_state_dict(checkpoint.averaged)
    return net.eval().requires_grad_(False)


def inherited_facts(run: Path) -> dict[str, str]:
    """Returns the facts of a run that a stage trained on its samples has too: `view_space`, and `licence` if it is restricted.

    Raises:
        CheckpointError: if the run has no checkpoint.
    """
    facts = Checkpoint.load(run / BEST).facts
    licence = {"licence": facts["licence"]} if "licence" in facts else {}
    return {"view_space": facts.get("view_space") or view_space(load_joints(run)), **licence}


def to_batch(seen: Views, features: np.ndarray | None = None) -> Batch:
    """Returns the input tensors of n views and, for networks with image input, the image features (n, 192, 7, 7)."""
    view = look_at_hand(seen.cues)
    relative = (seen.joints_m - seen.joints_m[:, :1]) @ np.swapaxes(view.virtual_from_camera, -1, -2) / JOINT_UNIT_M
    arrays = {"condition": view.condition, "joints": relative.astype(np.float32).reshape(len(relative), -1)}
    if features is not None:
        arrays["features"] = features
    return {name: torch.from_numpy(value) for name, value in arrays.items()}


def sample_joints(net: JointNet, condition: torch.Tensor, features: torch.Tensor | None, count: int, steps: int) -> np.ndarray:
    """Returns skeletons (n, count, 21, 3) in metres in the virtual camera of `n` views, sampled as at run time."""
    with torch.no_grad():
        view = net.encoder(condition, features).repeat_interleave(count, 0)
        start = torch.randn(len(view), 3 * N_JOINTS, device=view.device)
        drawn = ddim(lambda noisy, time: net.denoiser(noisy, torch.full((len(noisy),), time).to(noisy), view), start, steps)
    return JOINT_UNIT_M * drawn.reshape(-1, count, N_JOINTS, 3).cpu().double().numpy()


def view_space(net: JointNet) -> str:
    """Returns a short digest of the encoder's weights. A denoiser works only with the embeddings of its own encoder."""
    return weights_digest(net.encoder)


def _joined(one: Batch, other: Batch) -> Batch:
    return {name: torch.cat([one[name], other[name]]) for name in one}


def _aligned(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    return rigid.transform(source, *rigid.align(source, target, with_scale=True))


def _distance(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Mean joint distance after similarity alignment, (...,)."""
    return np.linalg.norm(_aligned(source, target) - target, axis=-1).mean(-1)
