"""Training of the graph diffusion: meshes from noise, with any part of the conditions; HHMR (Li et al., CVPR 2024)."""

from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from hand_mesh_ros.core.graph.condition import SIGHT_SIZE, line_of_sight
from hand_mesh_ros.core.graph.diffusion import CONDITION_FILE, DENOISER_FILE
from hand_mesh_ros.core.hand import components as hand_components
from hand_mesh_ros.core.hand import model as hand_model
from hand_mesh_ros.core.hand.components import UNIT_M, HandComponents
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.models import noise
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.models.sampler import multistep
from hand_mesh_ros.core.topology import N_JOINTS, joint_order_digest
from models_train import losses
from models_train.checkpoint import weights_digest
from models_train.data import graph_samples
from models_train.data.graph_samples import GraphSamples, StoredHands
from models_train.data.masks import MaskRates, Masks, draw_masks
from models_train.data.real_pictures import RealPictures
from models_train.exported_weights import restore
from models_train.nets.graph_diffusion import GraphNet, GraphSize
from models_train.nets.resnet import IMAGE_SHAPE, MAP_SHAPE, ResNet50
from models_train.tasks.configs import GraphConfig
from models_train.tasks.mesh import MeshLoss
from models_train.tasks.task import Batch, Export, TrainConfig

# Task for the ablation of the paper: self-attention replaces every graph convolution.
ABLATION = "graph_diffusion_only_attention"
_VALIDATION_SEED, _N_VALIDATION, _STEPS, _GENERATION_STEPS = 30_000, 64, 5, 20
_SHARE_STORED = 0.5
# The error of one token spreads over a whole mesh. The important check is the mesh, with 0.05 mm, including fp16 storage.
_TOKEN_TOLERANCE, _MESH_TOLERANCE = 2e-2, 5e-5 / UNIT_M
# Given conditions in each validation: skeleton, keypoints, image.
_CASES = {"all": (1, 1, 1), "skeleton": (1, 0, 0), "keypoints": (0, 1, 0), "image": (0, 0, 1)}


def make_task(config: GraphConfig) -> "GraphTask":
    """Returns the task for the shipped hand model, with image features if `config.views` names stored views.

    With `config.real_views` and a trunk, the images are pictures of data sets, as in the paper.

    Raises:
        ValueError: if the folder has no views, or the settings exclude each other.
        ModelError: if the files to start from are missing or foreign.
    """
    task = _untrained(config)
    if config.start:
        task.start_from(Path(config.start))
    return task


def _untrained(config: GraphConfig) -> "GraphTask":
    hand = HandModel.load(default_models_dir() / hand_model.FILE_NAME)
    size = GraphSize(only_self_attention=config.task == ABLATION)
    if bool(config.real_views) != bool(config.trunk) or (config.real_views and config.views):
        raise ValueError("real_views needs a trunk, and a trunk needs real_views; leave views empty then")
    if config.real_views:
        trunk = ResNet50(Path(config.trunk_weights) if config.trunk_weights else None)
        size = replace(size, tokens=replace(size.tokens, map_shape=MAP_SHAPE, image_shape=IMAGE_SHAPE))
        pictures = [RealPictures(Path(config.real_views), is_held_out) for is_held_out in (False, True)]
        return GraphTask(config, hand, size, *pictures, trunk=trunk, natural_share=config.natural_share)
    if not config.views:
        return GraphTask(config, hand, size, natural_share=config.natural_share)
    folder = Path(config.views)
    stored, held_out = StoredHands(folder, "train"), StoredHands(folder, "held_out")
    return GraphTask(config, hand, size, stored, held_out, natural_share=config.natural_share)


