"""The training loop of every model: AdamW, warm-up and cosine, averaged weights, a budget, exact resumption.

The learning rate follows the used share of the budget: seconds of `minutes`, or steps of `steps`. A training thus ends at its
lowest rate on slow and fast machines, and a resumed training may have a larger budget. Data depend on (seed, step). Noise comes
from torch's generator, and the checkpoint has the state of this generator. On the CPU, with a budget of steps, an interrupted
training in one process therefore ends with exactly the weights of an uninterrupted training.
"""

import copy
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn

from models_train.checkpoint import BEST, LAST, Checkpoint, git_commit
from models_train.curves import Curves
from models_train.processes import ALONE, Processes
from models_train.tasks.task import Task, TrainConfig

LOG = "log.jsonl"
_LOWEST_RATE = 0.01  # of the peak, at the end of the budget


class TrainingDiverged(RuntimeError):
    """The loss or its gradient is not a finite number."""


def rate_at(progress: float, config: TrainConfig) -> float:
    """Returns the learning rate after the share `progress`, 0..1, of the budget."""
    if progress < config.warmup:
        return config.learning_rate * max(progress / config.warmup, _LOWEST_RATE)
    falling = (progress - config.warmup) / (1 - config.warmup)
    return config.learning_rate * (_LOWEST_RATE + (1 - _LOWEST_RATE) * 0.5 * (1 + math.cos(math.pi * min(falling, 1))))


def average_into(averaged: nn.Module, net: nn.Module, decay: float, step: int) -> None:
    """Moves `averaged` towards `net`. The first steps use a faster rate than `decay`, to remove the initial weights."""
    share = 1 - min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for mean, value in zip(averaged.parameters(), net.parameters()):
            mean.lerp_(value, share)
        for mean, value in zip(averaged.buffers(), net.buffers()):
            mean.copy_(value)


