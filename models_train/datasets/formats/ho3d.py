"""HO-3D v2 and v3 (Hampali et al., CVPR 2020): right hands with objects, 640 x 480 px.

The annotation is one pickle per image. Its points are in metres, in the OpenGL camera frame (x right, y up, z backward), and its
joints are in the order of MANO. `from_opengl` and `ORDER` convert points and joints to the conventions of this package. The
pictures of v2 are .png files and the pictures of v3 are .jpg files. The truth of the evaluation split is a separate download: two
JSON files, to put beside evaluation.txt. Without these files the evaluation split has only the camera and the box of the hand.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from models_train.datasets.formats.mano import HO3D_TIPS, ORDER, ManoHand
from models_train.datasets.formats.restricted_pickle import PickleError, load
from models_train.datasets.formats.sample import DatasetSample, box_of
from models_train.datasets.formats.sources import DatasetError, read_json, require_folder

SPLITS = ("train", "evaluation")
_SUFFIXES = {"ho3d_v2": ".png", "ho3d_v3": ".jpg"}
_FLIP = np.array([1.0, -1.0, -1.0])


def from_opengl(points: np.ndarray) -> np.ndarray:
    """Points (..., 3) of the OpenGL camera frame in the OpenCV camera frame. The function is its own inverse."""
    return points * _FLIP


def samples(
    root: Path, split: str, key: str = "ho3d_v3", with_vertices: bool = True, mano: ManoHand | None = None
) -> Iterator[DatasetSample]:
    """Yields the samples of a split in the order of its list. Training frames without an annotation are left out.

    Args:
        root: folder of the data set.
        split: one of `SPLITS`.
        key: "ho3d_v2" or "ho3d_v3".
        with_vertices: also give the vertices: of the published truth in the evaluation split, by `mano` in the training split.
        mano: the right hand of MANO; without it the training split has no vertices.

    Raises:
        DatasetError: if a file is missing, damaged, or of another version.
        ValueError: if there is no such split or version.
    """
    if split not in SPLITS or key not in _SUFFIXES:
        raise ValueError(f"split {split}, data set {key}: choose of {SPLITS} and {tuple(_SUFFIXES)}")
    require_folder(key, root)
    names = _names(root, split, key)
    _check_version(root, split, key, names)
    truths = _published_truth(root, key, len(names), with_vertices) if split == "evaluation" else [(None, None)] * len(names)
    for name, (joints, vertices) in zip(names, truths):
        sequence, frame = name.split("/")
        path = root / split / sequence / "meta" / f"{frame}.pkl"
        meta = _read_meta(key, path)
        if split == "train":
            if meta.get("handJoints3D") is None:
                continue
            joints = from_opengl(_field(key, path, meta, "handJoints3D", (21, 3))[ORDER])
            vertices = _posed(key, path, meta, mano) if with_vertices and mano else None
        camera_matrix = _field(key, path, meta, "camMat", (3, 3))
        yield DatasetSample(
            dataset=key,
            name=name,
            image_path=_image_path(root, split, key, name),
            camera_matrix=camera_matrix,
            handedness="right",
            joints_m=joints,
            vertices_m=vertices,
            bbox_px=_box(key, path, meta) if joints is None else box_of(joints, camera_matrix),
        )


def _names(root: Path, split: str, key: str) -> list[str]:
    path = root / f"{split}.txt"
    if not path.is_file():
        raise DatasetError(key, f"{path} is missing")
    names = path.read_text(encoding="utf-8").split()
    if wrong := [name for name in names if name.count("/") != 1]:
        raise DatasetError(key, f"{path} has the line '{wrong[0]}', expected SEQUENCE/FRAME")
    if not names:
        raise DatasetError(key, f"{path} is empty")
    return names


def _check_version(root: Path, split: str, key: str, names: list[str]) -> None:
    """Raises DatasetError if the first picture has the format of the other version."""
    for other in _SUFFIXES:
        if other != key and _image_path(root, split, other, names[0]).is_file():
            raise DatasetError(key, f"{_image_path(root, split, other, names[0])} is a picture of {other}, not of {key}")


def _image_path(root: Path, split: str, key: str, name: str) -> Path:
    sequence, frame = name.split("/")
    return root / split / sequence / "rgb" / f"{frame}{_SUFFIXES[key]}"


def _read_meta(key: str, path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise DatasetError(key, f"{path} is missing")
    try:
        meta = load(path)
    except PickleError as error:
        raise DatasetError(key, str(error)) from error
    if not isinstance(meta, dict):
        raise DatasetError(key, f"{path} holds a {type(meta).__name__}, expected a dictionary")
    return meta


def _field(key: str, path: Path, meta: dict[str, Any], name: str, shape: tuple[int, ...]) -> np.ndarray:
    found = meta.get(name)
    try:
        array = np.array(found, np.float64)
    except (TypeError, ValueError):
        array = np.zeros(0)
    if array.shape != shape:
        raise DatasetError(key, f"{path} has '{name}' of type {type(found).__name__} and shape {array.shape}, expected {shape}")
    return array


def _box(key: str, path: Path, meta: dict[str, Any]) -> np.ndarray | None:
    """The published box is left, top, right, bottom."""
    if "handBoundingBox" not in meta:
        return None
    corners = _field(key, path, meta, "handBoundingBox", (4,))
    return np.concatenate([corners[:2], corners[2:] - corners[:2]])


def _posed(key: str, path: Path, meta: dict[str, Any], mano: ManoHand) -> np.ndarray:
    pose, shape = _field(key, path, meta, "handPose", (48,)), _field(key, path, meta, "handBeta", (10,))
    posed = mano.pose(pose, shape, _field(key, path, meta, "handTrans", (3,)), HO3D_TIPS)
    return from_opengl(posed.vertices_m)


def _published_truth(root: Path, key: str, count: int, with_vertices: bool) -> list[tuple[np.ndarray | None, np.ndarray | None]]:
    """Joints and vertices of the evaluation split, None for the parts whose file is missing."""
    parts: list[list[np.ndarray | None]] = []
    for kind, n_points, is_wanted in (("xyz", 21, True), ("verts", None, with_vertices)):
        path = root / f"evaluation_{kind}.json"
        if not is_wanted or not path.is_file():
            parts.append([None] * count)
            continue
        found = [from_opengl(np.array(points, np.float64)) for points in read_json(key, path)]
        if len(found) != count or any(points.shape != (n_points or len(points), 3) for points in found):
            raise DatasetError(key, f"{path} has {len(found)} entries, expected {count} lists of {n_points or 'all'} points")
        parts.append([points[ORDER] if kind == "xyz" else points for points in found])
    return list(zip(*parts))
