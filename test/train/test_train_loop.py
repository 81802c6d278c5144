"""The training loop on a net of a few numbers: budget, averaging, exact resumption, refusal of nonsense."""

import json
import math
import sys
from pathlib import Path

import pytest
import torch

from models_train import train, train_loop
from models_train.checkpoint import BEST, LAST, Checkpoint, CheckpointError
from models_train.curves import FOLDER
from models_train.tasks.configs import JointConfig, config_of
from models_train.tasks.task import Batch, TrainConfig


class LineTask:
    """Fits y = 2 x + 1 through dropout, so that both data and noise must be reproduced."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.net = torch.nn.Sequential(
            torch.nn.Linear(1, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.2), torch.nn.Linear(8, 1)
        )
        self.facts = {"data": "line"}

    def train_batch(self, step: int) -> Batch:
        x = torch.rand(16, 1, generator=torch.Generator().manual_seed(step))
        return {"x": x, "y": 2 * x + 1}

    def loss(self, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        loss = (self.net(batch["x"]) - batch["y"]).square().mean()
        return loss, {"mse": loss.item()}

    def validate(self, net: torch.nn.Module) -> dict[str, float]:
        x = torch.rand(64, 1)
        return {"score": (net(x) - (2 * x + 1)).square().mean().item()}


def run_steps(path: Path, steps: int, start: Checkpoint | None = None, **settings: float) -> train_loop.Trainer:
    config = TrainConfig(
        task="line", **{"steps": steps, "validate_every": 5, "learning_rate": 0.02, "ema_decay": 0.9, **settings}
    )
    trainer = train_loop.Trainer(LineTask(), config, path, start)
    trainer.train()
    return trainer


def test_training_lowers_the_score_and_logs_every_validation(tmp_path):
    run_steps(tmp_path, 200, validate_every=50)
    lines = [json.loads(line) for line in (tmp_path / train_loop.LOG).read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(50, 201, 50))
    assert lines[-1]["validation"]["score"] < 0.05  # untrained: above 1
    assert Checkpoint.load(tmp_path / BEST).best_score == pytest.approx(
        min(line["validation"]["score"] for line in lines), rel=1e-3
    )


def test_an_interrupted_training_ends_with_the_weights_of_an_uninterrupted_one(tmp_path):
    whole = run_steps(tmp_path / "whole", 20)
    interrupted = train_loop.Trainer(LineTask(), whole.config, tmp_path / "cut")
    interrupted.task.validate = stop_after(interrupted, 10)
    with pytest.raises(KeyboardInterrupt):
        interrupted.train()
    start = Checkpoint.load(tmp_path / "cut" / LAST)
    assert start.step == 10
    resumed = run_steps(tmp_path / "cut", 20, start)
    for name, value in whole.net.state_dict().items():
        torch.testing.assert_close(resumed.net.state_dict()[name], value, rtol=0, atol=0)
    for name, value in whole.averaged.state_dict().items():
        torch.testing.assert_close(resumed.averaged.state_dict()[name], value, rtol=0, atol=0)


def stop_after(trainer: train_loop.Trainer, step: int):
    validate = trainer.task.validate

    def interrupting(net: torch.nn.Module) -> dict[str, float]:
        if trainer.step > step:
            raise KeyboardInterrupt
        return validate(net)

    return interrupting


def test_a_budget_of_minutes_is_kept_and_continued(tmp_path):
    first = run_steps(tmp_path, 0, minutes=0.005)
    assert 0.3 <= first.elapsed_s < 3
    assert first.optimizer.param_groups[0]["lr"] < 0.2 * first.config.learning_rate
    second = run_steps(tmp_path, 0, Checkpoint.load(tmp_path / LAST), minutes=0.01)
    assert second.step > first.step
    assert second.elapsed_s >= 0.6


def test_learning_rate_rises_then_falls_to_the_end():
    config = TrainConfig(task="line", steps=1, warmup=0.1, learning_rate=1.0)
    rates = [train_loop.rate_at(progress / 100, config) for progress in range(101)]
    assert rates[10] == pytest.approx(1, abs=0.01)
    assert rates[:11] == sorted(rates[:11])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(0.01)


def test_the_average_follows_its_formula_and_copies_statistics():
    net, averaged = LineTask().net, LineTask().net
    with torch.no_grad():
        net[0].weight.fill_(3.0)
        averaged[0].weight.fill_(1.0)
        net[1].running_mean.fill_(7.0)
    train_loop.average_into(averaged, net, decay=0.75, step=1000)
    assert torch.all(averaged[0].weight == 1.5)
    assert torch.all(averaged[1].running_mean == 7.0)
    train_loop.average_into(averaged, net, decay=0.75, step=0)
    torch.testing.assert_close(averaged[0].weight, torch.full((8, 1), 1.5 + 0.9 * 1.5))


def test_a_loss_that_is_not_finite_stops_the_training(tmp_path):
    task = LineTask()
    task.loss = lambda batch: (task.net(batch["x"]).mean() * math.nan, {})
    with pytest.raises(train_loop.TrainingDiverged, match="step 0"):
        train_loop.Trainer(task, TrainConfig(task="line", steps=5), tmp_path).train()


def test_other_data_cannot_be_resumed_on(tmp_path):
    trainer = run_steps(tmp_path, 5)
    task = LineTask()
    task.facts = {"data": "parabola"}
    with pytest.raises(ValueError, match="parabola"):
        train_loop.Trainer(task, trainer.config, tmp_path, Checkpoint.load(tmp_path / LAST))


def test_a_damaged_checkpoint_is_named(tmp_path):
    (tmp_path / LAST).write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="7 bytes"):
        Checkpoint.load(tmp_path / LAST)
    with pytest.raises(CheckpointError, match="train first"):
        Checkpoint.load(tmp_path / BEST)


def test_budget_must_be_minutes_or_steps():
    with pytest.raises(ValueError, match="only one"):
        TrainConfig(task="line")
    with pytest.raises(ValueError, match="only one"):
        TrainConfig(task="line", minutes=1, steps=1)


def test_command_line_gives_what_was_given_and_resumes_only_what_may_change():
    run, resume, given = train.parse(["joints", "--minutes", "3", "--run", "runs/x", "--batch-size", "8"])
    assert (run, resume, given) == (Path("runs/x"), False, {"task": "joints", "minutes": 3.0, "batch_size": 8})
    stored = vars(JointConfig(task="joints", minutes=3, batch_size=8))
    assert train.resumed_config(stored, {"task": "joints", "steps": 9, "threads": 2}) == JointConfig(
        task="joints", steps=9, threads=2, batch_size=8
    )
    with pytest.raises(ValueError, match="batch_size 8 to 9"):
        train.resumed_config(stored, {"batch_size": 9})


def test_each_task_has_its_own_settings_and_ignores_those_of_others():
    config = config_of({"task": "joints", "steps": 1, "views": "v", "skeletons": "stage_one"})
    assert config == JointConfig(task="joints", steps=1, views="v")
    assert not hasattr(config, "skeletons")
    with pytest.raises(ValueError, match="colour"):
        config_of({"task": "joints", "steps": 1, "colour": "red"})
    with pytest.raises(ValueError, match="the tasks are joints"):
        config_of({"task": "feet", "steps": 1})


def test_curves_hold_the_lines_of_the_log(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run_steps(tmp_path, 10)
    events = accumulator.EventAccumulator(str(tmp_path / FOLDER)).Reload()
    lines = [json.loads(line) for line in (tmp_path / train_loop.LOG).read_text().splitlines()]
    scores = [(event.step, event.value) for event in events.Scalars("validation/score")]
    assert scores == [(line["step"], pytest.approx(line["validation"]["score"])) for line in lines]
    assert {"training/loss", "training/rate", "training/mse"} <= set(events.Tags()["scalars"])


def test_a_training_without_tensorboard_has_no_curves(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    run_steps(tmp_path, 10)
    assert not (tmp_path / FOLDER).exists()
    assert (tmp_path / train_loop.LOG).exists()
