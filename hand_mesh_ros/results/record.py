"""Converts the hands of one image to a JSON record and back. The keys contain units and frames."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.topology import JOINT_NAMES
from hand_mesh_ros.core.types import Frame, HandEstimate

# Values of the key "frame".
IN_CAMERA = "camera optical frame: x right, y down, z forward, origin in the camera"
AT_WRIST = "camera optical axes: x right, y down, z forward, origin in the wrist of each hand"
FLAGS = "sum of 1 observed, 2 depth_anchored, 4 occluded, 8 out_of_image, 16 fitted"
# Key in the file: field of HandEstimate. Matrices are lists of rows. An unknown number is null.
KEYS = {
    "track_id": "track_id",
    "handedness": "handedness",
    "handedness_prob": "handedness_prob",
    "score": "score",
    "state": "state",
    "joints_m": "joints_m",
    "joint_covariance_m2": "joint_covariance_m2",
    "articulation_covariance_m2": "articulation_covariance_m2",
    "joint_confidence": "joint_confidence",
    "joint_flags": "joint_flags",
    "hypotheses_m": "hypotheses_m",
    "hypothesis_weights": "weights",
    "hypothesis_modes": "mode",
    "camera_from_wrist_m": "wrist_pose",
    "wrist_covariance_m2_rad2": "wrist_covariance",
    "keypoints_px": "keypoints_px",
    "keypoint_confidence": "keypoint_conf",
    "scale_source": "scale_source",
    "scale_rel_std": "scale_rel_std",
    "reprojection_px": "reprojection_px",
}
_INTEGERS = ("joint_flags", "hypothesis_modes")
_TEXTS = ("track_id", "handedness", "state", "scale_source")
_NO_RESULT = ("device", "models_dir", "threads", "landmark_threads", "fit_budget_ms")
# Seven digits have the precision of float32.
_DIGITS = ".7g"

Record = dict[str, Any]


@dataclass(frozen=True)
class Origin:
    """Origin of the estimates: image, models and settings."""

    name: str  # name of the image file, video file or webcam
    model_id: str
    settings: Record = field(default_factory=dict)  # settings that differ from the defaults
    index: int | None = None  # of the image in its video, from 0
    time_s: float | None = None  # of the image since the video began


def settings_of(config: PipelineConfig) -> Record:
    """Returns the settings that differ from the defaults, without settings that have no effect on the results."""
    values = {item.name: getattr(config, item.name) for item in fields(config) if item.name not in _NO_RESULT}
    return {name: value for name, value in values.items() if value != getattr(PipelineConfig, name)}


def to_record(frame: Frame, hands: Sequence[HandEstimate], origin: Origin) -> Record:
    """Returns the record of one image, for `to_line`. The record has no surfaces, because mesh files and NPZ files have them."""
    height, width = frame.rgb.shape[:2]
    place = {} if origin.index is None else {"image_index": origin.index, "time_s": _plain(origin.time_s)}
    return {
        "source": origin.name,
        **place,
        "width_px": width,
        "height_px": height,
        "camera_matrix_px": _plain(frame.camera_matrix) if frame.is_calibrated else None,
        "frame": IN_CAMERA if frame.is_calibrated else AT_WRIST,
        "model_id": origin.model_id,
        "settings": origin.settings,
        "joint_names": list(JOINT_NAMES),
        "joint_flags_meaning": FLAGS,
        "hands": [{key: _plain(getattr(hand, name)) for key, name in KEYS.items()} for hand in hands],
    }


def hands_of(record: Record) -> list[HandEstimate]:
    """Returns the estimates of a record, without their surfaces.

    Raises:
        ValueError: if a key is missing in the record.
    """
    try:
        return [_hand_of(hand) for hand in record["hands"]]
    except (KeyError, TypeError) as error:
        raise ValueError(f"a hand in the record of {record.get('source')} is damaged: {error!r}") from error


def camera_matrix_of(record: Record) -> np.ndarray:
    """Returns K, (3, 3), from a record; all zero if the camera is not calibrated."""
    matrix = record["camera_matrix_px"]
    return np.zeros((3, 3)) if matrix is None else np.array(matrix, float)


def to_line(record: Record) -> str:
    """Returns the record as one line of JSON, without the line end."""
    return json.dumps(record, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def _hand_of(stored: Record) -> HandEstimate:
    values = {
        name: stored[key] if key in _TEXTS else np.array(stored[key], int if key in _INTEGERS else float)
        for key, name in KEYS.items()
    }
    values |= {name: float(value) for name, value in values.items() if isinstance(value, np.ndarray) and value.ndim == 0}
    return HandEstimate(**values, vertices_m=np.zeros((0, 3)), vertex_std_m=np.zeros(0))


def _plain(value: Any) -> Any:
    """Converts a value to lists, strings and numbers of JSON. A number that is not finite becomes None."""
    if value is None or isinstance(value, str):
        return value
    array = np.asarray(value)
    if array.ndim:
        return [_plain(item) for item in array]
    if array.dtype.kind in "iub":
        return int(array)
    return float(format(array.item(), _DIGITS)) if np.isfinite(array) else None
