"""Pairs of skin and measurement: a vertex of the mesh, and a measured point on the tangent plane of the vertex."""

from dataclasses import dataclass

import numpy as np

from hand_mesh_ros.core.place.skin_depth import measure
from hand_mesh_ros.core.topology import N_JOINTS
from hand_mesh_ros.core.types import Frame

# Error of the skin, and of a depth sensor at 1 m, which grows with the square of the distance as in `by_depth` [m].
_SKIN_STD_M, _SENSOR_STD_M = 0.003, 0.003

# Points per matrix product. OpenBLAS then uses one thread, see `graph.likeliest_hand`.
_BLOCK = 50
# A joint is measured if the sum of the agreements around the joint, and their mean, are at least these values.
_MEASURED, _MEASURED_SHARE = 2.0, 0.5


@dataclass(frozen=True)
class SkinPairs:
    """Vertices and the planes in which they are: normal x = offset."""

    vertex: np.ndarray  # (N,) int indices; a vertex may have several pairs
    offset_m: np.ndarray  # (N,)
    depth_m: np.ndarray  # (N,) of the measured point
    agreement: np.ndarray  # (N,) in 0..1, small for a large distance between skin and measurement

    def precision(self, independent: float) -> np.ndarray:
        """Weights (N,) of the equations [1 / m^2]. All pairs together count as at most `independent` measurements."""
        total = max(float(self.agreement.sum()), 1e-9)
        variance = _SKIN_STD_M**2 + (_SENSOR_STD_M * self.depth_m**2) ** 2
        return min(independent, total) / total * self.agreement / variance

    def measured(self, nearest_joint: np.ndarray) -> np.ndarray:
        """(21,) bool: joints for which enough of the measured skin around the joint agrees with the measurement.

        Args:
            nearest_joint: (V,) int, the joint to which each vertex belongs.
        """
        joint = nearest_joint[self.vertex]
        agreeing, every = (np.bincount(joint, values, N_JOINTS) for values in (self.agreement, np.ones_like(self.agreement)))
        return (agreeing >= _MEASURED) & (agreeing >= _MEASURED_SHARE * every)


def pairs_at_vertices(vertices_m: np.ndarray, normals: np.ndarray, frame: Frame, gate_m: float) -> SkinPairs:
    """Each visible vertex and the depth at its pixel.

    Args:
        vertices_m: (V, 3) in the camera frame.
        normals: (V, 3) unit.
        frame: a calibrated camera with depth.
        gate_m: a pair with this distance from its plane has the agreement 1/4.
    """
    seen = measure(vertices_m, normals, frame)
    its_normals = normals[seen.vertex]
    offset_m = (its_normals * seen.ray).sum(-1) * seen.depth_m
    error_m = offset_m - (its_normals * vertices_m[seen.vertex]).sum(-1)
    return SkinPairs(seen.vertex, offset_m, seen.depth_m, _agreement(error_m / gate_m))


def pairs_at_points(
    vertices_m: np.ndarray, normals: np.ndarray, candidates: np.ndarray, points_m: np.ndarray, reach_m: float
) -> SkinPairs:
    """Each measured point and its nearest vertex.

    Args:
        vertices_m: (V, 3) in the camera frame.
        normals: (V, 3) unit, outwards.
        candidates: (V,) bool, vertices that may have pairs, for example the vertices that face the camera.
        points_m: (N, 3) measured points in the camera frame.
        reach_m: points further from the skin have no pair. At half of this distance a pair has the agreement 1/4.
    """
    ids = np.flatnonzero(candidates)
    if not len(ids) or not len(points_m):
        return SkinPairs(np.zeros(0, int), np.zeros(0), np.zeros(0), np.zeros(0))
    # In single precision and about the middle of the hand: several times faster than all differences.
    middle_m = vertices_m[ids].mean(0)
    skin, points = (vertices_m[ids] - middle_m).astype(np.float32), (points_m - middle_m).astype(np.float32)
    nearest = np.concatenate(
        [
            np.argmin(0.5 * (skin**2).sum(-1) - points[start : start + _BLOCK] @ skin.T, axis=1)
            for start in range(0, len(points), _BLOCK)
        ]
    )
    away_m = np.linalg.norm(points - skin[nearest], axis=-1)
    is_near = away_m < reach_m
    vertex = ids[nearest[is_near]]
    offset_m = (normals[vertex] * points_m[is_near]).sum(-1)
    return SkinPairs(vertex, offset_m, points_m[is_near, 2], _agreement(2 * away_m[is_near].astype(np.float64) / reach_m))


def _agreement(distance: np.ndarray) -> np.ndarray:
    """Weights (N,) by Geman and McClure 1985, for distances relative to the gate."""
    return 1 / (1 + distance**2) ** 2