def make_optimizer(net: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """Returns AdamW with weight decay for matrices only."""
    parameters = [parameter for parameter in net.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in parameters if parameter.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [parameter for parameter in parameters if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.99))


class Trainer:
    """One training in its run folder: `log.jsonl` with one line per validation, its curves, `last.pt`, `best.pt`."""

    def __init__(
        self,
        task: Task,
        config: TrainConfig,
        run: Path,
        start: Checkpoint | None = None,
        processes: Processes = ALONE,
    ) -> None:
        """Prepares a new training, or resumes a training from `start`.

        Args:
            task: the model with its data.
            config: settings.
            run: run folder.
            start: state to resume from.
            processes: that train together.

        Raises:
            ValueError: if `start` used other data or another hand model.
        """
        self.task, self.config, self.run, self.processes = task, config, run, processes
        self.net = task.net.to(config.device)
        processes.share_weights(self.net)
        self.averaged = copy.deepcopy(self.net).eval().requires_grad_(False)
        self.optimizer = make_optimizer(self.net, config)
        self.commit = git_commit()
        self.step, self.elapsed_s, self.best_score = 0, 0.0, math.inf
        torch.manual_seed(config.seed + processes.rank)
        if start is None:
            return
        if start.facts != task.facts:
            raise ValueError(f"{run} was trained with {start.facts}, but the task now has {task.facts}; start another run")
        self.net.load_state_dict(start.net)
        self.averaged.load_state_dict(start.averaged)
        self.optimizer.load_state_dict(start.optimizer)
        if processes.is_first:
            torch.set_rng_state(start.random_state)
        else:  # other noise than in the first part of the training
            torch.manual_seed(config.seed + processes.rank + (start.step << 16))
        self.step, self.elapsed_s, self.best_score = start.step, start.elapsed_s, start.best_score

    @property
    def progress(self) -> float:
        """Used share of the budget."""
        if self.config.steps:
            return self.step / self.config.steps
        return self.elapsed_s / (60 * self.config.minutes)

    def train(self, report: Callable[[dict], None] = lambda line: None) -> dict[str, float]:
        """Trains until the end of the budget.

        Args:
            report: function to call with every line of the log.

        Returns:
            figures of the last validation; empty in all processes but the first.

        Raises:
            TrainingDiverged: at the first loss that is not finite; `last.pt` holds the state of the last validation.
        """
        self.run.mkdir(parents=True, exist_ok=True)
        began = time.monotonic() - self.elapsed_s
        metrics, sums, since = {}, {}, 0
        with Curves(self.run if self.processes.is_first else None) as curves:
            while self.progress < 1:
                figures = self._take_step()
                for name, value in figures.items():
                    sums[name] = sums.get(name, 0.0) + value
                since += 1
                self.elapsed_s = self._agreed_time(began)
                if self.step % self.config.validate_every and self.progress < 1:
                    continue
                if self.processes.is_first:
                    metrics = self._validate()
                    self.elapsed_s = time.monotonic() - began
                    line = self._log({name: total / since for name, total in sums.items()}, metrics)
                    curves.add(line)
                    report(line)
                    self._save(metrics)
                self.elapsed_s = self._agreed_time(began)
                sums, since = {}, 0
        return metrics

    def _agreed_time(self, began: float) -> float:
        """Seconds since `began` by the clock of the first process. The other processes wait for it."""
        return self.processes.agreed(time.monotonic() - began, self.config.device)

    def _take_step(self) -> dict[str, float]:
        for group in self.optimizer.param_groups:
            group["lr"] = rate_at(self.progress, self.config)
        number = self.processes.batch_number(self.step)
        batch = {name: value.to(self.config.device) for name, value in self.task.train_batch(number).items()}
        self.net.train()
        with torch.autocast(self.config.device, torch.bfloat16, enabled=self.config.precision == "bfloat16"):
            loss, figures = self.task.loss(batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.processes.average_gradients(self.net)
        norm = nn.utils.clip_grad_norm_(self.net.parameters(), self.config.clip_norm)
        if not (math.isfinite(loss.item()) and math.isfinite(norm.item())):
            raise TrainingDiverged(
                f"step {self.step} of {self.run}: loss {loss.item()}, gradient norm {norm.item()}, {figures}; "
                f"resume from {LAST} with a lower learning rate than {self.config.learning_rate}, or check this batch"
            )
        self.optimizer.step()
        average_into(self.averaged, self.net, self.config.ema_decay, self.step)
        self.step += 1
        return {"loss": loss.item(), "gradient": norm.item(), **figures}

    def _validate(self) -> dict[str, float]:
        # The validation has its own random numbers. They are the same every time and do not affect the training.
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(self.config.seed)
            return self.task.validate(self.averaged)

    def _log(self, figures: dict[str, float], metrics: dict[str, float]) -> dict:
        line = {"step": self.step, "minutes": self.elapsed_s / 60, "rate": self.optimizer.param_groups[0]["lr"]}
        line = {name: float(f"{value:.4g}") for name, value in {**line, **figures}.items()}
        line["step"] = self.step
        line["validation"] = {name: float(f"{value:.4g}") for name, value in metrics.items()}
        with (self.run / LOG).open("a") as file:
            file.write(json.dumps(line) + "\n")
        return line

    def _save(self, metrics: dict[str, float]) -> None:
        improved = metrics["score"] < self.best_score
        self.best_score = min(metrics["score"], self.best_score)
        checkpoint = Checkpoint(
            config=asdict(self.config),
            facts=self.task.facts,
            commit=self.commit,
            step=self.step,
            elapsed_s=self.elapsed_s,
            best_score=self.best_score,
            metrics=metrics,
            net=self.net.state_dict(),
            averaged=self.averaged.state_dict(),
            optimizer=self.optimizer.state_dict(),
            random_state=torch.get_rng_state(),
        )
        checkpoint.save(self.run / LAST)
        if improved:
            checkpoint.save(self.run / BEST)
