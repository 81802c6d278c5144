"""ResNet-50 (He et al., CVPR 2016) as the trunk of `condition_tokens.ImageTokens`: pictures to feature maps.

Names and shapes of the weights are those of torchvision, so that a file of its ImageNet weights fits. The statistics of the
normalisation are constant, as usual for a fine-tuning: batches contain hands without a picture, and these must not change them.
"""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

IMAGE_SHAPE, MAP_SHAPE = (3, 224, 224), (2048, 7, 7)
# Mean and standard deviation of the channels of ImageNet, of colours in 0..1.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Blocks and inner channels of the four stages. A block has four times as many outer channels.
_STAGES = ((3, 64), (4, 128), (6, 256), (3, 512))
_EXPANSION = 4


class ConstantNorm(nn.Module):
    """Normalisation of channels by stored statistics, with a trained gain and shift."""

    def __init__(self, channels: int, gain: float = 1.0) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.full((channels,), gain)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, signal: torch.Tensor) -> torch.Tensor:
        return functional.batch_norm(signal, self.running_mean, self.running_var, self.weight, self.bias, training=False)


class Bottleneck(nn.Module):
    """Residual block: 1 x 1, 3 x 3 and 1 x 1 convolutions. With random weights, the block starts as its shortcut."""

    def __init__(self, n_in: int, inner: int, stride: int) -> None:
        super().__init__()
        n_out = _EXPANSION * inner
        self.conv1, self.bn1 = nn.Conv2d(n_in, inner, 1, bias=False), ConstantNorm(inner)
        self.conv2, self.bn2 = nn.Conv2d(inner, inner, 3, stride, 1, bias=False), ConstantNorm(inner)
        # With a gain of one, the constant statistics would let the signal grow from block to block.
        self.conv3, self.bn3 = nn.Conv2d(inner, n_out, 1, bias=False), ConstantNorm(n_out, gain=0.0)
        is_same = n_in == n_out and stride == 1
        self.downsample = None if is_same else nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), ConstantNorm(n_out))

    def forward(self, signal: torch.Tensor) -> torch.Tensor:
        shortcut = signal if self.downsample is None else self.downsample(signal)
        signal = functional.relu(self.bn1(self.conv1(signal)))
        signal = functional.relu(self.bn2(self.conv2(signal)))
        return functional.relu(shortcut + self.bn3(self.conv3(signal)))


class ResNet50(nn.Module):
    """Feature maps (B, 2048, 7, 7) of pictures (B, 3, 224, 224) with colours in 0..1."""

    def __init__(self, weights: Path | None = None) -> None:
        """Draws the weights, or reads them.

        Args:
            weights: file of torchvision's resnet50; None for random weights.

        Raises:
            ValueError: if the file is not one of resnet50.
        """
        super().__init__()
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(_STD)[:, None, None], persistent=False)
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), ConstantNorm(64)
        n_in = 64
        for number, (count, inner) in enumerate(_STAGES, start=1):
            blocks = []
            for index in range(count):
                blocks.append(Bottleneck(n_in, inner, stride=2 if index == 0 and number > 1 else 1))
                n_in = _EXPANSION * inner
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if weights is not None:
            self._read(weights)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        signal = functional.relu(self.bn1(self.conv1((pictures - self.mean) / self.std)))
        signal = functional.max_pool2d(signal, 3, 2, 1)
        for number in range(1, len(_STAGES) + 1):
            signal = getattr(self, f"layer{number}")(signal)
        return signal

    def _read(self, path: Path) -> None:
        try:
            stored: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            self.load_state_dict({name: stored[name] for name in self.state_dict()})
        except Exception as error:  # torch can raise any error of its unpickler
            raise ValueError(f"{path} is not a file of torchvision's resnet50 weights: {error}") from error
