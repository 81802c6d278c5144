"""InterHand2.6M (Moon et al., ECCV 2020): single and interacting hands, both sides, 512 x 334 px, at 5 or 30 frames per second.

The annotation is three JSON files: images and hands, cameras, and joints. World coordinates are in millimetres. A camera has a
position, a rotation, focal lengths and a principal point. The joints of a hand go from the tip to the base of each finger; the
wrist is last. The right hand comes first, then the left hand. Some joints have no annotation.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hand_mesh_ros.core.topology import FINGER_JOINTS, N_JOINTS, WRIST
from hand_mesh_ros.core.types import Side
from models_train.datasets.formats.sample import DatasetSample, box_of
from models_train.datasets.formats.sources import DatasetError, read_json, require_folder

KEY = "interhand"
SPLITS = ("train", "val", "test")
_SIDES: tuple[Side, Side] = ("right", "left")
# ORDER[k] is the number in a hand of the data set of joint k of `core.topology`.
ORDER = np.concatenate([[N_JOINTS - 1], np.arange(N_JOINTS - 1).reshape(FINGER_JOINTS.shape)[:, ::-1].ravel()])


def samples(root: Path, split: str, fps: Literal[5, 30] = 5) -> Iterator[DatasetSample]:
    """Yields one sample per hand: a picture of two hands gives two samples, first the right hand.

    A hand without an annotated wrist is left out, as in the official evaluation.

    Args:
        root: folder of the data set.
        split: one of `SPLITS`.
        fps: which release to read if the folder holds the unpacked archives of both.

    Raises:
        DatasetError: if a file is missing, or the files do not fit each other.
        ValueError: if there is no such split.
    """
    if split not in SPLITS or fps not in (5, 30):
        raise ValueError(f"split {split}, {fps} frames per second: choose of {SPLITS} and 5 or 30")
    require_folder(KEY, root)
    stem = _folder(root, fps, "annotations", split) / f"InterHand2.6M_{split}"
    data, cameras, joints = (read_json(KEY, Path(f"{stem}_{part}.json")) for part in ("data", "camera", "joint_3d"))
    pictures = _folder(root, fps, "images", split)
    try:
        images = {image["id"]: image for image in data["images"]}
        for annotation in data["annotations"]:
            yield from _hands(pictures, images[annotation["image_id"]], annotation, cameras, joints)
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(KEY, f"{stem}_*.json do not fit each other: {type(error).__name__} {error}") from error


def _folder(root: Path, fps: int, kind: str, split: str) -> Path:
    """The archives unpack into a folder of their own; users often move its content to the root."""
    candidates = [root / f"InterHand2.6M_{fps}fps_batch{batch}" / kind / split for batch in (1, 0)] + [root / kind / split]
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    raise DatasetError(KEY, f"none of the folders {', '.join(map(str, candidates))} exists")


def _hands(
    pictures: Path, image: dict[str, Any], annotation: dict[str, Any], cameras: dict[str, Any], joints: dict[str, Any]
) -> Iterator[DatasetSample]:
    of_capture, name = cameras[str(image["capture"])], str(image["camera"])
    camera = {part: np.array(of_capture[part][name], np.float64) for part in ("campos", "camrot", "focal", "princpt")}
    world_mm = np.array(joints[str(image["capture"])][str(image["frame_idx"])]["world_coord"], np.float64).reshape(2, N_JOINTS, 3)
    valid = np.array(annotation["joint_valid"], bool).reshape(2, N_JOINTS)
    in_camera_m = (world_mm - camera["campos"].reshape(3)) @ camera["camrot"].reshape(3, 3).T / 1000
    (fx, fy), (cx, cy) = camera["focal"], camera["princpt"]
    camera_matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    for side, hand_m, is_valid in zip(_SIDES, in_camera_m[:, ORDER], valid[:, ORDER]):
        if not is_valid[WRIST]:
            continue
        joints_m = np.where(is_valid[:, None], hand_m, np.nan)
        yield DatasetSample(
            dataset=KEY,
            name=f"{image['file_name']}:{annotation['id']}:{side}",
            image_path=pictures / image["file_name"],
            camera_matrix=camera_matrix,
            handedness=side,
            joints_m=joints_m,
            bbox_px=box_of(joints_m, camera_matrix),
            is_interacting=annotation["hand_type"] == "interacting",
        )
