"""The two trainings of the mesh stage: first the autoencoder, then the latent denoiser."""

from collections.abc import Callable
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hand_mesh_ros.core.cascade.mesh_stage import DECODER_FILE, DENOISER_FILE, VIEW_ROTATION_SIZE, palm_from_hand, view_of
from hand_mesh_ros.core.geometry import rigid
from hand_mesh_ros.core.hand import model as hand_model
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.models import noise
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.models.sampler import ddim
from hand_mesh_ros.core.topology import N_JOINTS, joint_order_digest
from models_train import losses
from models_train.checkpoint import BEST, Checkpoint, weights_digest
from models_train.hands.sample import sample_hands
from models_train.nets.latent_denoiser import LatentDenoiser
from models_train.nets.mesh_autoencoder import AutoencoderSize, Decoder, MeshAutoencoder
from models_train.tasks.configs import AutoencoderConfig, LatentConfig
from models_train.tasks.skeleton_pairs import MixedPairs, NoisyTruthPairs, Pairs, PairSource, StageOnePairs
from models_train.tasks.task import Batch, Export, Task, TrainConfig

_VALIDATION_SEED, _N_VALIDATION = 20_000, 512
_START_SEED, _N_START = 30_000, 2000  # of the hands for the principal components of the autoencoder
_EXPORT_TOLERANCE_M = 5e-5  # fp16 storage included
# Share of latents that start from pure noise, like the single step at run time. The other latents start at a random time.
_SHARE_FROM_NOISE = 0.5
_SHARES_WITHHELD = torch.tensor([0.1, 0.25])  # of skeletons and of views
_LATENT_WEIGHT = 0.2  # small, because most latent components have little effect on the vertices


def make_task(config: AutoencoderConfig | LatentConfig) -> Task:
    """Returns the mesh task of `config`, for the shipped hand model.

    Raises:
        ValueError: if `config` does not name a required run.
    """
    hand = HandModel.load(default_models_dir() / hand_model.FILE_NAME)
    if isinstance(config, AutoencoderConfig):
        return AutoencoderTask(config, hand)
    if not (config.source and config.joints):
        raise ValueError("mesh_latent needs --source (run of a mesh_autoencoder) and --joints (run of joints)")
    sampled = StageOnePairs(Path(config.joints), config.natural_share)
    sources: dict[str, Callable[[], PairSource]] = {
        "both": lambda: MixedPairs(sampled),
        "stage_one": lambda: sampled,
        "noisy_truth": lambda: NoisyTruthPairs(sampled),
    }
    return LatentTask(config, hand, load_autoencoder(Path(config.source), hand), sources[config.skeletons]())


def load_autoencoder(run: Path, hand: HandModel) -> MeshAutoencoder:
    """Returns the best autoencoder of a run, in evaluation mode, with frozen weights.

    Raises:
        CheckpointError: if the run has no checkpoint.
        ValueError: if the training used another mesh.
    """
    checkpoint = Checkpoint.load(run / BEST)
    if checkpoint.facts["topology"] != hand.digest:
        raise ValueError(
            f"{run} was trained for mesh {checkpoint.facts['topology']}, but the hand model is {hand.digest}; train again"
        )
    net = MeshAutoencoder(hand, AutoencoderSize(**checkpoint.facts["size"]))
    net.load_state_dict(checkpoint.averaged)
    return net.eval().requires_grad_(False)


def latent_space(decoder: Decoder) -> str:
    """Returns a short digest of a decoder's weights. Latents are valid only for their own decoder."""
    return weights_digest(decoder)


def to_palm(points_m: np.ndarray, joints_m: np.ndarray, hand: HandModel) -> torch.Tensor:
    """Transforms points (n, P, 3) of hands with skeletons (n, 21, 3) to the palm frame of each hand, as float32."""
    return torch.from_numpy(rigid.transform(points_m, *palm_from_hand(joints_m, hand)).astype(np.float32))