class GraphTask:
    """x0 prediction of meshes in the palm frame."""

    def __init__(
        self,
        config: TrainConfig,
        hand: HandModel,
        size: GraphSize | None = None,
        stored: StoredHands | RealPictures | None = None,
        held_out: StoredHands | RealPictures | None = None,
        rates: MaskRates | None = None,
        trunk: nn.Module | None = None,
        natural_share: float = 0.0,
    ) -> None:
        """Draws the weights.

        Args:
            config: configuration of the training.
            hand: the hand model.
            size: sizes of the networks; None for the shipped sizes.
            stored: hands with images for half of the training; None to train without images.
            held_out: hands with images for the validation; None for kinematic hands.
            rates: probabilities for the removal of conditions.
            trunk: as in `ImageTokens`; the features of `stored` are then images.
            natural_share: share of recorded poses in the hands without images; above 0 their views are also natural.
        """
        size, self._rates = size or GraphSize(), rates or MaskRates()
        self.config, self.hand = config, hand
        components = HandComponents.load(default_models_dir() / hand_components.FILE_NAME, hand)
        self.net = GraphNet(hand, components, size, trunk)
        self.facts: dict[str, Any] = {
            "data": graph_samples.STORED_RECIPE if stored else graph_samples.RECIPE,
            "topology": hand.digest,
            "components": components.digest,
            "natural_share": natural_share,
            "masks": asdict(self._rates),
            "size": asdict(size),
        }
        if isinstance(stored, RealPictures):
            recipe = f"{graph_samples.RECIPE}; half of the hands {stored.recipe}"
            self.facts |= {"data": recipe, "licence": stored.licence}
        self._stored, self._stored_held_out, self._natural_share = stored, held_out, natural_share
        tokens = size.tokens
        self._image_shape, self._n_patches = tokens.image_shape or tokens.map_shape, tokens.map_shape[1] * tokens.map_shape[2]
        self._mesh_loss = MeshLoss(hand, config.device)
        self._template_m = torch.from_numpy(hand.template_m).to(config.device)
        if stored and trunk is None:
            for buffer, value in zip((self.net.condition.image.mean, self.net.condition.image.std), stored.feature_scale()):
                buffer.copy_(torch.from_numpy(value))

    def start_from(self, folder: Path) -> None:
        """Takes the weights of exported files of a network of the same size.

        Raises:
            ModelError: if a file is missing or foreign.
        """
        for export in self.exports(self.net.eval()):
            file = restore(export, folder / export.file_name)
            self.facts["start"] = file.fact("token_space")
            if file.is_non_commercial:
                self.facts["licence"] = file.metadata["licence"]

    def train_batch(self, step: int) -> Batch:
        rng = np.random.default_rng((self.config.seed, step))
        n = self.config.batch_size
        n_stored = round(_SHARE_STORED * n) if self._stored else 0
        parts = [graph_samples.sample_kinematic(rng, n - n_stored, self.hand, natural_share=self._natural_share)]
        if n_stored:
            parts.append(self._stored.sample(rng, n_stored, step, self.hand))
        batches = [self._batch(part, draw_masks(rng, len(part.vertices_m), self._n_patches, self._rates)) for part in parts]
        return {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}

    def loss(self, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        condition = {name: value for name, value in batch.items() if name != "vertices_m"}
        clean = (batch["vertices_m"] - self._template_m) / UNIT_M
        time = 1 + (noise.TRAINING_STEPS - 1) * torch.rand(len(clean))
        kept = torch.from_numpy(noise.alpha_bar(time.numpy())).float()[:, None, None].to(clean.device)
        noisy = noise.mix(clean, torch.randn_like(clean), kept)
        guess = self.net.denoiser(noisy, time.to(clean.device), self.net.condition(**condition))
        predicted_m = self._template_m + UNIT_M * guess
        # At high noise many hands are possible, and the sampler needs their mean. Least squares gives the mean; the L1 of the
        # paper gives the median. The mean is not a valid hand, so the share of signal weights the losses on the surface.
        data_loss = losses.squared_position(predicted_m, batch["vertices_m"]).mean()
        mesh_loss = self._mesh_loss(predicted_m, batch["vertices_m"])
        figures = {"data": data_loss.item(), "vertex_mm": losses.mean_distance_mm(predicted_m.detach(), batch["vertices_m"])}
        return data_loss + (kept[:, 0, 0] * mesh_loss).mean(), figures

    def validate(self, net: GraphNet) -> dict[str, float]:
        truth_m = self._held_out["vertices_m"]
        has_image = self._stored_held_out is not None
        figures = {}
        for name, given in _CASES.items():
            if given != (0, 0, 1) or has_image:
                found_m = self._sampled(net, self._given(given), _STEPS)
                figures[f"{name}_mm"] = losses.mean_distance_mm(found_m, truth_m)
        # Diversity without conditions, relative to real hands: 1 if the model has learned all hands.
        free_m = self._sampled(net, self._given((0, 0, 0)), _GENERATION_STEPS)
        if (true_diversity_mm := pairwise_distance_mm(truth_m)) > 0:
            figures["diversity"] = pairwise_distance_mm(free_m) / true_diversity_mm
        return {"score": sum(value for name, value in figures.items() if name.endswith("_mm")), **figures}

    def exports(self, net: GraphNet) -> list[Export]:
        n, image_shape = 3, self._image_shape
        common = {"joint_order": joint_order_digest(), "topology": self.hand.digest, "token_space": weights_digest(net.condition)}
        if "licence" in self.facts:
            common["licence"] = self.facts["licence"]
        stated = {"image_shape": ",".join(map(str, image_shape)), "n_patches": str(self._n_patches)}
        condition = {
            "joints_m": torch.from_numpy(self.hand.joints_m) + 0.01 * torch.randn(n, N_JOINTS, 3),
            "joints_given": torch.tensor([1.0, 1.0, 0.0])[:, None].repeat(1, N_JOINTS),
            "sight": torch.randn(n, N_JOINTS, SIGHT_SIZE),
            "sight_given": torch.tensor([1.0, 0.0, 1.0])[:, None].repeat(1, N_JOINTS),
            "image": torch.randn(n, *image_shape),
            "patches_given": torch.tensor([0.0, 1.0, 1.0])[:, None].repeat(1, self._n_patches),
        }
        with torch.no_grad():
            tokens = net.condition.eval()(**condition)
        noisy = {"noisy_mesh": torch.randn(n, *self.hand.template_m.shape), "time": torch.tensor([1000.0, 500.0, 1.0])}
        metadata = {"kind": "graph_denoiser", "schedule": noise.SCHEDULE, "unit_m": str(UNIT_M), **common}
        return [
            Export(
                CONDITION_FILE,
                net.condition,
                condition,
                ("tokens",),
                {"kind": "graph_condition", **common, **stated},
                _TOKEN_TOLERANCE,
            ),
            Export(DENOISER_FILE, net.denoiser, {**noisy, "tokens": tokens}, ("clean_mesh",), metadata, _MESH_TOLERANCE),
        ]

    def _sampled(self, net: GraphNet, condition: Batch, steps: int) -> torch.Tensor:
        """Returns meshes (n, V, 3) in metres."""
        tokens = net.condition(**condition)
        start = torch.randn(len(tokens), *self._template_m.shape, device=tokens.device)

        def denoise(noisy: torch.Tensor, time: float) -> torch.Tensor:
            return net.denoiser(noisy, torch.full((len(noisy),), time, device=noisy.device), tokens)

        return self._template_m + UNIT_M * multistep(denoise, start, steps)

    @cached_property
    def _held_out(self) -> Batch:
        rng = np.random.default_rng(_VALIDATION_SEED)
        if self._stored_held_out:
            samples = self._stored_held_out.sample(rng, _N_VALIDATION, 0, self.hand)
        else:
            samples = graph_samples.sample_kinematic(rng, _N_VALIDATION, self.hand, True, self._natural_share)
        everything = np.ones((_N_VALIDATION, N_JOINTS), np.float32)
        return self._batch(samples, Masks(everything, everything, np.ones((_N_VALIDATION, self._n_patches), np.float32)))

    def _given(self, parts: tuple[int, int, int]) -> Batch:
        """Returns the held-out condition with only some of skeleton, keypoints and image."""
        condition = {name: value for name, value in self._held_out.items() if name != "vertices_m"}
        masks = zip(("joints_given", "sight_given", "patches_given"), parts)
        return {**condition, **{name: part * condition[name] for name, part in masks}}

    def _batch(self, samples: GraphSamples, masks: Masks) -> Batch:
        n, image, patches = len(samples.vertices_m), samples.features, masks.patches
        if image is None:
            image, patches = np.zeros((n, *self._image_shape), np.float32), np.zeros_like(patches)
        arrays = {
            "vertices_m": samples.vertices_m,
            "joints_m": samples.joints_m,
            "joints_given": masks.joints,
            "sight": line_of_sight(samples.rays, samples.confidence, masks.sight, samples.palm_from_camera),
            "sight_given": masks.sight,
            "image": image,
            "patches_given": patches,
        }
        return {name: torch.from_numpy(value).to(self.config.device) for name, value in arrays.items()}


def pairwise_distance_mm(vertices_m: torch.Tensor) -> float:
    """Returns the mean vertex distance over all pairs of meshes (n, V, 3), n at least 2. This is their diversity."""
    n = len(vertices_m)
    distances = torch.stack([(vertices_m - other).norm(dim=-1).mean(1) for other in vertices_m])
    return 1000 * distances.sum().item() / (n * (n - 1))
