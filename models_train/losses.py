"""Losses on meshes, one function per formula. The equation numbers refer to HHMR (Li et al., CVPR 2024).

Lengths are in centimetres, so that every term is near one. Each function returns one loss per mesh, (B,).
"""

import torch

UNIT_M = 0.01


def position(predicted_m: torch.Tensor, true_m: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of points (B, P, 3); eq. 6, for vertices and for joints."""
    return (predicted_m - true_m).abs().mean((-1, -2)) / UNIT_M


def squared_position(predicted_m: torch.Tensor, true_m: torch.Tensor) -> torch.Tensor:
    """Mean squared difference of points (B, P, 3)."""
    return (predicted_m - true_m).square().mean((-1, -2)) / UNIT_M**2


def edge_length(predicted_m: torch.Tensor, true_m: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of edge lengths; eq. 8.

    Args:
        predicted_m: (B, V, 3).
        true_m: (B, V, 3).
        edges: (E, 2) vertex ids.
    """
    (first, second), (true_first, true_second) = (_picked(mesh, edges) for mesh in (predicted_m, true_m))
    return ((first - second).norm(dim=-1) - (true_first - true_second).norm(dim=-1)).abs().mean(0) / UNIT_M


def normal(predicted_m: torch.Tensor, true_m: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
    """Mean length of the predicted edges along the true face normals; eq. 7.

    Args:
        predicted_m: (B, V, 3).
        true_m: (B, V, 3).
        faces: (F, 3) vertex ids.
    """
    a, b, c = _picked(true_m, faces)
    normals = torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=-1, eps=1e-12)
    heights = [(corner * normals).sum(-1) for corner in _picked(predicted_m, faces)]
    rises = [(heights[i] - heights[i - 1]).abs().mean(0) for i in range(3)]
    return sum(rises) / 3 / UNIT_M


def mean_distance_mm(predicted_m: torch.Tensor, true_m: torch.Tensor) -> float:
    """Mean Euclidean distance of points (..., 3), in millimetres, for reports only."""
    return 1000 * (predicted_m - true_m).norm(dim=-1).mean().item()


def _picked(mesh_m: torch.Tensor, ids: torch.Tensor) -> list[torch.Tensor]:
    """Returns vertices (N, B, 3) of meshes (B, V, 3) for each column of ids (N, n). The selection of whole rows is fast."""
    rows = mesh_m.transpose(0, 1)
    return [rows.index_select(0, column) for column in ids.T]
