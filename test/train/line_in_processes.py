"""Trains a small net in the processes of `torchrun`, and saves the weights of each: `line_in_processes.py FOLDER STEPS`."""

import sys
from pathlib import Path

import torch

from models_train.processes import join
from models_train.tasks.task import Batch, TrainConfig
from models_train.train_loop import Trainer


class LineTask:
    """Fits y = 2 x + 1. Batch `n` of `joined` is batches 2 n and 2 n + 1 of one half of the size."""

    def __init__(self, joined: bool = False) -> None:
        # The weights differ between processes until the first process shares its own.
        self.net = torch.nn.Sequential(torch.nn.Linear(1, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
        self.facts = {"data": "line"}
        self._joined = joined

    def train_batch(self, step: int) -> Batch:
        numbers = (2 * step, 2 * step + 1) if self._joined else (step,)
        x = torch.cat([torch.rand(16, 1, generator=torch.Generator().manual_seed(number)) for number in numbers])
        return {"x": x, "y": 2 * x + 1}

    def loss(self, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        return (self.net(batch["x"]) - batch["y"]).square().mean(), {}

    def validate(self, net: torch.nn.Module) -> dict[str, float]:
        return {"score": 0.0}


def config(steps: int) -> TrainConfig:
    """Settings of the training with one or more processes."""
    return TrainConfig(task="line", steps=steps, validate_every=5, learning_rate=0.02, ema_decay=0.9)


def main() -> None:
    """Entry point of every process."""
    folder, steps = Path(sys.argv[1]), int(sys.argv[2])
    processes = join("cpu")
    torch.manual_seed(processes.rank)
    trainer = Trainer(LineTask(), config(steps), folder, processes=processes)
    trainer.train()
    torch.save(trainer.net.state_dict(), folder / f"weights_{processes.rank}.pt")
    processes.leave()


if __name__ == "__main__":
    main()
