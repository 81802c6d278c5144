"""Condition-aligned guidance of the graph diffusion: moves a prediction of the clean mesh towards the given parts of the hand.

HHMR (Li et al., CVPR 2024), eq. 4: the prediction x moves along the gradient of |F(x) - c|^2. F is the joint regressor (3D
skeleton or part of a skeleton), the projection of the joints into a camera (2D skeleton) or a selection of vertices (part of a
mesh). The plain gradient needs a tuned step size for each F and moves only the few vertices that F uses. So the prediction moves
to the minimum of

    |F(x + dx) - c|^2 / noise_std^2 + |dx|_K^2 / prior_std^2

where K is a covariance of hands. For given vertices, K is a covariance of neighbouring vertices, so that the surface stays
smooth, and one step solves the problem. For joints and rays, K is the covariance of the principal components. For rays, damped
Gauss-Newton steps solve for the mesh and the pose of the hand together. The method works on the predicted clean mesh and
needs no gradient through the network.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from hand_mesh_ros.core.graph.directions import HandDirections, spread_of
from hand_mesh_ros.core.graph.likeliest_hand import NEAR_M, Pose, RayProblem, likeliest_hand, solve_pose
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.models import noise as schedule
from hand_mesh_ros.core.models.sampler import Denoise
from hand_mesh_ros.core.topology import N_JOINTS
from hand_mesh_ros.core.types import require_shape

# Standard deviation of a prediction per vertex, and standard deviation of given 3D positions.
_PRIOR_STD_M, _EXACT_STD_M = 0.01, 0.0002


class Target(Protocol):
    """Target of the guidance. All functions take meshes (n, V, 3) in metres in the palm frame."""

    def value(self, vertices_m: np.ndarray) -> np.ndarray:
        """|F(x) - c|^2 of each mesh, (n,)."""
        ...

    def improve(self, vertices_m: np.ndarray, kept: float = 0.0) -> np.ndarray:
        """Meshes after one step, (n, V, 3). The input meshes are predictions from samples with alpha_bar `kept`."""
        ...


class LinearTarget:
    """Given positions of weighted sums of vertices: all joints, some joints, or some vertices."""

    def __init__(
        self,
        hand: HandModel,
        operator: np.ndarray,
        places_m: np.ndarray,
        confidence: np.ndarray,
        directions: HandDirections | None = None,
    ) -> None:
        """Prepares the step. Use `joint_target` or `vertex_target` if possible.

        Args:
            hand: hand model with the mesh hierarchy.
            operator: (m, V) weights of the sums.
            places_m: (m, 3), or (n, m, 3) for different positions in each mesh.
            confidence: (m,) of the positions; 0 for positions that are not given.
            directions: the whole hand moves along these directions before the surface moves locally. The noise level limits this
                motion. None for the local step only.
        """
        self._directions = directions
        root = np.sqrt(np.asarray(confidence, np.float64))[:, None]
        self._rows = root * operator
        self._places = root * np.where(root > 0, places_m, 0.0)
        spread = spread_of(hand, self._rows)
        gram = self._rows @ spread + (_EXACT_STD_M / _PRIOR_STD_M) ** 2 * np.eye(len(operator))
        self._gain = np.linalg.solve(gram, spread.T).T

    def value(self, vertices_m: np.ndarray) -> np.ndarray:
        return (self._residual(vertices_m) ** 2).sum((-1, -2))

    def improve(self, vertices_m: np.ndarray, kept: float = 0.0) -> np.ndarray:
        if self._directions is not None:
            vertices_m = vertices_m + self._along(self._directions, vertices_m, kept)
        return vertices_m - self._gain @ self._residual(vertices_m)

    def _along(self, directions: HandDirections, vertices_m: np.ndarray, kept: float) -> np.ndarray:
        """The most likely motion, (n, V, 3), for a Gaussian prediction and the given positions."""
        freedom = directions.freedom(None, 0.0, kept)
        is_free = freedom > 0
        basis_m = freedom[is_free, None, None] * directions.basis_m[is_free]
        slopes = np.moveaxis(self._rows @ basis_m, 0, -1).reshape(-1, len(basis_m)) / _EXACT_STD_M
        pull = -slopes.T @ (self._residual(vertices_m).reshape(len(vertices_m), -1).T / _EXACT_STD_M)
        coefficients = np.linalg.solve(slopes.T @ slopes + np.eye(len(basis_m)), pull)
        return np.tensordot(coefficients.T, basis_m, axes=1)

    def _residual(self, vertices_m: np.ndarray) -> np.ndarray:
        return self._rows @ vertices_m - self._places


def joint_target(
    hand: HandModel, joints_m: np.ndarray, confidence: np.ndarray, directions: HandDirections | None = None
) -> LinearTarget:
    """Target with operator J, or M J for part of a skeleton.

    Args:
        hand: hand model with the joint regressor.
        joints_m: (21, 3) or (n, 21, 3) in the palm frame.
        confidence: (21,) of the joints; 0 for joints that are not given. Joints that are not given may be NaN.
        directions: as in `LinearTarget`.
    """
    require_shape("confidence", confidence, (N_JOINTS,))
    return LinearTarget(hand, hand.joint_regressor, joints_m, confidence, directions)


def vertex_target(hand: HandModel, vertices_m: np.ndarray, given: np.ndarray) -> LinearTarget:
    """Target with operator M: part of a mesh.

    Args:
        hand: hand model with the mesh.
        vertices_m: (V, 3) in the palm frame.
        given: (V,) bool, True for the given vertices; the other vertices may be NaN.

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
    """Target with operator Pi J: rays of the joints in a camera. Every step estimates the pose of the hand in the camera.

    Rays do not give the distance of the joints. The surface moves along the principal components of hands, so that the result
    stays a plausible hand.
    """

    def __init__(
        self,
        directions: HandDirections,
        rays: np.ndarray,
        confidence: np.ndarray,
        ray_std: float,
        camera_from_palm: np.ndarray,
        prior_std_m: float | None = None,
        turn_std_rad: float = np.inf,
        local_std_m: float = 0.0,
    ) -> None:
        """Prepares the steps.

        Args:
            directions: possible motion of the surface.
            rays: (21, 2) undistorted x/z, y/z.
            confidence: (21,) of the rays; 0 for joints that are not visible.
            ray_std: standard deviation of a ray of confidence 1, per axis.
            camera_from_palm: (n, 3, 3) first guess of the rotations.
            prior_std_m: standard deviation of the vertices of a prediction; with a smaller value the mesh follows the rays less.
                None for samples from pure noise: the standard deviation is computed from the noise level.
            turn_std_rad: standard deviation of the rotations; infinite to use the rotations only as a start, 0 to keep them.
            local_std_m: standard deviation of independent local errors of the skin around each joint.
        """
        self._directions, self._regressor = directions, directions.regressor
        self._prior_std_m, self._local_std_m = prior_std_m, local_std_m
        self._rays, self._confidence = np.asarray(rays, np.float64), np.asarray(confidence, np.float64)
        self._ray_std, self._turn_std_rad = ray_std, turn_std_rad
        self._rotation = np.asarray(camera_from_palm, np.float64)

    def pose(self, vertices_m: np.ndarray) -> Pose:
        """The poses in the camera with the best agreement of meshes and rays. The meshes do not change."""
        joints_m = self._regressor @ vertices_m
        return solve_pose(joints_m, self._rays, self._confidence, self._rotation, self._ray_std, self._turn_std_rad)

    def value(self, vertices_m: np.ndarray, pose: Pose | None = None) -> np.ndarray:
        """Weighted sum of squared distances in the plane z = 1, (n,), without joints behind the camera.

        With `pose` None, the best pose is used.
        """
        placed = (pose or self.pose(vertices_m)).place(self._regressor @ vertices_m)
        depth = np.maximum(placed[..., 2], NEAR_M)
        squared = ((placed[..., :2] / depth[..., None] - self._rays) ** 2).sum(-1)
        return (self._confidence * (placed[..., 2] > NEAR_M) * squared).sum(-1)

    def improve(self, vertices_m: np.ndarray, kept: float = 0.0) -> np.ndarray:
        """The most likely meshes for the rays and the predicted meshes `vertices_m`."""
        freedom = self._directions.freedom(self._prior_std_m, self._local_std_m, kept)
        is_free = freedom > 0
        freedom = freedom[is_free]
        problems = self._problems(vertices_m, freedom[:, None, None] * self._directions.of_joints_m[is_free])
        coefficients = np.stack([freedom * likeliest_hand(problem)[0] for problem in problems])
        return vertices_m + np.tensordot(coefficients, self._directions.basis_m[is_free], axes=1)

    def _problems(self, vertices_m: np.ndarray, directions_m: np.ndarray) -> Iterator[RayProblem]:
        seen = (self._rays, self._confidence, self._ray_std)
        for joints_m, rotation in zip(self._regressor @ vertices_m, self._rotation, strict=True):
            yield RayProblem(joints_m, directions_m, *seen, rotation, self._turn_std_rad)


def guided(denoise: Denoise, improve: Callable[[np.ndarray, float], np.ndarray]) -> Denoise:
    """`denoise` with improved predictions. `improve` gets each prediction and the alpha_bar of its noisy sample."""
    return lambda noisy, time: improve(denoise(noisy, time), float(schedule.alpha_bar(time)))
