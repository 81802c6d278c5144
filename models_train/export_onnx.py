"""Exports a trained model to ONNX files: `python -m models_train.export_onnx TASK --run runs/NAME --out models/`.

The files store weights in half precision. Before writing a file, the command compares ONNX Runtime with torch. The MANIFEST gets
an entry for each file with its licence and its training.
"""

import argparse
import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from hand_mesh_ros.core.models.onnx_model import cpu_copy
from models_train import onnx_file
from models_train.checkpoint import BEST, Checkpoint, provenance
from models_train.tasks.configs import config_of
from models_train.tasks.task import Export
from models_train.train import DEFAULTS, make_task

LICENCE = "Apache-2.0; trained on synthetic hands of the CC0 hand model"
_RECORDED_POSES = ", in part in poses derived from handy.js (MIT, copyright 2020-2021 Stewart Smith)"
_N_OTHER_BATCH = 8  # the parity check also uses this other batch size


class ParityError(RuntimeError):
    """The exported file and the network give different results."""


def to_onnx(export: Export) -> onnx.ModelProto:
    """Returns the model for any batch size, with half-precision storage and metadata."""
    model = onnx_file.store_fp16(export.to_graph(), export.exact)
    onnx_file.add_metadata(model, export.metadata)
    return model


def largest_difference(export: Export, model: onnx.ModelProto) -> float:
    """Returns the largest absolute difference between the outputs of torch and ONNX Runtime, for two batch sizes."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    n_rows = max(len(value) for value in export.inputs.values())
    differences = []
    for rows in (torch.arange(n_rows), torch.arange(_N_OTHER_BATCH) % n_rows):
        inputs = {name: value if name in export.shared else value[rows] for name, value in export.inputs.items()}
        with torch.no_grad():
            expected = export.module(**inputs)
        expected = expected if isinstance(expected, tuple) else (expected,)
        found = session.run(list(export.outputs), {name: value.numpy() for name, value in inputs.items()})
        differences += [np.abs(want.numpy() - got).max() for want, got in zip(expected, found)]
    return float(max(differences))


def checked_onnx(export: Export) -> onnx.ModelProto:
    """Exports the model and checks that the model gives the same results as the network.

    Raises:
        ParityError: if the difference is larger than the tolerance.
    """
    model = to_onnx(export)
    difference = largest_difference(export, model)
    if not difference <= export.tolerance:
        raise ParityError(
            f"{export.file_name}: ONNX Runtime differs from torch by {difference:.3g}; the limit is {export.tolerance:.3g}"
        )
    return model


def manifest_entry(checkpoint: Checkpoint) -> dict:
    """Returns the MANIFEST entry of a file without the sha256: licence, training command, data and figures."""
    facts = provenance(checkpoint)
    config = config_of(facts["config"])
    minutes = checkpoint.elapsed_s / 60
    differing = [item.name for item in fields(config) if getattr(config, item.name) != item.default and item.name != "task"]
    options = " ".join(f"--{name.replace('_', '-')} {getattr(config, name)}" for name in differing)
    # The stored views of the keypoint task show natural hands.
    has_recorded_poses = config.task == "keypoints" or getattr(config, "natural_share", 0.0) > 0
    free = LICENCE + (_RECORDED_POSES if has_recorded_poses else "")
    return {
        # Weights that learned from a data set carry its restriction (`models_train.datasets`).
        "licence": facts["facts"].get("licence", free),
        "command": f"python -m models_train.train {config.task} {options} --run runs/NAME",
        "seed": config.seed,
        "minutes": round(minutes, 1),
        "steps": facts["step"],
        "commit": facts["commit"],
        "data": facts["facts"],
        "metrics": {name: float(f"{value:.4g}") for name, value in facts["metrics"].items()},
    }


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=tuple(DEFAULTS))
    parser.add_argument("--run", type=Path, required=True, help="folder of the training")
    parser.add_argument("--out", type=Path, default=Path("models"), help="folder of the model files and their MANIFEST")
    given = parser.parse_args(arguments)
    checkpoint = Checkpoint.load(given.run / BEST)
    config = config_of(checkpoint.config)
    if config.task != given.task:
        raise SystemExit(f"{given.run} holds a training of {config.task}, not of {given.task}")
    task = make_task(config)
    if task.facts != checkpoint.facts:
        raise SystemExit(f"{given.run} was trained with {checkpoint.facts}, but the task now has {task.facts}; train again")
    task.net.load_state_dict(checkpoint.averaged)
    for export in task.exports(task.net.eval()):
        path = given.out / export.file_name
        onnx_file.save(checked_onnx(export), path, manifest_entry(checkpoint))
        # A copy of the previous file would be refused. `models_train.cpu_copies` makes a new copy.
        onnx_file.remove(cpu_copy(path))
        print(json.dumps({"file": str(path), "bytes": path.stat().st_size}))


if __name__ == "__main__":
    main()
