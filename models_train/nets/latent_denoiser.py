"""Denoiser of mesh latents, conditioned on one skeleton in the palm frame and on the embedded view of the hand."""

import torch
from torch import nn

from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.topology import N_JOINTS
from models_train.nets.blocks import AdaptiveBlock, TimeEmbedding

# Unit of the joint offsets from the rest pose. In this unit the offsets are about 1.
OFFSET_M = 0.03


class LatentDenoiser(nn.Module):
    """Predicts clean latents (B, D) from noisy latents, the time, a skeleton and the view. Skeleton and view may be missing."""

    def __init__(self, hand: HandModel, latent: int, view: int, width: int = 256, n_blocks: int = 4) -> None:
        """Draws the weights.

        Args:
            hand: hand model with the reference rest pose.
            latent: size of the latents.
            view: size of the views, `core.decode.view_of`.
            width: width of the hidden layers.
            n_blocks: number of hidden layers.
        """
        super().__init__()
        self.register_buffer("rest_joints_m", torch.from_numpy(hand.joints_m), persistent=False)
        self.time = TimeEmbedding(width)
        self.skeleton = nn.Sequential(nn.Linear(3 * N_JOINTS + view + 2, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))
        self.entry = nn.Linear(latent + width, width)
        self.blocks = nn.ModuleList(AdaptiveBlock(width, width) for _ in range(n_blocks))
        self.exit = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, latent))

    def forward(
        self,
        noisy_latent: torch.Tensor,
        time: torch.Tensor,
        joints_m: torch.Tensor,
        view: torch.Tensor,
        given: torch.Tensor,
    ) -> torch.Tensor:
        """Returns clean latents, (B, D).

        Args:
            noisy_latent: (B, D).
            time: (B,) in 0..TRAINING_STEPS.
            joints_m: (B, 21, 3) in the palm frame.
            view: (B, view).
            given: (B, 2), 1 for a given skeleton or view, 0 for a missing skeleton or view.
        """
        offset = ((joints_m - self.rest_joints_m) / OFFSET_M).flatten(1)
        cues = self.skeleton(torch.cat([given[:, :1] * offset, given[:, 1:] * view, given], -1))
        condition = nn.functional.silu(cues + self.time(time))
        signal = self.entry(torch.cat([noisy_latent, cues], -1))
        for block in self.blocks:
            signal = block(signal, condition)
        return self.exit(signal)
