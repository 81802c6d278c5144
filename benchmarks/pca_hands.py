"""The baseline of the graph diffusion: hands as a Gaussian over the principal components of their meshes.

What such a model can do, it does in closed form: sampling, completing a hand of which part is given, and, by Gauss-Newton steps,
fitting keypoints. Meshes are in the palm frame, of average adult size, as those of the diffusion are.
"""

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from hand_mesh_ros.core import locate, rigid
from hand_mesh_ros.core.decode import palm_from_hand
from hand_mesh_ros.core.hand_model import HandModel
from hand_mesh_ros.core.kinematics import rotation_about
from hand_mesh_ros.core.place import Pose

# More are never asked for.
_MOST_COMPONENTS = 250
_FIT_STEPS = 40
_NEAR_M = 0.03
# Levenberg's damping: where it starts, and how it changes after a step that helped or did not.
_DAMPING, _EASED, _RAISED = 1e-2, 0.3, 10.0


@dataclass(frozen=True)
class PcaHands:
    """Meshes mean + coefficients * basis with standard normal coefficients."""

    mean_m: np.ndarray  # (V, 3)
    basis_m: np.ndarray  # (k, V, 3) principal directions, each as long as its standard deviation
    residual_std_m: float  # of one coordinate, in the directions that are left out
    explained: float  # share of the variance in 0..1

    def sample(self, n: int, seed: int) -> np.ndarray:
        """`n` hands of any pose, (n, V, 3)."""
        return self._meshes(np.random.default_rng(seed).standard_normal((n, len(self.basis_m))))

    def complete(self, operator: np.ndarray, places_m: np.ndarray, n: int, seed: int) -> np.ndarray:
        """`n` hands, (n, V, 3), drawn from the Gaussian of the coefficients given weighted sums of vertices.

        Args:
            operator: (m, V) the sums: rows of the identity for vertices, of the joint regressor for joints.
            places_m: (m, 3) where they are.
            n: number of hands.
            seed: of the draws.
        """
        design = np.einsum("mv,kvc->mck", operator, self.basis_m).reshape(-1, len(self.basis_m))
        residual = (places_m - operator @ self.mean_m).ravel()
        precision = np.eye(len(self.basis_m)) + design.T @ design / self.residual_std_m**2
        expected = np.linalg.solve(precision, design.T @ residual / self.residual_std_m**2)
        drawn = np.random.default_rng(seed).standard_normal((len(self.basis_m), n))
        # If the precision is L L^T, then L^-T z has its inverse as covariance.
        spread = linalg.solve_triangular(np.linalg.cholesky(precision), drawn, lower=True, trans="T")
        return self._meshes(expected + spread.T)

    def fit_2d(
        self, hand: HandModel, rays: np.ndarray, weights: np.ndarray, ray_std: float, camera_from_palm: np.ndarray
    ) -> tuple[np.ndarray, Pose]:
        """The likeliest hand whose joints lie on rays, and where it is: Gauss-Newton over rotation, translation, coefficients.

        Args:
            hand: for its joint regressor.
            rays: (21, 2) undistorted x/z, y/z.
            weights: (21,) confidences.
            ray_std: standard deviation of a ray of weight 1, per axis.
            camera_from_palm: (3, 3) first guess of the rotation.

        Returns:
            vertices (1, V, 3) in the palm frame, and the pose.
        """
        regressor = hand.joint_regressor.astype(np.float64)
        joints, basis = regressor @ self.mean_m, np.einsum("jv,kvc->kjc", regressor, self.basis_m)
        turned = joints @ camera_from_palm.T
        state = (camera_from_palm, locate.translate(turned[None], rays, weights)[0][0], np.zeros(len(basis)))
        root = np.sqrt(weights)[:, None] / ray_std
        damping, (cost, step) = _DAMPING, _proposal(state, joints, basis, rays, root)
        for _ in range(_FIT_STEPS):
            moved = _moved(state, step(damping))
            new_cost, new_step = _proposal(moved, joints, basis, rays, root)
            if new_cost < cost:
                state, cost, step, damping = moved, new_cost, new_step, damping * _EASED
            else:
                damping *= _RAISED
        rotation, translation, coefficients = state
        return self._meshes(coefficients[None]), Pose(rotation[None], translation[None])

    def _meshes(self, coefficients: np.ndarray) -> np.ndarray:
        return self.mean_m + np.tensordot(coefficients, self.basis_m, axes=1)


