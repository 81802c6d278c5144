"""Condition-aligned guidance of the graph diffusion: pulls a guess of the clean mesh towards what is given of the hand.

HHMR (Li et al., CVPR 2024), eq. 4: the guess x moves along the gradient of |F(x) - c|^2, with F the joint regressor (3D
skeleton, or part of one), the joints' projection into a camera (2D skeleton) or a selection of vertices (part of a mesh). The
plain gradient needs a step size tuned for each F, and it moves nothing but the few vertices that F looks at. So the step is
Gauss-Newton's for

    |F(x + dx) - c|^2 / noise_std^2 + |dx|_K^2 / prior_std^2

where K says that neighbouring vertices move together: one step solves a linear F, a few solve a projection, and the surface stays
smooth. All of it is in closed form on the clean guess; nothing is differentiated through the network.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from hand_mesh_ros.core import locate
from hand_mesh_ros.core.hand_model import HandModel
from hand_mesh_ros.core.place import Pose, solve_pose
from hand_mesh_ros.core.sample import Denoise
from hand_mesh_ros.core.topology import N_JOINTS
from hand_mesh_ros.core.types import require_shape

# How far a guess may be off, per vertex, and how exactly it has to fit what is given in three dimensions.
_PRIOR_STD_M, _EXACT_STD_M = 0.01, 0.0002
# The same for a projection: rays of a detector err, and every further step may go as far again. Found on rendered hands.
RAY_PRIOR_STD_M = 0.002
# Of a vertex' freedom this share is its own, the rest is shared with its neighbours.
_OWN_SHARE = 0.02
# Joints that are not nearer than this to the camera's plane count.
_NEAR_M = 0.03


class Target(Protocol):
    """What a mesh is to agree with; all functions take meshes (n, V, 3) in metres in the palm frame."""

    def value(self, vertices_m: np.ndarray) -> np.ndarray:
        """|F(x) - c|^2 of each mesh, (n,)."""
        ...

    def gradient(self, vertices_m: np.ndarray) -> np.ndarray:
        """Its gradient, (n, V, 3)."""
        ...

    def improve(self, vertices_m: np.ndarray) -> np.ndarray:
        """Meshes after one step, (n, V, 3)."""
        ...


class LinearTarget:
    """Given places of weighted sums of vertices: joints, some joints, or some vertices."""

    def __init__(self, hand: HandModel, operator: np.ndarray, places_m: np.ndarray, weights: np.ndarray) -> None:
        """Prepares the step; prefer `joint_target` and `vertex_target`.

        Args:
            hand: for its mesh hierarchy.
            operator: (m, V) the sums.
            places_m: (m, 3), or (n, m, 3) if each mesh has its own.
            weights: (m,) confidences; 0 where nothing is given.
        """
        root = np.sqrt(np.asarray(weights, np.float64))[:, None]
        self._rows = root * operator
        self._places = root * np.where(root > 0, places_m, 0.0)
        spread = _spread_of(hand, self._rows)
        gram = self._rows @ spread + (_EXACT_STD_M / _PRIOR_STD_M) ** 2 * np.eye(len(operator))
        self._gain = np.linalg.solve(gram, spread.T).T

    def value(self, vertices_m: np.ndarray) -> np.ndarray:
        return (self._residual(vertices_m) ** 2).sum((-1, -2))

    def gradient(self, vertices_m: np.ndarray) -> np.ndarray:
        return 2 * self._rows.T @ self._residual(vertices_m)

    def improve(self, vertices_m: np.ndarray) -> np.ndarray:
        return vertices_m - self._gain @ self._residual(vertices_m)

    def _residual(self, vertices_m: np.ndarray) -> np.ndarray:
        return self._rows @ vertices_m - self._places


def joint_target(hand: HandModel, joints_m: np.ndarray, weights: np.ndarray) -> LinearTarget:
    """Operator J, or M J for part of a skeleton.

    Args:
        hand: for its joint regressor.
        joints_m: (21, 3) or (n, 21, 3) in the palm frame.
        weights: (21,) confidences; 0 for joints that are not given, which may be NaN.
    """
    require_shape("weights", weights, (N_JOINTS,))
    return LinearTarget(hand, hand.joint_regressor, joints_m, weights)


def vertex_target(hand: HandModel, vertices_m: np.ndarray, given: np.ndarray) -> LinearTarget:
    """Operator M: part of a mesh.

    Args:
        hand: for its mesh.
        vertices_m: (V, 3) in the palm frame.
        given: (V,) bool, True for the vertices that count; the others may be NaN.

    Raises:
        ValueError: if no vertex is given, or an array has the wrong shape.
    """
    n_vertices = len(hand.template_m)
    require_shape("vertices_m", vertices_m, (n_vertices, 3))
    require_shape("given", given, (n_vertices,))
    if not np.any(given):
        raise ValueError(f"none of the {n_vertices} vertices is given; generate a hand instead")
    rows = np.flatnonzero(given)
    return LinearTarget(hand, np.eye(n_vertices)[rows], vertices_m[rows], np.ones(len(rows)))


class ProjectionTarget:
    """Operator Pi J: rays on which a camera sees the joints. Where the hand is in that camera is solved for at every step."""

    def __init__(
        self,
        hand: HandModel,
        rays: np.ndarray,
        weights: np.ndarray,
        ray_std: float,
        camera_from_palm: np.ndarray,
        prior_std_m: float = RAY_PRIOR_STD_M,
        turns: bool = True,
    ) -> None:
        """Prepares the steps.

        Args:
            hand: for its joint regressor and mesh hierarchy.
            rays: (21, 2) undistorted x/z, y/z.
            weights: (21,) confidence of each; 0 for joints that are not seen.
            ray_std: standard deviation of a ray of weight 1, per axis.
            camera_from_palm: (n, 3, 3) first guess of the rotations.
            prior_std_m: how far a guess may be off; the smaller, the less it follows rays that contradict it.
            turns: whether the hand may be turned, too, or keeps its rotation.
        """
        self._regressor = hand.joint_regressor.astype(np.float64)
        self._rays, self._weights = np.asarray(rays, np.float64), np.asarray(weights, np.float64)
        self._spread = _spread_of(hand, self._regressor)
        self._kernel = self._regressor @ self._spread
        self._noise = (ray_std / prior_std_m) ** 2
        self._rotation, self._turns = np.asarray(camera_from_palm, np.float64), turns

    def pose(self, vertices_m: np.ndarray) -> Pose:
        """Where in the camera the meshes explain the rays best."""
        joints_m = self._regressor @ vertices_m
        if self._turns:
            return solve_pose(joints_m, self._rays, self._weights, self._rotation)
        turned = joints_m @ np.swapaxes(self._rotation, -1, -2)
        return Pose(self._rotation, locate.translate(turned, self._rays, self._weights)[0])

    def value(self, vertices_m: np.ndarray, pose: Pose | None = None) -> np.ndarray:
        """Weighted sum of squared distances in the plane z = 1, (n,); None for the best pose."""
        residual, _ = self._linearised(vertices_m, pose or self.pose(vertices_m))
        return (residual**2).sum((-1, -2))

    def gradient(self, vertices_m: np.ndarray, pose: Pose | None = None) -> np.ndarray:
        """At the best pose this is the gradient of the best value, too: there a change of the pose does not matter."""
        residual, slopes = self._linearised(vertices_m, pose or self.pose(vertices_m))
        return 2 * self._regressor.T @ np.einsum("nja,njac->njc", residual, slopes)

    def improve(self, vertices_m: np.ndarray) -> np.ndarray:
        residual, slopes = self._linearised(vertices_m, self.pose(vertices_m))
        n, size = len(vertices_m), 2 * N_JOINTS
        gram = np.einsum("njac,jk,nkbc->njakb", slopes, self._kernel, slopes, optimize=True).reshape(n, size, size)
        solved = np.linalg.solve(gram + self._noise * np.eye(size), residual.reshape(n, size, 1)).reshape(n, N_JOINTS, 2)
        return vertices_m - self._spread @ np.einsum("nja,njac->njc", solved, slopes)

    def _linearised(self, vertices_m: np.ndarray, pose: Pose) -> tuple[np.ndarray, np.ndarray]:
        """Weighted residuals (n, 21, 2) and their derivatives (n, 21, 2, 3) by the joints in the palm frame."""
        placed = pose.place(self._regressor @ vertices_m)
        root = np.where(placed[..., 2] > _NEAR_M, np.sqrt(self._weights), 0.0)
        depth = np.maximum(placed[..., 2], _NEAR_M)
        seen = placed[..., :2] / depth[..., None]
        slopes = np.zeros((*seen.shape, 3))
        slopes[..., 0, 0] = slopes[..., 1, 1] = 1 / depth
        slopes[..., 2] = -seen / depth[..., None]
        return root[..., None] * (seen - self._rays), root[..., None, None] * (slopes @ pose.rotation[:, None])


def guided(denoise: Denoise, improve: Callable[[np.ndarray], np.ndarray], steps: int = 1) -> Denoise:
    """`denoise` whose guesses are improved `steps` times each."""

    def guess(noisy: np.ndarray, time: float) -> np.ndarray:
        clean = denoise(noisy, time)
        for _ in range(steps):
            clean = improve(clean)
        return clean

    return guess


def _spread_of(hand: HandModel, rows: np.ndarray) -> np.ndarray:
    """K rows^T, (V, m): how the surface moves when it is pulled at each of the weighted sums (m, V) of vertices.

    K is what the vertices of a coarser level of the hierarchy share with the finest, scaled to a mean variance of 1.
    """
    smooth = (hand.up[0] @ hand.up[1]).astype(np.float64)
    smooth *= np.sqrt((1 - _OWN_SHARE) / (smooth**2).sum(1).mean())
    return smooth @ (smooth.T @ rows.T) + _OWN_SHARE * rows.T
