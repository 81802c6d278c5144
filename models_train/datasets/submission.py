"""Writes the file of estimates for the official servers of FreiHAND and HO-3D.

    python -m models_train.datasets.submission --dataset freihand --root FreiHAND_pub_v2 --out pred.zip
    python -m models_train.datasets.submission --dataset ho3d_v3 --root HO3D_v3 --out pred.zip

The archive holds pred.json: a list of joints and a list of vertices, with one entry per sample in the official order, in metres.
FreiHAND takes the OpenCV camera frame and the joint order of this package. HO-3D takes the OpenGL camera frame and the joint
order of MANO. A server refuses a file of a part of a split (`--limit`). The servers compute vertex errors only for meshes with
the 778 vertices of MANO. The mesh of this package has other vertices, so the servers report no vertex error for it.
"""

import argparse
import json
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hand_mesh_ros.core.models.onnx_model import ModelError
from hand_mesh_ros.core.topology import N_JOINTS
from models_train.datasets import select
from models_train.datasets.formats.ho3d import from_opengl
from models_train.datasets.formats.mano import BACK, ORDER
from models_train.datasets.formats.sources import DatasetError
from models_train.datasets.predict import load_pipeline, predict
from models_train.datasets.scores import Surfaces

_WITH_SERVER = ("freihand", "ho3d_v2", "ho3d_v3")
_FILE = "pred.json"
_DECIMALS = 5  # 0.01 mm


def write(path: Path, dataset: str, hands: Surfaces) -> None:
    """Writes the archive.

    Args:
        path: the .zip file.
        dataset: "freihand", "ho3d_v2" or "ho3d_v3".
        hands: all hands of the split in the official order, in the OpenCV camera frame and our joint order.

    Raises:
        ValueError: if a number is not finite, or the numbers of skeletons and surfaces differ.
    """
    if len(hands.joints_m) != len(hands.vertices_m):
        raise ValueError(f"{len(hands.joints_m)} skeletons and {len(hands.vertices_m)} surfaces; give one of each per sample")
    joints, vertices = hands.joints_m, list(hands.vertices_m)
    if dataset != "freihand":
        joints, vertices = from_opengl(joints[:, BACK]), [from_opengl(surface) for surface in vertices]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(_FILE, "w", force_zip64=True) as file:
        file.write(b"[")
        for part in (joints, vertices):
            file.write(b"[" if part is joints else b",[")
            # Sample by sample, since the text of a whole split is several hundred megabytes.
            for number, points in enumerate(part):
                if not np.all(np.isfinite(points)):
                    raise ValueError(f"sample {number} contains numbers that are not finite; the server would refuse the file")
                file.write((b"," if number else b"") + json.dumps(np.round(points, _DECIMALS).tolist()).encode())
            file.write(b"]")
        file.write(b"]")


def read(path: Path, dataset: str) -> Surfaces:
    """Returns the hands of a file of any method, in the OpenCV camera frame and our joint order.

    Args:
        path: archive with one .json file, or the .json file itself.
        dataset: "freihand", "ho3d_v2" or "ho3d_v3".

    Raises:
        ValueError: if the file is not in the official format.
    """
    try:
        content = json.loads(_text(path))
        joints, vertices = content
        points = np.array(joints, np.float64).reshape(len(joints), N_JOINTS, 3)
        surfaces = [np.array(surface, np.float64).reshape(-1, 3) for surface in vertices]
    except (OSError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is not a file of [joints, vertices] with 21 joints per hand: {error}") from error
    if dataset == "freihand":
        return Surfaces(points, surfaces)
    return Surfaces(from_opengl(points[:, ORDER]), [from_opengl(surface) for surface in surfaces])


def _text(path: Path) -> bytes:
    if path.suffix != ".zip":
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".json")]
        if len(names) != 1:
            raise ValueError(f"it holds {len(names)} .json files, expected one")
        return archive.read(names[0])


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line. Returns 0, or 2 for input that cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    select.add_options(parser, _WITH_SERVER)
    parser.add_argument("--out", type=Path, default=Path("pred.zip"))
    parser.add_argument("--models", default="", help="folder of the model files; the shipped ones if not given")
    given = parser.parse_args(arguments)
    try:
        pipeline = load_pipeline(given.models)
        found = [predict(pipeline, sample) for sample in select.samples(given, is_training=False, with_vertices=False)]
    except (DatasetError, ModelError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    hands = Surfaces(np.stack([hand.joints_m for hand in found]), [hand.vertices_m for hand in found])
    write(given.out, given.dataset, hands)
    missed = sum(not hand.is_found for hand in found)
    print(f"wrote {given.out}: {len(found)} hands, of them {missed} missed hands as the flat hand")
    return 0


if __name__ == "__main__":
    sys.exit(main())
