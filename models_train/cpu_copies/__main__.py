"""Makes the copies of model files for processors: `python -m models_train.cpu_copies [NAME ..]`.

A processor runs the copy, which is faster. The other devices run the original file. Run this command after every export of one of
these files, then fit the calibration again (`models_train.calibrate`). Loading fails if a copy was made from another original.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path

import onnx

from hand_mesh_ros.core.models.onnx_model import SOURCE, cpu_copy
from models_train import onnx_file
from models_train.cpu_copies import convolutions, layers

COMMAND = "python -m models_train.cpu_copies"
COPIES = {
    "hand_landmark.onnx": convolutions.of_landmark_model,
    "joint_denoiser.onnx": layers.with_8bit_weights,
    "mesh_decoder.onnx": layers.with_sparse_matrices,
    "mesh_denoiser.onnx": layers.with_8bit_weights,
}


def main(arguments: list[str] | None = None) -> None:
    """Command line: see the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(COPIES)}; default: all")
    parser.add_argument("--models", type=Path, default=Path("models"), help="folder of the model files and their MANIFEST")
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - set(COPIES):
        parser.error(f"no copy is made of {', '.join(sorted(unknown))}; known are {', '.join(COPIES)}")
    entries = json.loads((given.models / "MANIFEST").read_text())
    for name in given.names or COPIES:
        path = given.models / name
        model = COPIES[name](onnx.load(path))
        onnx_file.add_metadata(model, {SOURCE: hashlib.sha256(path.read_bytes()).hexdigest()})
        entry = {"licence": entries[name]["licence"], "origin": f"copy of {name} for processors", "command": f"{COMMAND} {name}"}
        onnx_file.save(model, cpu_copy(path), entry)
        sys.stdout.write(f"{cpu_copy(path)}: {cpu_copy(path).stat().st_size / 2**20:.1f} MiB\n")


if __name__ == "__main__":
    main()
