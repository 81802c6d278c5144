"""Reads and writes hand surfaces as mesh files in metres: Wavefront OBJ, PLY and binary glTF."""

from pathlib import Path

import numpy as np
import trimesh

from hand_mesh_ros.core.geometry.mirror import mirror_faces
from hand_mesh_ros.core.types import Side
from hand_mesh_ros.results.whole_file import written_whole

CAMERA_FRAME = "metres, x right, y down, z forward"
PALM_FRAME = "metres, x out of the palm, z along the fingers"
WRIST_FRAME = "metres, x right, y down, z forward, origin in the wrist"
_READABLE = (".obj", ".ply")
# glTF has y up and z towards the viewer. The vertices stay in their frame; the node of the hand has this pose.
_GLTF_FROM_CAMERA = np.diag([1.0, -1.0, -1.0, 1.0])
_GLTF_FROM_PALM = np.array([[0.0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
_GLTF_FROM = {CAMERA_FRAME: _GLTF_FROM_CAMERA, WRIST_FRAME: _GLTF_FROM_CAMERA, PALM_FRAME: _GLTF_FROM_PALM}


def write(path: Path, vertices_m: np.ndarray, faces: np.ndarray, side: Side, frame: str) -> None:
    """Writes a surface. The suffix of the path chooses the format: .obj, .ply or .glb.

    Args:
        path: path of the file.
        vertices_m: (V, 3) vertices.
        faces: (F, 3) of a right hand.
        side: side of this hand.
        frame: the axes of the vertices, for the comment in the file.
    """
    wound = mirror_faces(faces) if side == "left" else faces
    content = _encoded(path.suffix[1:], trimesh.Trimesh(vertices_m, wound, process=False), side, frame)
    with written_whole(path) as temporary:
        temporary.write_bytes(content)


def read(path: Path, n_vertices: int) -> np.ndarray:
    """Returns the vertices (V, 3) in the order of an OBJ or PLY file.

    Raises:
        ValueError: if the file is not a mesh of `n_vertices` vertices.
    """
    kind = path.suffix.lower()
    if kind not in _READABLE:
        raise ValueError(f"{path} ends with '{kind}', expected {' or '.join(_READABLE)}")
    try:
        mesh = trimesh.load(path, file_type=kind[1:], process=False)
        vertices_m = np.asarray(mesh.vertices, np.float64)
    except Exception as error:  # the parsers of trimesh raise many types
        raise ValueError(f"{path} cannot be read as an {kind[1:].upper()} file: {error}") from error
    if vertices_m.shape != (n_vertices, 3):
        raise ValueError(f"{path} has {len(vertices_m)} vertices, but this hand model has {n_vertices}")
    return vertices_m


def _encoded(kind: str, mesh: trimesh.Trimesh, side: Side, frame: str) -> bytes:
    comment = f"{side} hand, {frame}"
    if kind == "obj":
        return mesh.export(file_type="obj", header=comment).encode()
    if kind == "ply":
        first, rest = mesh.export(file_type="ply").split(b"\nelement", 1)
        return b"%b\ncomment %b\nelement%b" % (first, comment.encode(), rest)
    scene = trimesh.Scene()
    scene.add_geometry(mesh, node_name="hand", geom_name=comment, transform=_GLTF_FROM.get(frame, np.eye(4)))
    return scene.export(file_type="glb")
