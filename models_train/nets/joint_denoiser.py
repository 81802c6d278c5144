"""Networks of the joint stage: the encoder of the view runs once per image, the denoiser of skeletons runs many times."""

from dataclasses import dataclass

import torch
from torch import nn

from hand_mesh_ros.core.cascade.view import CONDITION_SIZE, FEATURES_SHAPE
from hand_mesh_ros.core.topology import N_JOINTS
from models_train.nets.blocks import AdaptiveBlock, TimeEmbedding

_CHANNELS, _ROWS, _COLUMNS = FEATURES_SHAPE
# Noise on the features in training, and few numbers per patch. Rendered skin differs from real skin, and the network must not
# learn the details of rendered skin. Without this noise, image features reduce the error on renders but increase the error on
# photographs.
_SHARE_PATCHES_HIDDEN, _FEATURE_NOISE = 0.3, 1.0


@dataclass(frozen=True)
class JointSize:
    """Sizes of the networks."""

    width: int = 256  # of the embeddings and the denoiser's layers
    blocks: int = 4  # of the denoiser
    looks: bool = False  # whether the network has layers for image features


class ViewEncoder(nn.Module):
    """Embeddings (B, width) of views, from the detector's cues and, optionally, the landmark model's feature map."""

    def __init__(self, width: int, looks: bool, patch_width: int = 12) -> None:
        super().__init__()
        self.looks = looks
        self.cues = nn.Sequential(nn.Linear(CONDITION_SIZE, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))
        self.mix = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))
        if not looks:
            return
        self.patches = nn.Linear(_CHANNELS, patch_width)
        # The crop is upright and centred on the hand, so a patch shows the same part of the hand in every image.
        self.image = nn.Linear(patch_width * _ROWS * _COLUMNS, width)
        self.unseen = nn.Parameter(torch.zeros(width))

    def forward(self, condition: torch.Tensor, features: torch.Tensor | None = None) -> torch.Tensor:
        """Returns the embeddings.
        Args:
            condition: (B, CONDITION_SIZE). The last number is 1 if `features` are given.
            features: (B, 192, 7, 7), for an encoder with image input.
        """
        view = self.cues(condition)
        if self.looks:
            given = condition[:, -1:]
            view = view + given * self._image(features) + (1 - given) * self.unseen
        return view + self.mix(view)

    def _image(self, features: torch.Tensor) -> torch.Tensor:
        patches = features.flatten(2).transpose(1, 2)
        # Normalised by the image's mean and contrast, because these depend more on skin, light and camera than on the hand shape.
        mean = patches.mean(1, keepdim=True)
        patches = (patches - mean) / ((patches - mean).square().mean(1, keepdim=True) + 1e-2).sqrt()
        if self.training:
            shown = torch.rand_like(patches[..., :1]) >= _SHARE_PATCHES_HIDDEN
            patches = shown * (patches + _FEATURE_NOISE * torch.randn_like(patches))
        return self.image(nn.functional.silu(self.patches(patches)).flatten(1))


class JointDenoiser(nn.Module):
    """Predicts clean skeletons (B, 63), in units of `view.JOINT_UNIT_M`, from noisy skeletons, time and view embedding."""

    def __init__(self, width: int, n_blocks: int) -> None:
        super().__init__()
        self.time = TimeEmbedding(width)
        self.entry = nn.Linear(3 * N_JOINTS + width, width)
        self.blocks = nn.ModuleList(AdaptiveBlock(width, width) for _ in range(n_blocks))
        self.exit = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 3 * N_JOINTS))

    def forward(self, noisy_joints: torch.Tensor, time: torch.Tensor, view_embedding: torch.Tensor) -> torch.Tensor:
        """Returns clean skeletons, (B, 63).

        Args:
            noisy_joints: (B, 63).
            time: (B,) in 0..TRAINING_STEPS, or (1,) for all skeletons.
            view_embedding: (B, width), or (1, width) for all skeletons.
        """
        # For the hypotheses of one hand the modulation has one row. This saves almost half of the products.
        modulation = nn.functional.silu(view_embedding + self.time(time))
        signal = self.entry(torch.cat([noisy_joints, view_embedding.expand(noisy_joints.shape[0], -1)], -1))
        for block in self.blocks:
            signal = block(signal, modulation)
        return self.exit(signal)


class JointNet(nn.Module):
    """The encoder and the denoiser."""

    def __init__(self, size: JointSize) -> None:
        super().__init__()
        self.size = size
        self.encoder, self.denoiser = ViewEncoder(size.width, size.looks), JointDenoiser(size.width, size.blocks)
