"""Writes the records of images as a table (CSV) and as arrays (NPZ)."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from hand_mesh_ros.core.geometry.mirror import mirror_faces
from hand_mesh_ros.core.topology import JOINT_NAMES
from hand_mesh_ros.core.types import HandEstimate
from hand_mesh_ros.results.record import KEYS, Record, camera_matrix_of, hands_of
from hand_mesh_ros.results.whole_file import written_whole

COLUMNS = (
    *("source", "image_index", "time_s", "track_id", "handedness", "score", "state", "scale_source", "joint"),
    *("x_m", "y_m", "z_m", "std_x_m", "std_y_m", "std_z_m", "u_px", "v_px", "joint_confidence", "joint_flags"),
)


def write_csv(path: Path, records: Iterable[Record]) -> None:
    """Writes one row per joint of every hand. The field of an unknown number is empty."""
    with written_whole(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for record in records:
            image = [record["source"], record.get("image_index", ""), record.get("time_s", "")]
            for hand, estimate in zip(record["hands"], hands_of(record)):
                who = [hand[name] for name in COLUMNS[3:8]]
                rows.writerows([*image, *who, *joint] for joint in _joint_rows(estimate))


def write_npz(path: Path, records: Iterable[Record], surfaces: np.ndarray, faces: np.ndarray) -> None:
    """Writes arrays with one row per hand. The names are the keys of the JSON records. The file also has cameras and surfaces.

    Args:
        path: path of the file.
        records: records of the images.
        surfaces: (N, V, 4) vertices and standard deviations in metres, of the N hands in the order of the records.
        faces: (F, 3) of a right hand.
    """
    columns: dict[str, list] = {name: [] for name in ("source", "image_index", "time_s", "camera_matrix_px", *KEYS)}
    for record in records:
        for hand, estimate in zip(record["hands"], hands_of(record)):
            columns["source"].append(record["source"])
            columns["image_index"].append(record.get("image_index", 0))
            columns["time_s"].append(record.get("time_s", 0.0))
            columns["camera_matrix_px"].append(camera_matrix_of(record))
            for key, name in KEYS.items():
                columns[key].append(hand[key] if isinstance(hand[key], str) else getattr(estimate, name))
    arrays = {name: _stacked(values) for name, values in columns.items()}
    arrays |= {"vertices_m": surfaces[..., :3], "vertex_std_m": surfaces[..., 3]}
    with written_whole(path) as temporary:
        np.savez(temporary, joint_names=np.array(JOINT_NAMES), faces_right=faces, faces_left=mirror_faces(faces), **arrays)


def surfaces_of(hands: Sequence[HandEstimate], n_vertices: int) -> np.ndarray:
    """Returns vertices and standard deviations, (N, V, 4) float32 metres."""
    if not hands:
        return np.zeros((0, n_vertices, 4), np.float32)
    return np.stack([np.column_stack([hand.vertices_m, hand.vertex_std_m]) for hand in hands]).astype(np.float32)


def _joint_rows(hand: HandEstimate) -> Iterable[list]:
    stds_m = np.sqrt(np.diagonal(hand.joint_covariance_m2, axis1=1, axis2=2))
    for joint, name in enumerate(JOINT_NAMES):
        values = [*hand.joints_m[joint], *stds_m[joint], *hand.keypoints_px[joint], hand.joint_confidence[joint]]
        yield [name, *(f"{value:.6g}" if np.isfinite(value) else "" for value in values), int(hand.joint_flags[joint])]


def _stacked(values: list) -> np.ndarray:
    array = np.array(values)
    return array.astype(np.float32) if array.dtype == np.float64 and array.ndim > 1 else array
