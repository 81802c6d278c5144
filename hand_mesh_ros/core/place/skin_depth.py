"""Where the depth image saw the skin of a hand: the visible vertices of its mesh with the depth measured at their pixels.

Depth is good inside a surface and bad at its outlines: there a sensor mixes near and far, or sees nothing, and a mesh that is a
few millimetres off lies beside the hand. So only vertices count that are in front, face the camera, and have depths around them
that agree. What is measured may still be an object before the hand or the wall behind a finger: `anchor` finds that out.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from hand_mesh_ros.core.geometry import camera
from hand_mesh_ros.core.types import Frame

# One vertex counts per cell of this width, as wide as a fingernail is thick [m]; but no cell is smaller than this [px].
_CELL_M, _CELL_PX = 0.005, 2.0
# A vertex so far behind one in a neighbouring cell is hidden by it, or may be [m].
_HIDDEN_M = 0.012
# Cosine of the angle between line of sight and normal below which a surface is too slanted to be measured.
_FACING = 0.5
# Of the 3 x 3 pixels around a vertex so many must be measured, and span no more than this [m].
_MEASURED_PIXELS, _SPAN_M = 6, 0.02
# Outside of this range nothing is a measurement of a hand [m].
_RANGE_M = (0.05, 5.0)


@dataclass(frozen=True)
class SkinDepth:
    """Visible vertices of a mesh and what was measured there."""

    vertex: np.ndarray  # (N,) int ids
    ray: np.ndarray  # (N, 3) x/z, y/z, 1 of the vertex
    depth_m: np.ndarray  # (N,) measured along z
    n_visible: int  # vertices that could have been measured, N of which were


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals, (V, 3) float32, weighted by the area of the triangles around each vertex; outwards if these are wound so."""
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    weighted = np.cross(b - a, c - a)
    ids = faces.T.ravel()
    columns = [np.bincount(ids, np.tile(weighted[:, axis], 3), minlength=len(vertices)) for axis in range(3)]
    normals = np.stack(columns, axis=1)
    # Several times as fast as numpy's norm; zero stays zero.
    lengths = np.sqrt(np.maximum(np.einsum("nc,nc->n", normals, normals), 1e-24))
    return (normals / lengths[:, None]).astype(np.float32)


def measure(vertices_m: np.ndarray, normals: np.ndarray, frame: Frame) -> SkinDepth:
    """Depths at the visible vertices.

    Args:
        vertices_m: (V, 3) in the camera frame, about where the hand is.
        normals: (V, 3) unit, of either sign.
        frame: a calibrated camera with depth.

    Raises:
        ValueError: if the frame has no depth.
    """
    if frame.depth_m is None:
        raise ValueError("the frame has no depth image")
    pixels = camera.project(vertices_m, frame.camera_matrix, frame.distortion)
    rays = camera.rays_from_pixels(pixels, frame.camera_matrix, frame.distortion)
    rays = np.concatenate([rays, np.ones((len(rays), 1))], -1)
    facing = np.abs((normals * rays).sum(-1)) > _FACING * np.linalg.norm(rays, axis=-1)
    height, width = frame.depth_m.shape
    # One pixel off the border, so that there are pixels all around.
    inside = np.all((pixels > 0.5) & (pixels < (width - 1.5, height - 1.5)), axis=-1) & (vertices_m[:, 2] > _RANGE_M[0])
    candidates = np.flatnonzero(inside)
    visible = candidates[_in_front(vertices_m[candidates], pixels[candidates], frame.camera_matrix[0, 0]) & facing[candidates]]
    depth_m, is_sound = _depth_at(np.round(pixels[visible]).astype(int), frame.depth_m)
    return SkinDepth(visible[is_sound], rays[visible[is_sound]], depth_m[is_sound], len(visible))


def _in_front(points_m: np.ndarray, pixels: np.ndarray, focal_px: float) -> np.ndarray:
    """(N,) bool: the nearest of its cell, and not behind what is in the cells around, which may reach over it."""
    if not len(points_m):
        return np.zeros(0, bool)
    depth = points_m[:, 2].astype(np.float32)
    size_px = max(_CELL_PX, _CELL_M * focal_px / float(np.median(depth)))
    column, row = np.floor((pixels - pixels.min(0)) / size_px).astype(int).T
    nearest = np.full((row.max() + 1, column.max() + 1), np.inf, np.float32)
    np.minimum.at(nearest, (row, column), depth)
    around = cv2.erode(nearest, np.ones((3, 3), np.uint8), borderValue=float("inf"))
    return (depth <= nearest[row, column]) & (depth < around[row, column] + _HIDDEN_M)


def _depth_at(pixels: np.ndarray, depth_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Medians (N,) of the depths around pixels (N, 2), and (N,) bool whether there are enough, near enough to each other."""
    steps = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1]), -1).reshape(-1, 2)
    column, row = (pixels[:, None] + steps).transpose(2, 0, 1)
    depths = depth_m[row, column].astype(np.float64)
    is_measured = np.isfinite(depths) & (depths > _RANGE_M[0]) & (depths < _RANGE_M[1])
    # Sorted with what is not measured at the end: the span and the median of the rest are picked out.
    ordered = np.sort(np.where(is_measured, depths, np.inf), axis=-1)
    count = is_measured.sum(-1)
    last, middle = (np.take_along_axis(ordered, np.maximum(index, 0)[:, None], -1)[:, 0] for index in (count - 1, count // 2))
    with np.errstate(invalid="ignore"):
        is_sound = (count >= _MEASURED_PIXELS) & (last - ordered[:, 0] < _SPAN_M)
    return middle, is_sound
