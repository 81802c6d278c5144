"""What a model must offer to be trained by the one loop and exported by the one exporter."""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

from hand_mesh_ros.core.config import check, option

Batch = dict[str, torch.Tensor]


@dataclass(frozen=True)
class TrainConfig:
    """Settings that every training has; the config of each task adds its own (`models_train.tasks.configs`).

    Raises:
        ValueError: naming the field, its value and what is allowed.
    """

    task: str = option("", "which model")
    minutes: float = option(0.0, "budget of wall-clock time, over all resumptions; 0 to count steps instead", (0, 1e6))
    steps: int = option(0, "budget of steps, over all resumptions; 0 to count minutes instead", (0, 10**9))
    seed: int = option(0, "seed of weights, data and noise", (0, 2**31 - 1))
    batch_size: int = option(64, "samples a step", (1, 65536))
    learning_rate: float = option(1e-3, "peak learning rate", (0, 1))
    warmup: float = option(0.02, "share of the budget over which the learning rate rises", (0, 0.5))
    weight_decay: float = option(0.01, "decay of matrices; vectors are spared", (0, 1))
    ema_decay: float = option(0.999, "decay of the averaged weights, which are the ones validated and exported", (0, 0.999999))
    clip_norm: float = option(1.0, "gradients are scaled down to this norm", (1e-6, 1e6))
    validate_every: int = option(500, "steps between validations, which also save", (1, 10**9))
    threads: int = option(1, "processor threads", (1, 256))
    precision: str = option("float32", "of the products in the forward pass", choices=("float32", "bfloat16"))
    device: str = option("cpu", "where to train", choices=("cpu", "cuda"))

    def __post_init__(self) -> None:
        check(self)
        if (self.minutes > 0) == (self.steps > 0):
            raise ValueError(f"minutes {self.minutes} and steps {self.steps}: give one of them a positive value, and only one")


@dataclass(frozen=True)
class Export:
    """One ONNX file to be made from a trained net."""

    file_name: str
    module: nn.Module  # takes the inputs by name, returns one tensor or a tuple
    inputs: dict[str, torch.Tensor]  # examples; their first dimension is free in the file
    outputs: tuple[str, ...]
    metadata: dict[str, str]  # what the loader compares, `kind` at least
    tolerance: float  # largest difference allowed between torch and ONNX Runtime, in the unit of the output
    exact: tuple[str, ...] = ()  # names of parameters and buffers too delicate for half-precision storage


class Task(Protocol):
    """A model with its data, loss and validation."""

    net: nn.Module
    facts: dict[str, Any]  # data recipe and whatever else a reader of the weights must know; plain JSON values

    def train_batch(self, step: int) -> Batch:
        """The batch of a step: made on the fly, the same for the same seed and step."""
        ...

    def loss(self, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        """Loss of `self.net`, a scalar to minimise, and figures for the log. Randomness comes from torch's own generator."""
        ...

    def validate(self, net: nn.Module) -> dict[str, float]:
        """Figures of `net` (in evaluation mode) on a fixed set; "score" among them, lower is better."""
        ...

    def exports(self, net: nn.Module) -> list[Export]:
        """The files that run time needs of `net`."""
        ...
