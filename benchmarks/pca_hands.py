"""Baseline of the graph diffusion: a Gaussian over the principal components of hand meshes.

The Gaussian samples hands and completes partial hands in closed form, and fits keypoints by Gauss-Newton steps. Meshes are in the
palm frame and have average adult size, like the meshes of the diffusion.
"""

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from hand_mesh_ros.core.graph.likeliest_hand import Pose, RayProblem, likeliest_hand
from hand_mesh_ros.core.hand.model import HandModel
from models_train.hand_model.components import principal_components

# No caller needs more components.
_MOST_COMPONENTS = 250


@dataclass(frozen=True)
class PcaHands:
    """Meshes mean + coefficients * basis with standard normal coefficients."""

    mean_m: np.ndarray  # (V, 3)
    basis_m: np.ndarray  # (k, V, 3) principal directions, each as long as its standard deviation
    residual_std_m: float  # of one coordinate, in the omitted directions
    explained: float  # share of the variance in 0..1

    def sample(self, n: int, seed: int) -> np.ndarray:
        """Returns `n` random hands, (n, V, 3)."""
        return self._meshes(np.random.default_rng(seed).standard_normal((n, len(self.basis_m))))

    def complete(self, operator: np.ndarray, places_m: np.ndarray, n: int, seed: int) -> np.ndarray:
        """Returns `n` hands, (n, V, 3), from the Gaussian of the coefficients under given weighted sums of vertices.

        Args:
            operator: (m, V) weights of the sums: rows of the identity for vertices, of the joint regressor for joints.
            places_m: (m, 3) given values of the sums.
            n: number of hands.
            seed: seed of the draws.
        """
        design = np.einsum("mv,kvc->mck", operator, self.basis_m).reshape(-1, len(self.basis_m))
        residual = (places_m - operator @ self.mean_m).ravel()
        precision = np.eye(len(self.basis_m)) + design.T @ design / self.residual_std_m**2
        expected = np.linalg.solve(precision, design.T @ residual / self.residual_std_m**2)
        drawn = np.random.default_rng(seed).standard_normal((len(self.basis_m), n))
        # If the precision is L L^T, the covariance of L^-T z is the inverse of the precision.
        spread = linalg.solve_triangular(np.linalg.cholesky(precision), drawn, lower=True, trans="T")
        return self._meshes(expected + spread.T)

    def fit_2d(
        self, hand: HandModel, rays: np.ndarray, weights: np.ndarray, ray_std: float, camera_from_palm: np.ndarray
    ) -> tuple[np.ndarray, Pose]:
        """Returns the most likely hand for given rays of the joints, and its pose, by `core.likeliest_hand` from the mean hand.

        Args:
            hand: hand model with the joint regressor.
            rays: (21, 2) undistorted x/z, y/z.
            weights: (21,) confidences.
            ray_std: standard deviation of a ray of weight 1, per axis.
            camera_from_palm: (3, 3) first guess of the rotation.

        Returns:
            vertices (1, V, 3) in the palm frame, and the pose.
        """
        regressor = hand.joint_regressor.astype(np.float64)
        problem = RayProblem(regressor @ self.mean_m, regressor @ self.basis_m, rays, weights, ray_std, camera_from_palm)
        coefficients, pose = likeliest_hand(problem)
        return self._meshes(coefficients[None]), pose

    def _meshes(self, coefficients: np.ndarray) -> np.ndarray:
        return self.mean_m + np.tensordot(coefficients, self.basis_m, axes=1)


class PcaSpace:
    """All principal components of a set of meshes, for models with any number of components."""

    def __init__(self, vertices_m: np.ndarray) -> None:
        """Computes the components of meshes (n, V, 3) in the palm frame."""
        self.mean_m, self._basis_m, self._total = principal_components(vertices_m, _MOST_COMPONENTS)
        self._shares = (self._basis_m**2).sum((1, 2)).cumsum() / self._total

    def components_for(self, share: float) -> int:
        """Returns the smallest number of components that hold this share of the variance.

        Raises:
            ValueError: if all kept components together hold less.
        """
        if self._shares[-1] < share:
            raise ValueError(f"{len(self._shares)} components hold {self._shares[-1]:.4f} of the variance, not {share}")
        return int(np.searchsorted(self._shares, share)) + 1

    def truncated(self, count: int) -> PcaHands:
        """Returns the Gaussian of the first `count` components."""
        explained = float(self._shares[count - 1])
        residual_std_m = np.sqrt(max(1 - explained, 0) * self._total / self.mean_m.size)
        return PcaHands(self.mean_m, self._basis_m[:count], float(residual_std_m), explained)
