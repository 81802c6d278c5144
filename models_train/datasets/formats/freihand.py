"""FreiHAND v2 (Zimmermann et al., ICCV 2019): right hands in crops of 224 x 224 px.

Joints and vertices are in metres, in the OpenCV camera frame, in the joint order of `core.topology`. Each training sample has
four pictures: one with the green screen ("gs") and three with replaced backgrounds. The picture of sample `i` with background `b`
has the number `i + b * n` for n samples. The evaluation split has one picture per sample.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from models_train.datasets.formats.sample import DatasetSample, box_of
from models_train.datasets.formats.sources import DatasetError, read_json, require_folder

KEY = "freihand"
SPLITS = ("training", "evaluation")
BACKGROUNDS = ("gs", "hom", "sample", "auto")


def samples(root: Path, split: str, with_vertices: bool = True, backgrounds: Sequence[str] = ("gs",)) -> Iterator[DatasetSample]:
    """Yields the samples of a split. The joints are None if the file of the joints is missing in the evaluation split.

    Args:
        root: folder of the data set.
        split: one of `SPLITS`.
        with_vertices: also read the vertices; this file is large.
        backgrounds: pictures of each training sample, of `BACKGROUNDS`.

    Raises:
        DatasetError: if a file is missing, or the files do not fit each other.
        ValueError: if there is no such split or background.
    """
    if split not in SPLITS or not set(backgrounds) <= set(BACKGROUNDS):
        raise ValueError(f"split {split}, backgrounds {backgrounds}: choose of {SPLITS} and {BACKGROUNDS}")
    require_folder(KEY, root)
    cameras = _array(root / f"{split}_K.json", (None, 3, 3))
    count = len(cameras)
    joints = _truth(root, split, "xyz", (count, 21, 3))
    vertices = _truth(root, split, "verts", (count, None, 3)) if with_vertices else None
    # Sample by sample, so that the start of the split is a small test of all kinds of pictures.
    for index in range(count):
        for background in backgrounds if split == "training" else BACKGROUNDS[:1]:
            number = index + count * BACKGROUNDS.index(background)
            yield DatasetSample(
                dataset=KEY,
                name=f"{split}/{number:08d}",
                image_path=root / split / "rgb" / f"{number:08d}.jpg",
                camera_matrix=cameras[index],
                handedness="right",
                joints_m=None if joints is None else joints[index],
                vertices_m=None if vertices is None else vertices[index],
                bbox_px=None if joints is None else box_of(joints[index], cameras[index]),
            )


def _truth(root: Path, split: str, kind: str, shape: tuple[int | None, ...]) -> np.ndarray | None:
    """Only the joints of the training split must be there: version 1 has no vertices, and the evaluation truth came later."""
    path = root / f"{split}_{kind}.json"
    is_needed = split == "training" and kind == "xyz"
    return _array(path, shape) if is_needed or path.is_file() else None


def _array(path: Path, shape: tuple[int | None, ...]) -> np.ndarray:
    try:
        array = np.array(read_json(KEY, path), np.float64)
    except (ValueError, TypeError) as error:
        raise DatasetError(KEY, f"{path} is not a list of arrays of numbers: {error}") from error
    if array.ndim != len(shape) or any(want not in (None, got) for got, want in zip(array.shape, shape)):
        raise DatasetError(KEY, f"{path} has shape {array.shape}, expected {tuple('any' if n is None else n for n in shape)}")
    return array
