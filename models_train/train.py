"""Trains one model: `python -m models_train.train TASK --minutes 30 --seed 0 --run runs/NAME [--resume]`.

A training can be stopped at any time. The same command with --resume continues from the last validation. A resumed training
keeps its settings. Only the budget, the threads, the device and the validation interval may change.
`--recipe FILE` reads settings from a JSON file, see `models_train/recipes`. Options of the command line have priority.
Each task reads its own options. Options that only other tasks read are ignored. `torchrun` trains in several processes, see
`models_train.processes`.
"""

import argparse
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from models_train.checkpoint import LAST, Checkpoint
from models_train.processes import join
from models_train.tasks.configs import (
    CONFIGS,
    AutoencoderConfig,
    GraphConfig,
    JointConfig,
    KeypointConfig,
    LatentConfig,
    config_of,
)
from models_train.tasks.task import Task, TrainConfig
from models_train.train_loop import Trainer

# The settings of a task that differ from the defaults of its config.
DEFAULTS: dict[str, dict[str, Any]] = {
    "joints": {"batch_size": 256},
    "keypoints": {
        "batch_size": 128,
        "learning_rate": 2e-3,
        "weight_decay": 0.05,
        "ema_decay": 0.998,
        "views": "runs/natural_views",
    },
    "mesh_autoencoder": {"batch_size": 32},
    "mesh_latent": {"batch_size": 64},
    "graph_diffusion": {"batch_size": 32, "learning_rate": 2e-3, "views": "runs/detected"},
    "graph_diffusion_only_attention": {"batch_size": 32, "learning_rate": 2e-3, "views": "runs/detected"},
}
_MAY_CHANGE = {"minutes", "steps", "threads", "device", "validate_every"}


def make_task(config: TrainConfig) -> Task:
    """Returns the task of `config`, with random weights from `config.seed`.

    Raises:
        ValueError: if there is no such task.
    """
    torch.manual_seed(config.seed)
    # Local imports, because each task module loads its own data generator.
    if isinstance(config, JointConfig):
        from models_train.tasks import joints as joint_task

        return joint_task.make_task(config)
    if isinstance(config, KeypointConfig):
        from models_train.tasks import keypoints as keypoint_task

        return keypoint_task.KeypointTask(config)
    if isinstance(config, AutoencoderConfig | LatentConfig):
        from models_train.tasks import mesh as mesh_tasks

        return mesh_tasks.make_task(config)
    if isinstance(config, GraphConfig):
        from models_train.tasks import graph as graph_task

        return graph_task.make_task(config)
    raise ValueError(f"no task '{config.task}'; the tasks are {', '.join(CONFIGS)}")


def resumed_config(stored: dict[str, Any], given: dict[str, Any]) -> TrainConfig:
    """Returns the settings of a resumed training: the stored settings with the given changes.

    Raises:
        ValueError: if `given` changes a setting that a resumed training must keep.
    """
    changed = {name for name, value in given.items() if name in stored and stored[name] != value} - _MAY_CHANGE
    if changed:
        differences = ", ".join(f"{name} {stored.get(name)} to {given[name]}" for name in sorted(changed))
        raise ValueError(f"a resumed training cannot change {differences}; start another run")
    if "minutes" in given or "steps" in given:
        stored = {**stored, "minutes": 0.0, "steps": 0}
    return config_of({**stored, **given})


def parse(arguments: list[str] | None = None) -> tuple[Path, bool, dict[str, Any]]:
    """Returns the run folder, whether to resume, and the given settings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=tuple(DEFAULTS))
    parser.add_argument("--run", type=Path, required=True, help="folder of the checkpoints and the log")
    parser.add_argument("--resume", action="store_true", help=f"continue from {LAST} in the run folder")
    for name, item in {item.name: item for config in CONFIGS.values() for item in fields(config)}.items():
        if name != "task":
            doc = item.metadata["doc"] + (f" (default {item.default})" if item.default != "" else "")
            parser.add_argument("--" + name.replace("_", "-"), type=type(item.default), default=argparse.SUPPRESS, help=doc)
    parser.add_argument("--recipe", type=Path, help="JSON file of settings")
    given = vars(parser.parse_args(arguments))
    recipe = json.loads(file.read_text()) if (file := given.pop("recipe")) else {}
    if recipe and recipe.pop("task", "") != given["task"]:
        raise SystemExit(f"{file} is not a recipe of the task {given['task']}")
    return given.pop("run"), given.pop("resume"), {**recipe, **given}


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the command line."""
    run, resume, given = parse(arguments)
    start = None
    if resume:
        start = Checkpoint.load(run / LAST)
        config = resumed_config(start.config, given)
    elif (run / LAST).exists():
        raise SystemExit(f"{run} already has a training; continue with --resume, or choose another run")
    else:
        config = config_of({**DEFAULTS[given["task"]], **given})
    torch.set_num_threads(config.threads)
    processes = join(config.device)
    trainer = Trainer(make_task(config), config, run, start, processes)
    trainer.train(report=lambda line: print(json.dumps(line), flush=True))
    processes.leave()


if __name__ == "__main__":
    main()
