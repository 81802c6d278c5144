"""A hierarchy of coarser meshes, with matrices that transfer signals between the levels."""

from dataclasses import dataclass

import numpy as np
import trimesh


@dataclass(frozen=True)
class Hierarchy:
    """Dense matrices per level. Level 0 is the full mesh."""

    down: tuple[np.ndarray, ...]  # (V_coarse, V_fine)
    up: tuple[np.ndarray, ...]  # (V_fine, V_coarse)
    laplacian: tuple[np.ndarray, ...]  # (V, V), one per level


def build(vertices: np.ndarray, faces: np.ndarray, counts: tuple[int, ...]) -> Hierarchy:
    """Decimates the mesh to about `counts` vertices per level. Barycentric weights of closest points transfer the signals.

    Ranjan et al. 2018 (CoMA), section 3.2, but coarse vertices need not be a subset of the fine vertices.
    """
    fine = trimesh.Trimesh(vertices, faces, process=False)
    down, up, laplacians = [], [], [graph_laplacian(fine)]
    for count in counts:
        coarse = simplify(fine, count)
        down.append(closest_point_weights(coarse.vertices, fine))
        up.append(closest_point_weights(fine.vertices, coarse))
        laplacians.append(graph_laplacian(coarse))
        fine = coarse
    as_float32 = (tuple(matrix.astype(np.float32) for matrix in matrices) for matrices in (down, up, laplacians))
    return Hierarchy(*as_float32)


def simplify(mesh: trimesh.Trimesh, n_vertices: int) -> trimesh.Trimesh:
    """Returns a mesh with at most `n_vertices`. An open surface with V vertices has about 2 V faces.

    Raises:
        ValueError: if the decimation cannot reach this number.
    """
    # A careful decimation keeps the shape best, but stops early on a coarse mesh.
    for aggression in range(2, 11):
        simplified = mesh.simplify_quadric_decimation(face_count=2 * n_vertices - 24, aggression=aggression)
        if len(simplified.vertices) <= n_vertices:
            return simplified
    raise ValueError(f"{len(mesh.vertices)} vertices: the decimation reached {len(simplified.vertices)} instead of {n_vertices}")


def closest_point_weights(points: np.ndarray, mesh: trimesh.Trimesh) -> np.ndarray:
    """Returns a matrix (N, V) that interpolates a vertex signal of `mesh` at the surface points nearest to `points` (N, 3)."""
    nearest, _, triangle = trimesh.proximity.closest_point(mesh, points)
    barycentric = trimesh.triangles.points_to_barycentric(mesh.triangles[triangle], nearest)
    weights = np.zeros((len(points), len(mesh.vertices)))
    np.put_along_axis(weights, mesh.faces[triangle], np.clip(barycentric, 0.0, 1.0), axis=1)
    return weights / weights.sum(1, keepdims=True)


def graph_laplacian(mesh: trimesh.Trimesh) -> np.ndarray:
    """Returns the symmetric normalised Laplacian I - D^-1/2 A D^-1/2, (V, V), with eigenvalues in 0..2."""
    adjacency = np.zeros((len(mesh.vertices),) * 2)
    first, second = mesh.edges_unique.T
    adjacency[first, second] = adjacency[second, first] = 1.0
    root_degree = np.sqrt(np.maximum(adjacency.sum(1), 1.0))
    return np.eye(len(adjacency)) - adjacency / root_degree[:, None] / root_degree
