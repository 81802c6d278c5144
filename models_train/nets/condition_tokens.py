"""Tokens of the conditions of a hand: 3D skeleton, 2D skeleton, image; HHMR (Li et al., CVPR 2024), section 4.2.

Every joint and every image patch has its own token. Each token can be missing. A learned token then replaces the missing token.
"""

from dataclasses import dataclass

import torch
from torch import nn

from hand_mesh_ros.core.graph.condition import SIGHT_SIZE
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.topology import N_JOINTS
from models_train.nets.attention import TransformerBlock

# Unit of the joint offsets from the rest pose. In this unit the offsets are about 1.
_OFFSET_M = 0.03


@dataclass(frozen=True)
class TokenSize:
    """Sizes of the networks of the condition."""

    width: int = 96  # of every token
    dropout: float = 0.1
    map_shape: tuple[int, int, int] = (192, 7, 7)  # channels, rows, columns of the image's feature map
    blocks: int = 2  # of the transformer on image patches
    mixing_blocks: int = 1  # of the transformer on all tokens
    image_shape: tuple[int, int, int] | None = None  # of the images that a trunk turns into the map; None without a trunk


class SkeletonTokens(nn.Module):
    """One token per joint, (21, B, width), from the data of this joint; three layers with GELU and dropout."""

    def __init__(self, n_in: int, size: TokenSize) -> None:
        super().__init__()
        width, dropout = size.width, size.dropout
        self.layers = nn.Sequential(
            *(nn.Linear(n_in, width), nn.GELU(), nn.Dropout(dropout)),
            *(nn.Linear(width, width), nn.GELU(), nn.Dropout(dropout)),
            nn.Linear(width, width),
        )
        self.withheld = nn.Parameter(0.02 * torch.randn(width))
        self.joint = nn.Parameter(0.02 * torch.randn(N_JOINTS, 1, width))

    def forward(self, joints: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        """Returns tokens of joints (B, 21, n_in). `given`, (B, 21), marks the given joints."""
        tokens = torch.where(given[..., None] > 0.5, self.layers(joints), self.withheld)
        return tokens.transpose(0, 1) + self.joint


class ImageTokens(nn.Module):
    """Vision transformer: a token per patch of an image's feature map and a token for the whole image, (P + 1, B, width)."""

    def __init__(self, size: TokenSize, trunk: nn.Module | None = None) -> None:
        """Draws the weights.

        Args:
            size: `map_shape` is the shape of the feature map, `image_shape` the shape of the images.
            trunk: turns images into feature maps of this shape; None if the inputs are feature maps. ResNet-50
                as in the paper, for 224 px images, is
                `nn.Sequential(*list(torchvision.models.resnet50(weights="IMAGENET1K_V2").children())[:-2])`
                with `map_shape` (2048, 7, 7) and `image_shape` (3, 224, 224).

        Raises:
            ValueError: if the trunk or the shape of its images is missing.
        """
        super().__init__()
        if (trunk is None) != (size.image_shape is None):
            raise ValueError(f"image_shape is {size.image_shape}; give it together with a trunk, and only then")
        channels, rows, columns = size.map_shape
        self.trunk = trunk
        self.register_buffer("mean", torch.zeros(channels, 1))
        self.register_buffer("std", torch.ones(channels, 1))
        self.entry = nn.Linear(channels, size.width)
        self.withheld = nn.Parameter(0.02 * torch.randn(size.width))
        self.place = nn.Parameter(0.02 * torch.randn(1 + rows * columns, 1, size.width))
        self.blocks = nn.ModuleList(TransformerBlock(size.width, size.dropout) for _ in range(size.blocks))
        self.norm = nn.LayerNorm(size.width)

    def forward(self, image: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        """Returns tokens of images or feature maps (B, C, h, w). `given`, (B, P), marks the given patches."""
        features = (image if self.trunk is None else self.trunk(image)).flatten(2)
        patches = self.entry(((features - self.mean) / self.std).permute(2, 0, 1))
        patches = torch.where(given.T[..., None] > 0.5, patches, self.withheld)
        signal = torch.cat([torch.zeros_like(patches[:1]), patches]) + self.place
        for block in self.blocks:
            signal = block(signal)
        return self.norm(signal)


class ConditionTokens(nn.Module):
    """All tokens of a condition, batch first: (B, 21 + 21 + P + 1, width).

    In addition to the paper, the tokens attend to each other. The tokens of a missing joint thus get information from the image
    and from the other joints.
    """

    def __init__(self, hand: HandModel, size: TokenSize, trunk: nn.Module | None = None) -> None:
        super().__init__()
        self.register_buffer("rest_joints_m", torch.from_numpy(hand.joints_m), persistent=False)
        self.skeleton = SkeletonTokens(3, size)
        self.sight = SkeletonTokens(SIGHT_SIZE, size)
        self.image = ImageTokens(size, trunk)
        self.mix = nn.ModuleList(TransformerBlock(size.width, size.dropout) for _ in range(size.mixing_blocks))
        for block in self.mix:
            block.start_as_identity()

    def forward(
        self,
        joints_m: torch.Tensor,
        joints_given: torch.Tensor,
        sight: torch.Tensor,
        sight_given: torch.Tensor,
        image: torch.Tensor,
        patches_given: torch.Tensor,
    ) -> torch.Tensor:
        """Returns tokens of the fields of `core.graph_condition.GraphCondition` and of the given image patches, (B, P)."""
        offsets = (joints_m - self.rest_joints_m) / _OFFSET_M
        tokens = [
            self.skeleton(offsets, joints_given),
            self.sight(sight, sight_given),
            self.image(image, patches_given),
        ]
        signal = torch.cat(tokens)
        for block in self.mix:
            signal = block(signal)
        return signal.transpose(0, 1)