class MeshLoss:
    """Vertices, joints, normals and edges of predicted meshes against true ones."""

    def __init__(self, hand: HandModel, device: str) -> None:
        self.faces = torch.from_numpy(hand.faces).long().to(device)
        sides = torch.cat([self.faces[:, [0, 1]], self.faces[:, [1, 2]], self.faces[:, [2, 0]]])
        self.edges = sides.sort(dim=1).values.unique(dim=0)
        self.regressor = torch.from_numpy(hand.joint_regressor).to(device)

    def __call__(self, predicted_m: torch.Tensor, true_m: torch.Tensor) -> torch.Tensor:
        """Loss of each mesh, (B,), of meshes (B, V, 3)."""
        return (
            losses.position(predicted_m, true_m)
            + losses.position(self.regressor @ predicted_m, self.regressor @ true_m)
            + 0.1 * losses.normal(predicted_m, true_m, self.faces)
            + 0.5 * losses.edge_length(predicted_m, true_m, self.edges)
        )


class AutoencoderTask:
    """Reconstruction of sampled hands."""

    def __init__(self, config: TrainConfig, hand: HandModel, size: AutoencoderSize | None = None) -> None:
        size = size or AutoencoderSize()
        self.config, self.hand = config, hand
        self.net = MeshAutoencoder(hand, size)
        self.facts: dict[str, Any] = {"data": "models_train.hands.sample", "topology": hand.digest, "size": asdict(size)}
        self.net.start_from(self._sample(np.random.default_rng(_START_SEED), _N_START)["vertices_m"])
        self._mesh_loss = MeshLoss(hand, config.device)

    def train_batch(self, step: int) -> Batch:
        return self._sample(np.random.default_rng((self.config.seed, step)), self.config.batch_size)

    def loss(self, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        predicted_m = self.net(batch["vertices_m"])
        figures = {"vertex_mm": losses.mean_distance_mm(predicted_m.detach(), batch["vertices_m"])}
        return self._mesh_loss(predicted_m, batch["vertices_m"]).mean(), figures

    def validate(self, net: MeshAutoencoder) -> dict[str, float]:
        latent = net.encoder(self._held_out["vertices_m"])
        error_mm = 1000 * (net.decoder(latent) - self._held_out["vertices_m"]).norm(dim=-1)
        score = error_mm.mean().item()
        worst = error_mm.mean(1).quantile(0.95).item()
        return {"score": score, "vertex_mm": score, "hand_p95_mm": worst, "latent_std": latent.std(0).mean().item()}

    def exports(self, net: MeshAutoencoder) -> list[Export]:
        size = net.size.latent
        facts = {"latent_size": str(size), "latent_space": latent_space(net.decoder)}
        inputs = {"latent": torch.randn(3, size)}
        metadata = {"kind": "mesh_decoder", **_identity(self.hand), **facts}
        tolerance = _EXPORT_TOLERANCE_M
        # Half precision in the decoder would use the whole tolerance, so the file stores the decoder in float32.
        exact = tuple(net.decoder.state_dict()) + tuple(name for name, _ in net.decoder.named_buffers())
        return [Export(DECODER_FILE, net.decoder, inputs, ("vertices_m",), metadata, tolerance, exact)]

    @cached_property
    def _held_out(self) -> Batch:
        batch = self._sample(np.random.default_rng(_VALIDATION_SEED), _N_VALIDATION)
        return {name: value.to(self.config.device) for name, value in batch.items()}

    def _sample(self, rng: np.random.Generator, n: int) -> Batch:
        hands = sample_hands(rng, n)
        return {"vertices_m": to_palm(hands.vertices_m, hands.joints_m, self.hand)}


class LatentTask:
    """Latents of true meshes from noise, an inexact skeleton, and the view of this skeleton."""

    def __init__(self, config: TrainConfig, hand: HandModel, autoencoder: MeshAutoencoder, pairs: PairSource) -> None:
        self.config, self.hand = config, hand
        self.autoencoder = autoencoder.to(config.device)
        self._pairs = pairs
        self.net = LatentDenoiser(hand, autoencoder.size.latent, pairs.embedding_size + VIEW_ROTATION_SIZE)
        space = latent_space(autoencoder.decoder)
        self.facts: dict[str, Any] = {
            "data": pairs.recipe,
            "topology": hand.digest,
            "latent_space": space,
            "view_space": pairs.view_space,
        }
        if pairs.licence:
            self.facts["licence"] = pairs.licence
        self._mesh_loss = MeshLoss(hand, config.device)

    def train_batch(self, step: int) -> Batch:
        rng = np.random.default_rng((self.config.seed, step))
        return self._batch(self._pairs.sample(rng, self.config.batch_size))

    def loss(self, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        clean = self.autoencoder.encoder(batch["vertices_m"])
        n = len(clean)
        time = 1 + (noise.TRAINING_STEPS - 1) * torch.rand(n)
        time[torch.rand(n) < _SHARE_FROM_NOISE] = noise.TRAINING_STEPS
        kept = torch.from_numpy(noise.alpha_bar(time.numpy())).float()[:, None].to(clean.device)
        noisy = noise.mix(clean, torch.randn_like(clean), kept)
        given = batch["given"] * (torch.rand(n, 2) >= _SHARES_WITHHELD).float().to(clean.device)
        guess = self.net(noisy, time.to(clean.device), batch["joints_m"], batch["view"], given)
        predicted_m = self.autoencoder.decoder(guess)
        latent_loss = (guess - clean).abs().mean()
        figures = {"latent": latent_loss.item(), "vertex_mm": losses.mean_distance_mm(predicted_m.detach(), batch["vertices_m"])}
        return _LATENT_WEIGHT * latent_loss + self._mesh_loss(predicted_m, batch["vertices_m"]).mean(), figures

    def validate(self, net: LatentDenoiser) -> dict[str, float]:
        held_out = self._held_out
        from_samples = self._error_mm(net, held_out["joints_m"], with_view=True)
        return {
            "score": from_samples,
            "vertex_mm": from_samples,
            "vertex_without_view_mm": self._error_mm(net, held_out["joints_m"], with_view=False),
            "vertex_true_mm": self._error_mm(net, held_out["true_joints_m"], with_view=False),
        }

    def exports(self, net: LatentDenoiser) -> list[Export]:
        size = self.autoencoder.size.latent
        inputs = {
            "noisy_latent": torch.randn(3, size),
            "time": torch.tensor([1000.0, 500.0, 1.0]),
            "joints_m": torch.from_numpy(self.hand.joints_m) + 0.01 * torch.randn(3, N_JOINTS, 3),
            "view": torch.randn(3, self._pairs.embedding_size + VIEW_ROTATION_SIZE),
            "given": torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]]),
        }
        facts = {name: self.facts[name] for name in ("latent_space", "view_space", "licence") if name in self.facts}
        facts |= {"schedule": noise.SCHEDULE, "latent_size": str(size)}
        metadata = {"kind": "mesh_denoiser", **_identity(self.hand), **facts}
        return [Export(DENOISER_FILE, net, inputs, ("latent",), metadata, tolerance=2e-2)]

    def _error_mm(self, net: LatentDenoiser, joints_m: torch.Tensor, with_view: bool) -> float:
        """Returns the mean vertex error in the palm frame, for meshes from one sampling step."""
        given = torch.ones(len(joints_m), 2, device=joints_m.device)
        given[:, 1] = float(with_view)
        view = self._held_out["view"]
        start = torch.randn(len(joints_m), self.autoencoder.size.latent, device=joints_m.device)
        latent = ddim(lambda noisy, time: net(noisy, time * given[:, 0], joints_m, view, given), start, 1)
        return losses.mean_distance_mm(self.autoencoder.decoder(latent), self._held_out["vertices_m"])

    @cached_property
    def _held_out(self) -> Batch:
        return self._batch(self._pairs.held_out(_N_VALIDATION))

    def _batch(self, pairs: Pairs) -> Batch:
        true_joints_m = self.hand.joint_regressor @ pairs.vertices_m
        arrays = {
            "joints_m": to_palm(pairs.joints_m, pairs.joints_m, self.hand),
            "true_joints_m": to_palm(true_joints_m, true_joints_m, self.hand),
            "vertices_m": to_palm(pairs.vertices_m, true_joints_m, self.hand),
            "view": torch.from_numpy(view_of(pairs.embedding, palm_from_hand(pairs.joints_m, self.hand)[0])),
            "given": torch.from_numpy(np.stack([np.ones(len(pairs.seen)), pairs.seen], -1).astype(np.float32)),
        }
        return {name: value.to(self.config.device) for name, value in arrays.items()}


def _identity(hand: HandModel) -> dict[str, str]:
    return {"joint_order": joint_order_digest(), "topology": hand.digest}
