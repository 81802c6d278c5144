"""Pairs of skin and measurement: a vertex of the mesh, and a plane through a measured point in which the vertex is."""

from dataclasses import dataclass, fields

import numpy as np

from hand_mesh_ros.core.place.skin_depth import measure
from hand_mesh_ros.core.topology import N_JOINTS
from hand_mesh_ros.core.types import Frame

# Error of the skin, and of a depth sensor at 1 m, which grows with the square of the distance as in `by_depth` [m].
_SKIN_STD_M, _SENSOR_STD_M = 0.003, 0.003

# A measured point this far beside its nearest vertex, along the skin, is beyond the end of the mesh: about the distance of
# neighbouring vertices [m]. Half of it remains, because the end of the skin is beyond the last vertex.
_BESIDE_M = 0.005
# Points per matrix product. OpenBLAS then uses one thread, see `graph.likeliest_hand`.
_BLOCK = 50
# A joint is measured if the sum of the agreements around the joint, and their mean, are at least these values.
_MEASURED, _MEASURED_SHARE = 2.0, 0.5


@dataclass(frozen=True)
class SkinPairs:
    """Vertices and the planes in which they should be: normal x = offset."""

    vertex: np.ndarray  # (N,) int indices; a vertex may have several pairs
    normal: np.ndarray  # (N, 3) unit, camera axes
    offset_m: np.ndarray  # (N,)
    depth_m: np.ndarray  # (N,) of the measured point
    agreement: np.ndarray  # (N,) in 0..1, small for a large distance between skin and measurement

    def chosen(self, keep: np.ndarray) -> "SkinPairs":
        """The pairs of a mask (N,)."""
        return SkinPairs(*(getattr(self, each.name)[keep] for each in fields(self)))

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
    return SkinPairs(seen.vertex, its_normals, offset_m, seen.depth_m, _agreement(error_m / gate_m))


def pairs_at_points(
    vertices_m: np.ndarray, normals: np.ndarray, candidates: np.ndarray, points_m: np.ndarray, reach_m: float
) -> tuple[SkinPairs, SkinPairs]:
    """Each measured point and its nearest vertex: all pairs, and pairs of the points beside the skin.

    All pairs have the tangent plane of the vertex. A point beside the skin, for example beyond a fingertip, may lie in this plane
    and then does not move the skin. The pairs of these points have a plane that is perpendicular to the skin.

    Args:
        vertices_m: (V, 3) in the camera frame.
        normals: (V, 3) unit, outwards.
        candidates: (V,) bool, vertices that may have pairs, for example the vertices that face the camera.
        points_m: (N, 3) measured points in the camera frame.
        reach_m: points further from the skin have no pair. At half of this distance a pair has the agreement 1/4.
    """
    ids = np.flatnonzero(candidates)
    if not len(ids) or not len(points_m):
        none = SkinPairs(np.zeros(0, int), np.zeros((0, 3)), np.zeros(0), np.zeros(0), np.zeros(0))
        return none, none
    nearest = ids[_nearest(vertices_m[ids], points_m)]
    away = points_m - vertices_m[nearest]
    distance_m = np.sqrt((away**2).sum(-1))
    is_near = distance_m < reach_m
    vertex, away, points_m = nearest[is_near], away[is_near], points_m[is_near]
    normal, agreement = normals[vertex], _agreement(2 * distance_m[is_near] / reach_m)
    on_plane = SkinPairs(vertex, normal, (normal * points_m).sum(-1), points_m[:, 2], agreement)
    along = away - (normal * away).sum(-1)[:, None] * normal
    along_m = np.sqrt((along**2).sum(-1))
    beside = np.flatnonzero(along_m > _BESIDE_M)
    vertex, direction = vertex[beside], along[beside] / along_m[beside, None]
    offset_m = (direction * vertices_m[vertex]).sum(-1) + along_m[beside] - 0.5 * _BESIDE_M
    return on_plane, SkinPairs(vertex, direction, offset_m, points_m[beside, 2], agreement[beside])


def _nearest(skin_m: np.ndarray, points_m: np.ndarray) -> np.ndarray:
    """Indices (N,) of the skin (V, 3) that is nearest to each point (N, 3)."""
    # In single precision and about the middle of the hand: several times faster than all differences.
    middle_m = skin_m.mean(0)
    skin, points = (skin_m - middle_m).astype(np.float32), (points_m - middle_m).astype(np.float32)
    half_squares = 0.5 * (skin**2).sum(-1)
    parts = (points[start : start + _BLOCK] for start in range(0, len(points), _BLOCK))
    return np.concatenate([np.argmin(half_squares - part @ skin.T, axis=1) for part in parts])


def _agreement(distance: np.ndarray) -> np.ndarray:
    """Weights (N,) by Geman and McClure 1985, for distances relative to the gate."""
    return 1 / (1 + distance**2) ** 2
