"""The record of one annotated hand, the same for every data set."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from hand_mesh_ros.core.geometry.camera import project
from hand_mesh_ros.core.topology import N_JOINTS
from hand_mesh_ros.core.types import Frame, Side, require_shape
from models_train.datasets.formats.sources import DatasetError


@dataclass(frozen=True)
class DatasetSample:
    """One hand in one image. Points are in metres, in the camera's optical frame: x right, y down, z forward.

    Raises:
        ValueError: if an array has the wrong shape.
    """

    dataset: str  # key of `sources.SOURCES`
    name: str  # unique in the split
    image_path: Path
    camera_matrix: np.ndarray  # (3, 3)
    handedness: Side
    # (21, 3) in the order of `core.topology`, NaN for a joint without annotation; None if the data set keeps the truth secret
    joints_m: np.ndarray | None = None
    vertices_m: np.ndarray | None = None  # (V, 3), in practice 778 vertices of MANO; None if unknown
    bbox_px: np.ndarray | None = None  # (4,) x, y, width, height in the image; None if unknown
    is_interacting: bool = False  # the image shows both hands

    def __post_init__(self) -> None:
        require_shape("camera_matrix", self.camera_matrix, (3, 3))
        if self.joints_m is not None:
            require_shape("joints_m", self.joints_m, (N_JOINTS, 3))
        if self.vertices_m is not None:
            require_shape("vertices_m", self.vertices_m, (None, 3))
        if self.bbox_px is not None:
            require_shape("bbox_px", self.bbox_px, (4,))

    @property
    def is_complete(self) -> bool:
        """True if all 21 joints are annotated."""
        return self.joints_m is not None and bool(np.all(np.isfinite(self.joints_m)))

    def frame(self) -> Frame:
        """Reads the image.

        Raises:
            DatasetError: if the image is missing or damaged.
        """
        bgr = cv2.imread(str(self.image_path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if bgr is None:
            raise DatasetError(self.dataset, f"image {self.image_path} of sample {self.name} is missing or damaged")
        return Frame(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), self.camera_matrix)


def box_of(joints_m: np.ndarray, camera_matrix: np.ndarray) -> np.ndarray:
    """Returns x, y, width, height, (4,), of the smallest box around the annotated joints of (21, 3) in the image [px]."""
    pixels = project(joints_m[np.all(np.isfinite(joints_m), -1)], camera_matrix)
    low, high = pixels.min(0), pixels.max(0)
    return np.concatenate([low, high - low])
