"""Interface between the models, the training loop and the exporter."""

from dataclasses import dataclass
from typing import Any, Protocol

import onnx
import torch
from torch import nn

from hand_mesh_ros.core.config import check, option

Batch = dict[str, torch.Tensor]
_OPSET = 18


@dataclass(frozen=True)
class TrainConfig:
    """Common settings of all trainings. The config of each task adds more settings (`models_train.tasks.configs`).

    Raises:
        ValueError: if a value is not allowed. The message names the field, the value and the allowed values.
    """

    task: str = option("", "which model")
    minutes: float = option(0.0, "budget of wall-clock time over all resumptions; 0 for a budget of steps", (0, 1e6))
    steps: int = option(0, "budget of steps over all resumptions; 0 for a budget of minutes", (0, 10**9))
    seed: int = option(0, "seed of weights, data and noise", (0, 2**31 - 1))
    batch_size: int = option(64, "samples a step", (1, 65536))
    learning_rate: float = option(1e-3, "peak learning rate", (0, 1))
    warmup: float = option(0.02, "share of the budget over which the learning rate rises", (0, 0.5))
    weight_decay: float = option(0.01, "weight decay of matrices; vectors have no decay", (0, 1))
    ema_decay: float = option(0.999, "decay of the averaged weights; validation and export use these weights", (0, 0.999999))
    clip_norm: float = option(1.0, "largest norm of the gradients", (1e-6, 1e6))
    validate_every: int = option(500, "steps between validations; each validation saves a checkpoint", (1, 10**9))
    threads: int = option(1, "processor threads", (1, 256))
    precision: str = option("float32", "precision of the products in the forward pass", choices=("float32", "bfloat16"))
    device: str = option("cpu", "where to train", choices=("cpu", "cuda"))

    def __post_init__(self) -> None:
        check(self)
        if (self.minutes > 0) == (self.steps > 0):
            raise ValueError(f"minutes {self.minutes} and steps {self.steps}: set only one of these to a positive value")


@dataclass(frozen=True)
class Export:
    """Description of one ONNX file of a trained network."""

    file_name: str
    module: nn.Module  # takes the inputs by name, returns one tensor or a tuple
    inputs: dict[str, torch.Tensor]  # examples; the first dimension is free in the file, except for the inputs in `shared`
    outputs: tuple[str, ...]
    metadata: dict[str, str]  # facts for the check of the loader, at least `kind`
    tolerance: float  # largest allowed difference between torch and ONNX Runtime, in the unit of the output
    exact: tuple[str, ...] = ()  # names of parameters and buffers to store in float32
    shared: tuple[str, ...] = ()  # names of inputs with one row for the whole batch

    def to_graph(self) -> onnx.ModelProto:
        """Returns the model for any batch size, as the exporter of torch writes it."""
        program = torch.onnx.export(
            self.module.cpu().eval(),
            kwargs=self.inputs,
            output_names=list(self.outputs),
            dynamic_shapes={name: None if name in self.shared else {0: torch.export.Dim("batch")} for name in self.inputs},
            opset_version=_OPSET,
            dynamo=True,
            verbose=False,
        )
        return program.model_proto


class Task(Protocol):
    """A model with its data, loss and validation."""

    net: nn.Module
    facts: dict[str, Any]  # data recipe and other facts for users of the weights; plain JSON values

    def train_batch(self, step: int) -> Batch:
        """Makes the batch of a step. The same seed and step give the same batch."""
        ...

    def loss(self, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        """Returns the loss of `self.net`, a scalar, and figures for the log. Random numbers come from torch's generator."""
        ...

    def validate(self, net: nn.Module) -> dict[str, float]:
        """Returns figures of `net` (in evaluation mode) on a fixed set. The key "score" is required; lower is better."""
        ...

    def exports(self, net: nn.Module) -> list[Export]:
        """Returns the descriptions of the run-time files of `net`."""
        ...
