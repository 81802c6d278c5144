"""Writes the files of one image."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from hand_mesh_ros.core.types import Frame, HandEstimate
from hand_mesh_ros.results import mesh_file, tables
from hand_mesh_ros.results.kinds import MESHES
from hand_mesh_ros.results.record import Origin, to_line, to_record
from hand_mesh_ros.results.whole_file import write_picture, write_text
from hand_mesh_ros.viewer.overlay import draw_overlay


def write(
    folder: Path,
    stem: str,
    kinds: Collection[str],
    frame: Frame,
    hands: Sequence[HandEstimate],
    faces: np.ndarray,
    origin: Origin,
) -> list[Path]:
    """Writes the files and returns their paths: STEM_hands.png, .json, .npz, .csv, and one mesh STEM_SIDE.obj per hand.

    Args:
        folder: existing folder of the files.
        stem: first part of each file name.
        kinds: some of `kinds.OF_IMAGE`.
        frame: the image.
        hands: estimates in the image.
        faces: (F, 3) of a right hand.
        origin: of the record.
    """
    path, written = folder / f"{stem}_hands", []
    record = to_record(frame, hands, origin)
    if "overlay" in kinds:
        written.append(path.with_name(f"{path.name}.png"))
        write_picture(written[-1], draw_overlay(frame.rgb, hands, frame.working_camera_matrix))
    for kind in (kind for kind in MESHES if kind in kinds):
        written += _write_meshes(folder, stem, kind, hands, faces)
    if "json" in kinds:
        written.append(path.with_name(f"{path.name}.json"))
        write_text(written[-1], to_line(record) + "\n")
    if "npz" in kinds:
        written.append(path.with_name(f"{path.name}.npz"))
        tables.write_npz(written[-1], [record], tables.surfaces_of(hands, int(faces.max()) + 1), faces)
    if "csv" in kinds:
        written.append(path.with_name(f"{path.name}.csv"))
        tables.write_csv(written[-1], [record])
    return written


def _write_meshes(folder: Path, stem: str, kind: str, hands: Sequence[HandEstimate], faces: np.ndarray) -> list[Path]:
    written = []
    for number, hand in enumerate(hands):
        has_twin = any(other.handedness == hand.handedness for other in hands[:number])
        written.append(folder / f"{stem}_{hand.handedness}{f'_{number}' if has_twin else ''}.{kind}")
        axes = mesh_file.WRIST_FRAME if hand.scale_source == "none" else mesh_file.CAMERA_FRAME
        mesh_file.write(written[-1], hand.vertices_m, faces, hand.handedness, axes)
    return written
