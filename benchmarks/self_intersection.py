"""Finds the triangles of a surface that intersect other triangles, for example when fingers pass through each other.

Definition: two faces without a common vertex intersect if an edge of one face pierces the other face. Faces that only touch, or
overlap within one plane, do not count.
"""

import numpy as np

# An edge does not pierce a face if they are almost parallel, or if they meet closer than this to a border.
_MARGIN = 1e-9


def intersecting_faces(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Returns (F,) bool: faces that intersect another face.

    Args:
        vertices: (V, 3).
        faces: (F, 3) vertex ids.
    """
    corners = vertices[faces].astype(np.float64)
    first, second = _close_pairs(corners)
    apart = ~(faces[first][:, :, None] == faces[second][:, None, :]).any((1, 2))
    first, second = first[apart], second[apart]
    pierced = _edges_pierce(corners[first], corners[second]) | _edges_pierce(corners[second], corners[first])
    hit = np.zeros(len(faces), bool)
    hit[first[pierced]] = hit[second[pierced]] = True
    return hit


def _close_pairs(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns each pair of faces with overlapping boxes once. The sweep follows the axis with the largest extent."""
    low, high = corners.min(1), corners.max(1)
    axis = int(np.argmax(np.ptp(corners.mean(1), axis=0)))
    order = np.argsort(low[:, axis])
    low, high = low[order], high[order]
    # Along the sorted axis, a face can only meet faces that begin before its end.
    last = np.searchsorted(low[:, axis], high[:, axis], side="right")
    counts = np.maximum(last - np.arange(len(order)) - 1, 0)
    first = np.repeat(np.arange(len(order)), counts)
    second = first + 1 + np.arange(len(first)) - np.repeat(np.cumsum(counts) - counts, counts)
    overlap = np.all((low[first] <= high[second]) & (low[second] <= high[first]), axis=-1)
    return order[first[overlap]], order[second[overlap]]


def _edges_pierce(triangles: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns whether an edge of each triangle (n, 3, 3) pierces the other triangle (n, 3, 3): Moeller and Trumbore 1997."""
    start = triangles
    along = np.roll(triangles, -1, axis=1) - triangles
    origin, side_1, side_2 = others[:, None, 0], (others[:, 1] - others[:, 0])[:, None], (others[:, 2] - others[:, 0])[:, None]
    across = np.cross(along, side_2)
    volume = (side_1 * across).sum(-1)
    is_flat = np.abs(volume) < _MARGIN**2
    inverse = 1 / np.where(is_flat, 1.0, volume)
    offset = start - origin
    u = (offset * across).sum(-1) * inverse
    turned = np.cross(offset, side_1)
    v = (along * turned).sum(-1) * inverse
    t = (side_2 * turned).sum(-1) * inverse
    inside = (u > _MARGIN) & (v > _MARGIN) & (u + v < 1 - _MARGIN) & (t > _MARGIN) & (t < 1 - _MARGIN)
    return (inside & ~is_flat).any(1)
