"""Origin, licence and layout of each data set, and the errors that name them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The mark of all weights that were trained on one of these data sets.
NON_COMMERCIAL = "non-commercial (dataset)"


@dataclass(frozen=True)
class Source:
    """Facts that a user needs to get a data set."""

    title: str
    address: str
    licence: str
    layout: str  # files below the root folder


SOURCES = {
    "freihand": Source(
        "FreiHAND v2",
        "https://lmb.informatik.uni-freiburg.de/resources/datasets/FreihandDataset.en.html",
        "research only, commercial use is prohibited",
        "training/rgb/00000000.jpg, training_K.json, training_xyz.json, training_verts.json, evaluation/rgb/00000000.jpg, "
        "evaluation_K.json; for scores also evaluation_xyz.json and evaluation_verts.json",
    ),
    "ho3d_v2": Source(
        "HO-3D v2",
        "https://github.com/shreyashampali/ho3d",
        "academic research only, no commercial use and no redistribution",
        "train.txt, train/SEQUENCE/rgb/0000.png, train/SEQUENCE/meta/0000.pkl, the same for evaluation; for scores also "
        "evaluation_xyz.json and evaluation_verts.json",
    ),
    "ho3d_v3": Source(
        "HO-3D v3",
        "https://github.com/shreyashampali/ho3d",
        "academic research only, no commercial use and no redistribution",
        "train.txt, train/SEQUENCE/rgb/0000.jpg, train/SEQUENCE/meta/0000.pkl, the same for evaluation; for scores also "
        "evaluation_xyz.json and evaluation_verts.json",
    ),
    "interhand": Source(
        "InterHand2.6M",
        "https://mks0601.github.io/InterHand2.6M/",
        "CC-BY-NC 4.0, no commercial use",
        "images/SPLIT/Capture0/..., annotations/SPLIT/InterHand2.6M_SPLIT_data.json, ..._camera.json and ..._joint_3d.json; "
        "or the same below InterHand2.6M_5fps_batch1 or InterHand2.6M_30fps_batch1",
    ),
    "mano": Source(
        "MANO",
        "https://mano.is.tue.mpg.de",
        "non-commercial research, see https://mano.is.tue.mpg.de/license",
        "models/MANO_RIGHT.pkl",
    ),
}


class DatasetError(RuntimeError):
    """A data set is missing, incomplete, or in another format."""

    def __init__(self, key: str, problem: str) -> None:
        """Makes the message: the problem, the origin of the data set, its licence and its layout.

        Args:
            key: of `SOURCES`.
            problem: what is wrong, with the file or folder.
        """
        source = SOURCES[key]
        super().__init__(
            f"{problem}. Get {source.title} from {source.address} (licence: {source.licence}). Expected files: {source.layout}"
        )


def require_folder(key: str, root: Path) -> None:
    """Raises DatasetError if `root` is not a folder."""
    if not root.is_dir():
        raise DatasetError(key, f"{root} is not a folder")


def read_json(key: str, path: Path) -> Any:
    """Returns the content of a JSON file.

    Raises:
        DatasetError: if the file is missing or damaged.
    """
    if not path.is_file():
        raise DatasetError(key, f"{path} is missing")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DatasetError(key, f"{path} is not a JSON file: {error}") from error