class PcaSpace:
    """All principal components of a set of meshes, to be cut off somewhere."""

    def __init__(self, vertices_m: np.ndarray) -> None:
        """Finds them in meshes (n, V, 3) in the palm frame."""
        n, n_vertices, _ = vertices_m.shape
        self.mean_m = vertices_m.mean(0, dtype=np.float64)
        offsets = (vertices_m - self.mean_m).reshape(n, -1)
        size = min(3 * n_vertices, n)
        # Of the two Gram matrices the smaller one has the same spectrum.
        gram = (offsets @ offsets.T if size == n else offsets.T @ offsets) / (n - 1)
        self._total = float(np.trace(gram))
        variances, vectors = linalg.eigh(gram, subset_by_index=[size - min(_MOST_COMPONENTS, size - 1), size - 1])
        variances, vectors = np.maximum(variances[::-1], 0), vectors[:, ::-1]
        if size == n:
            vectors = offsets.T @ vectors / np.sqrt(np.maximum((n - 1) * variances, 1e-30))
        self._shares = variances.cumsum() / self._total
        self._basis_m = (np.sqrt(variances) * vectors).T.reshape(-1, n_vertices, 3)

    def components_for(self, share: float) -> int:
        """The least number of components that hold this share of the variance.

        Raises:
            ValueError: if even the largest number that is kept does not.
        """
        if self._shares[-1] < share:
            raise ValueError(f"{len(self._shares)} components hold {self._shares[-1]:.4f} of the variance, not {share}")
        return int(np.searchsorted(self._shares, share)) + 1

    def truncated(self, count: int) -> PcaHands:
        """The Gaussian of the first `count` components."""
        explained = float(self._shares[count - 1])
        residual_std_m = np.sqrt(max(1 - explained, 0) * self._total / self.mean_m.size)
        return PcaHands(self.mean_m, self._basis_m[:count], float(residual_std_m), explained)


def in_palm_frame(vertices_m: np.ndarray, hand: HandModel) -> np.ndarray:
    """Meshes (n, V, 3) of any frame, each in the frame of its own palm."""
    return rigid.transform(vertices_m, *palm_from_hand(hand.joint_regressor @ vertices_m, hand))


def _moved(state: tuple[np.ndarray, ...], step: np.ndarray) -> tuple[np.ndarray, ...]:
    rotation, translation, coefficients = state
    angle = np.linalg.norm(step[:3])
    turn = rotation_about(step[:3] / max(angle, 1e-12), angle)
    return turn @ rotation, translation + step[3:6], coefficients + step[6:]


def _proposal(state: tuple[np.ndarray, ...], joints: np.ndarray, basis: np.ndarray, rays: np.ndarray, root: np.ndarray):
    """Cost of a state, and the function that gives the step from it under a damping."""
    rotation, translation, coefficients = state
    arm = (joints + np.tensordot(coefficients, basis, axes=1)) @ rotation.T
    placed = arm + translation
    if placed[:, 2].min() < _NEAR_M:
        return np.inf, None
    seen = placed[:, :2] / placed[:, 2:]
    by_point = np.zeros((len(placed), 2, 3))
    by_point[:, 0, 0] = by_point[:, 1, 1] = 1 / placed[:, 2]
    by_point[:, :, 2] = -seen / placed[:, 2:]
    # A turn w moves a joint p by w x p.
    by_turn = np.cross(arm[:, None], by_point)
    by_shape = np.einsum("jac,kjc->jak", by_point, basis @ rotation.T)
    slopes = (root[..., None] * np.concatenate([by_turn, by_point, by_shape], -1)).reshape(2 * len(placed), -1)
    residual = (root * (rays - seen)).ravel()
    prior = np.concatenate([np.zeros(6), np.ones(len(basis))])
    information = slopes.T @ slopes + np.diag(prior)
    pull = slopes.T @ residual - prior * np.concatenate([np.zeros(6), coefficients])

    def step(damping: float) -> np.ndarray:
        return np.linalg.solve(information + damping * np.diag(np.diagonal(information) + 1e-9), pull)

    return float((residual**2).sum() + (coefficients**2).sum()), step
