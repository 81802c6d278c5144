"""Mesh autoencoder: principal components, and graph convolutions over the mesh hierarchy for the nonlinear part.

The latent is a vector with unit variance. Meshes are in the palm frame (`core.decode.palm_from_hand`), so the latent does not
contain the hand's rotation. The components are fixed before training, and the other layers start at zero. The network thus starts
with the accuracy of the components. Without the components, the error after equal training is five times as large.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from hand_mesh_ros.core.hand.model import HandModel
from models_train.nets.graph import ChebyshevConv, Resample

# Unit of the vertex offsets from the template. In this unit the offsets are about 1.
OFFSET_M = 0.03


@dataclass(frozen=True)
class AutoencoderSize:
    """Sizes of the net."""

    latent: int = 64
    channels: tuple[int, ...] = (8, 16, 32, 32)  # per level of the hierarchy, finest first
    hidden: int = 192  # between the coarsest level and the latent
    order: int = 3  # of the Chebyshev polynomials
    latent_noise: float = 0.02  # on the latents in training, so that close latents give close meshes


class UnitVariance(nn.Module):
    """Normalises each latent (B, D) by the running mean and deviation of all training latents.

    Unlike a batch norm, this layer gives the same result for a latent in every batch.
    """

    def __init__(self, latent: int, momentum: float = 1e-3) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("mean", torch.zeros(latent))
        self.register_buffer("variance", torch.ones(latent))

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        if self.training:
            with torch.no_grad():
                self.mean.lerp_(latent.mean(0), self.momentum)
                self.variance.lerp_((latent - self.mean).square().mean(0), self.momentum)
        return (latent - self.mean) / self.variance.sqrt()


class Encoder(nn.Module):
    """Latents (B, D) of meshes (B, V, 3) in metres."""

    def __init__(self, hand: HandModel, size: AutoencoderSize) -> None:
        super().__init__()
        self.register_buffer("template_m", torch.from_numpy(hand.template_m), persistent=False)
        self.linear = nn.Linear(hand.template_m.size, size.latent).requires_grad_(False)
        widths = (3, *size.channels)
        self.convolutions = nn.ModuleList(
            ChebyshevConv(torch.from_numpy(laplacian), n_in, n_out, size.order)
            for laplacian, n_in, n_out in zip(hand.laplacian, widths, size.channels)
        )
        self.coarser = nn.ModuleList(Resample(torch.from_numpy(matrix)) for matrix in hand.down)
        n_coarse = len(hand.laplacian[-1]) * size.channels[-1]
        self.head = nn.Sequential(nn.Linear(n_coarse, size.hidden), nn.SiLU(), nn.Linear(size.hidden, size.latent))
        nn.init.zeros_(self.head[-1].weight)
        nn.init.zeros_(self.head[-1].bias)
        self.norm = UnitVariance(size.latent)

    def forward(self, vertices_m: torch.Tensor) -> torch.Tensor:
        offset = (vertices_m - self.template_m) / OFFSET_M
        signal = offset.transpose(0, 1)
        for level, convolution in enumerate(self.convolutions):
            signal = functional.silu(convolution(signal))
            if level < len(self.coarser):
                signal = self.coarser[level](signal)
        return self.norm(self.linear(offset.flatten(1)) + self.head(signal.transpose(0, 1).flatten(1)))


class Decoder(nn.Module):
    """Meshes (B, V, 3) in metres from latents (B, D)."""

    def __init__(self, hand: HandModel, size: AutoencoderSize) -> None:
        super().__init__()
        self.register_buffer("template_m", torch.from_numpy(hand.template_m), persistent=False)
        self.linear = nn.Linear(size.latent, hand.template_m.size).requires_grad_(False)
        self.n_coarse = len(hand.laplacian[-1])
        n_coarse = self.n_coarse * size.channels[-1]
        self.head = nn.Sequential(nn.Linear(size.latent, size.hidden), nn.SiLU(), nn.Linear(size.hidden, n_coarse))
        channels = size.channels[::-1]
        # The channel mixing comes before the step to more vertices, because fewer vertices cost less.
        self.mixes = nn.ModuleList(nn.Linear(n_in, n_out) for n_in, n_out in pairwise(channels))
        self.finer = nn.ModuleList(Resample(torch.from_numpy(matrix)) for matrix in hand.up[::-1])
        self.convolutions = nn.ModuleList(
            ChebyshevConv(torch.from_numpy(laplacian), width, width, size.order)
            for laplacian, width in zip(hand.laplacian[:0:-1], channels)
        )
        self.last = ChebyshevConv(torch.from_numpy(hand.laplacian[0]), channels[-1], 3, size.order)
        nn.init.zeros_(self.last.weight)

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        coarse = self.head(latent)
        signal = coarse.reshape(-1, self.n_coarse, coarse.shape[-1] // self.n_coarse).transpose(0, 1)
        for convolution, mix, finer in zip(self.convolutions, self.mixes, self.finer):
            signal = signal + convolution(functional.silu(signal))
            signal = finer(mix(functional.silu(signal)))
        offset = self.linear(latent).unflatten(1, (-1, 3)) + self.last(functional.silu(signal)).transpose(0, 1)
        return self.template_m + OFFSET_M * offset


class MeshAutoencoder(nn.Module):
    """Encoder and decoder. `forward` reconstructs meshes (B, V, 3); in training the latents have a little noise."""

    def __init__(self, hand: HandModel, size: AutoencoderSize) -> None:
        """Draws the weights.

        Raises:
            ValueError: if the hand model's hierarchy and the sizes have different numbers of levels.
        """
        super().__init__()
        if len(size.channels) != len(hand.laplacian):
            raise ValueError(f"channels for {len(size.channels)} levels, the hand model has {len(hand.laplacian)}")
        self.size = size
        self.encoder, self.decoder = Encoder(hand, size), Decoder(hand, size)

    def forward(self, vertices_m: torch.Tensor) -> torch.Tensor:
        latent = self.encoder(vertices_m)
        if self.training:
            latent = latent + self.size.latent_noise * torch.randn_like(latent)
        return self.decoder(latent)

    def start_from(self, vertices_m: torch.Tensor) -> None:
        """Sets the linear parts to the principal components of meshes (N, V, 3), with N larger than the latent."""
        offset = ((vertices_m - self.encoder.template_m) / OFFSET_M).flatten(1).double()
        mean = offset.mean(0)
        _, scale, components = torch.linalg.svd(offset - mean, full_matrices=False)
        std, axes = scale[: self.size.latent] / len(offset) ** 0.5, components[: self.size.latent]
        with torch.no_grad():
            self.encoder.linear.weight.copy_(axes / std[:, None])
            self.encoder.linear.bias.copy_(-(axes / std[:, None]) @ mean)
            self.decoder.linear.weight.copy_(axes.T * std)
            self.decoder.linear.bias.copy_(mean)
