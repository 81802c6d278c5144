"""Training in two real processes (gloo on the processor), as `torchrun` starts them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import line_in_processes
import torch

from models_train import train_loop
from models_train.checkpoint import LAST, Checkpoint

ROOT = Path(__file__).resolve().parents[2]
STEPS = 12


def torchrun(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def test_two_processes_train_like_one_with_both_batches(tmp_path):
    torchrun(str(Path(line_in_processes.__file__)), str(tmp_path / "two"), str(STEPS))
    torch.manual_seed(0)
    alone = train_loop.Trainer(line_in_processes.LineTask(joined=True), line_in_processes.config(STEPS), tmp_path / "one")
    alone.train()
    for rank in range(2):
        weights = torch.load(tmp_path / "two" / f"weights_{rank}.pt", weights_only=True)
        for name, value in alone.net.state_dict().items():
            torch.testing.assert_close(weights[name], value, rtol=1e-4, atol=1e-6)
    lines = (tmp_path / "two" / train_loop.LOG).read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [5, 10, STEPS]


def test_the_training_command_runs_under_torchrun_and_resumes_alone(tmp_path):
    settings = ["joints", "--run", str(tmp_path), "--batch-size", "4", "--width", "16", "--validate-every", "4"]
    done = torchrun("-m", "--", "models_train.train", *settings, "--steps", "4")
    assert done.stdout.count('"step": 4') == 1
    start = Checkpoint.load(tmp_path / LAST)
    assert start.step == 4
    again = [sys.executable, "-m", "models_train.train", *settings[:3], "--resume", "--steps", "8"]
    subprocess.run(again, cwd=ROOT, check=True, capture_output=True, timeout=300)
    assert Checkpoint.load(tmp_path / LAST).step == 8


def test_a_budget_of_minutes_ends_both_processes_at_the_same_step(tmp_path):
    settings = ["joints", "--run", str(tmp_path), "--batch-size", "4", "--width", "16", "--validate-every", "100000"]
    torchrun("-m", "--", "models_train.train", *settings, "--minutes", "0.02")
    assert Checkpoint.load(tmp_path / LAST).step > 0
