"""Directions in which the surface of a hand may move: principal components of hands, and smooth motion around single joints."""

import numpy as np

from hand_mesh_ros.core.hand.components import UNIT_M, HandComponents
from hand_mesh_ros.core.hand.model import HandModel

# Share of the variance of a vertex that is independent. The vertex shares the remaining variance with its neighbours.
_OWN_SHARE = 0.02
# Regularisation of joint motion. Without this value, neighbouring joints with different motions would tear the surface.
_SLACK = 0.02


class HandDirections:
    """Directions of the surface in the palm frame, their effect on the joints, and the variance of hands along them."""

    def __init__(self, hand: HandModel, components: HandComponents) -> None:
        """Computes everything that does not depend on an image."""
        self.regressor = hand.joint_regressor.astype(np.float64)
        spread = spread_of(hand, self.regressor)
        gram = self.regressor @ spread
        self._gain = np.linalg.solve(gram + _SLACK * np.eye(len(gram)), spread.T).T
        # Root of K rows^T (rows K rows^T)^-1 rows K, the part of K that the motion of the joints explains.
        local = np.einsum("jv,ac->javc", np.linalg.solve(np.linalg.cholesky(gram), spread.T), np.eye(3))
        basis_m = components.basis_m.astype(np.float64)
        self._n_components, self._vertex_std_m = len(basis_m), components.vertex_std_m
        self._variances = ((basis_m / UNIT_M) ** 2).sum((1, 2))
        self.basis_m = np.concatenate([basis_m, local.reshape(-1, *components.mean_m.shape)])  # (k, V, 3)
        self.of_joints_m = self.regressor @ self.basis_m  # (k, 21, 3)

    def freedom(self, prior_std_m: float | None, local_std_m: float, kept: float) -> np.ndarray:
        """Standard deviations (k,) of a prediction along the directions.

        Args:
            prior_std_m: standard deviation of a vertex along the components. None for the posterior variance given a sample with
                alpha_bar `kept`: for a Gaussian x of variance s^2, given sqrt(a) x + sqrt(1 - a) noise, the share
                (1 - a) / (a s^2 + 1 - a).
            local_std_m: standard deviation of independent local errors of the skin around each joint.
            kept: alpha_bar of the noisy sample of the prediction.
        """
        if prior_std_m is None:
            shares = np.sqrt((1 - kept) / (kept * self._variances + 1 - kept))
        else:
            shares = np.full(self._n_components, prior_std_m / self._vertex_std_m)
        return np.concatenate([shares, np.full(len(self.basis_m) - self._n_components, local_std_m)])

    def with_joints(self, vertices_m: np.ndarray, joints_m: np.ndarray) -> np.ndarray:
        """The mesh (..., V, 3) after a smooth motion, so that its joints are near `joints_m` (..., 21, 3)."""
        return vertices_m + self._gain @ (joints_m - self.regressor @ vertices_m)


def spread_of(hand: HandModel, rows: np.ndarray) -> np.ndarray:
    """K rows^T, (V, m): motion of the surface for a pull at each weighted sum of vertices. The sums are `rows` (m, V).

    K is the covariance of vertices that move with the vertices of a coarser level of the hierarchy, scaled to mean variance 1.
    """
    smooth = (hand.up[0] @ hand.up[1]).astype(np.float64)
    smooth *= np.sqrt((1 - _OWN_SHARE) / (smooth**2).sum(1).mean())
    return smooth @ (smooth.T @ rows.T) + _OWN_SHARE * rows.T
