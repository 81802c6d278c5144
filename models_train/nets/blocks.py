"""Common parts of the denoisers."""

import math

import torch
from torch import nn

from hand_mesh_ros.core.models.noise import TRAINING_STEPS


class TimeEmbedding(nn.Module):
    """Features (B, width) of diffusion times (B,) in 0..TRAINING_STEPS: sines of many periods, then two layers."""

    def __init__(self, width: int, n_frequencies: int = 32) -> None:
        super().__init__()
        # The periods range from two schedules to about ten steps.
        frequencies = math.pi * torch.logspace(0, math.log10(TRAINING_STEPS / 5), n_frequencies)
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.layers = nn.Sequential(nn.Linear(2 * n_frequencies, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, time: torch.Tensor) -> torch.Tensor:
        angle = (time / TRAINING_STEPS)[:, None] * self.frequencies
        return self.layers(torch.cat([angle.sin(), angle.cos()], -1))


class AdaptiveBlock(nn.Module):
    """Residual two-layer block. A condition scales and shifts the normalised input, and gates the output.

    Peebles and Xie 2023 (adaLN-zero): the block starts as the identity.
    """

    def __init__(self, width: int, condition_width: int, expansion: int = 2) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Linear(condition_width, 3 * width)
        self.layers = nn.Sequential(nn.Linear(width, expansion * width), nn.SiLU(), nn.Linear(expansion * width, width))
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, signal: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Returns (..., width) from a signal (..., width) and a condition (..., condition_width) that broadcasts."""
        shift, scale, gate = self.modulation(condition).chunk(3, -1)
        return signal + gate * self.layers(self.norm(signal) * (1 + scale) + shift)
