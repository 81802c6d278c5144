"""Depth measurements of the skin of a hand: the visible vertices of the mesh with the measured depth at their pixels.

Depth is good inside a surface and bad at its outline. At the outline a sensor mixes near and far depths or measures nothing, and
a mesh with an error of a few millimetres is outside the hand. So a vertex is used only if the vertex is in front and faces the
camera, and if the depths around the vertex agree. A depth may still belong to an object in front of the hand or to a wall behind
a finger. `anchor` detects such depths.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from hand_mesh_ros.core.geometry import camera, rotations
from hand_mesh_ros.core.types import Frame

# Only one vertex per cell is used. Width of a cell [m], and smallest width of a cell [px].
_CELL_M, _CELL_PX = 0.005, 2.0
# A vertex that is this far behind a vertex in a neighbouring cell may be hidden [m].
_HIDDEN_M = 0.012
# Smallest cosine of the angle between line of sight and normal. Surfaces with a smaller cosine are too slanted to measure.
_FACING = 0.5
# In the 3 x 3 pixels around a vertex, smallest number of measured pixels and largest difference of their depths [m].
_MEASURED_PIXELS, SPAN_M = 6, 0.02
# Range of valid depths of a hand [m].
RANGE_M = (0.05, 5.0)


@dataclass(frozen=True)
class SkinDepth:
    """Visible vertices of a mesh and the measured depths."""

    vertex: np.ndarray  # (N,) int indices
    ray: np.ndarray  # (N, 3) x/z, y/z, 1 of the vertex
    depth_m: np.ndarray  # (N,) measured along z
    n_visible: int  # number of visible vertices; N of these vertices have a measured depth


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals of vertices, (V, 3) float32, weighted by the areas of the adjacent triangles.

    The normals point outwards if the faces are counter-clockwise from outside.
    """
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    weighted = rotations.cross(b - a, c - a)
    ids = faces.T.ravel()
    columns = [np.bincount(ids, np.tile(weighted[:, axis], 3), minlength=len(vertices)) for axis in range(3)]
    normals = np.stack(columns, axis=1)
    # This is several times faster than numpy's norm. A zero vector stays zero.
    lengths = np.sqrt(np.maximum(np.einsum("nc,nc->n", normals, normals), 1e-24))
    return (normals / lengths[:, None]).astype(np.float32)


def measure(vertices_m: np.ndarray, normals: np.ndarray, frame: Frame) -> SkinDepth:
    """Depths at the visible vertices.

    Args:
        vertices_m: (V, 3) in the camera frame, near the true position of the hand.
        normals: (V, 3) unit, of either sign.
        frame: a calibrated camera with depth.

    Raises:
        ValueError: if the frame has no depth.
    """
    if frame.depth_m is None:
        raise ValueError("the frame has no depth image")
    pixels = camera.project(vertices_m, frame.camera_matrix, frame.distortion)
    rays = vertices_m / vertices_m[:, 2:]
    facing = np.einsum("nc,nc->n", normals, rays) ** 2 > _FACING**2 * np.einsum("nc,nc->n", rays, rays)
    height, width = frame.depth_m.shape
    # Pixels at the border are excluded, because the 3 x 3 pixels around a vertex must be in the image.
    x, y = pixels.T
    inside = (x > 0.5) & (y > 0.5) & (x < width - 1.5) & (y < height - 1.5) & (vertices_m[:, 2] > RANGE_M[0])
    candidates = np.flatnonzero(inside)
    visible = candidates[_in_front(vertices_m[candidates], pixels[candidates], frame.camera_matrix[0, 0]) & facing[candidates]]
    depth_m, is_sound = _depth_at(np.round(pixels[visible]).astype(int), frame.depth_m)
    return SkinDepth(visible[is_sound], rays[visible[is_sound]], depth_m[is_sound], len(visible))


def _in_front(points_m: np.ndarray, pixels: np.ndarray, focal_px: float) -> np.ndarray:
    """(N,) bool: True if a vertex is the nearest vertex of its cell and is not far behind a vertex of a neighbouring cell."""
    if not len(points_m):
        return np.zeros(0, bool)
    depth = points_m[:, 2].astype(np.float32)
    size_px = max(_CELL_PX, _CELL_M * focal_px / float(np.median(depth)))
    # The cells are symmetric about the middle of the hand, so that a mirrored hand gets the mirrored cells.
    cells = np.floor((pixels - 0.5 * (pixels.min(0) + pixels.max(0))) / size_px).astype(int)
    column, row = (cells - cells.min(0)).T
    nearest = np.full((row.max() + 1, column.max() + 1), np.inf, np.float32)
    np.minimum.at(nearest, (row, column), depth)
    around = cv2.erode(nearest, np.ones((3, 3), np.uint8), borderValue=float("inf"))
    return (depth <= nearest[row, column]) & (depth < around[row, column] + _HIDDEN_M)


def _depth_at(pixels: np.ndarray, depth_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Medians (N,) of the depths around pixels (N, 2), and (N,) bool: True if enough depths are valid and agree."""
    column, row = pixels.T
    around = (np.arange(-1, 2)[:, None] * depth_m.shape[1] + np.arange(-1, 2)).ravel()
    depths = depth_m.ravel()[(row * depth_m.shape[1] + column)[:, None] + around]
    is_measured = (depths > RANGE_M[0]) & (depths < RANGE_M[1])  # False for NaN
    # Pixels without a measurement are sorted to the end. Then range and median are taken from the measured pixels.
    ordered = np.sort(np.where(is_measured, depths, np.inf), axis=-1)
    count, each = is_measured.sum(-1), np.arange(len(depths))
    last, middle = ordered[each, np.maximum(count - 1, 0)], ordered[each, count // 2]
    with np.errstate(invalid="ignore"):
        is_sound = (count >= _MEASURED_PIXELS) & (last - ordered[:, 0] < SPAN_M)
    return middle.astype(np.float64), is_sound
