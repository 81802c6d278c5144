"""Hand surfaces as Wavefront OBJ files, in metres."""

from pathlib import Path

import numpy as np
import trimesh

from hand_mesh_ros.core.geometry.mirror import mirror_faces
from hand_mesh_ros.core.types import Side

CAMERA_FRAME = "metres, x right, y down, z forward"
PALM_FRAME = "metres, x out of the palm, z along the fingers"


def write(path: Path, vertices_m: np.ndarray, faces: np.ndarray, side: Side, frame: str) -> None:
    """Writes a surface and tells so on the standard output.

    Args:
        path: of the file.
        vertices_m: (V, 3).
        faces: (F, 3) of a right hand.
        side: of this one.
        frame: what the axes are, for the file's first line.
    """
    wound = mirror_faces(faces) if side == "left" else faces
    path.write_text(trimesh.Trimesh(vertices_m, wound, process=False).export(file_type="obj", header=frame))
    print(f"wrote {path}")


def read(path: Path, n_vertices: int) -> np.ndarray:
    """Vertices (V, 3) in the order of the file.

    Raises:
        ValueError: if the file is no mesh of `n_vertices` vertices.
    """
    try:
        mesh = trimesh.load(path, file_type="obj", process=False)
        vertices_m = np.asarray(mesh.vertices, np.float64)
    except Exception as error:  # trimesh raises what its parser happens to meet
        raise ValueError(f"{path} cannot be read as an OBJ file: {error}") from error
    if vertices_m.shape != (n_vertices, 3):
        raise ValueError(f"{path} has {len(vertices_m)} vertices, this hand model has {n_vertices}")
    return vertices_m
