"""The likeliest hand whose joints lie on given rays: its shape, its rotation and its place at once.

Rays leave open how far each joint is. What closes the gap is a first guess and how hands vary about it: the cost is

    sum of w |ray - seen|^2 / ray_std^2  +  |coefficients|^2  +  |turn from the first rotation|^2 / turn_std^2

which is the negative logarithm of the posterior for Gaussian errors; it is lowered by damped Gauss-Newton steps (Levenberg 1944).
"""

from dataclasses import dataclass

import numpy as np

from hand_mesh_ros.core.geometry import rotations
from hand_mesh_ros.core.geometry.rays import translate_onto_rays

_MOST_STEPS = 40
# Steps end when one lowers the cost by less than this share, or a higher damping than this does not help.
_GAIN, _HIGHEST_DAMPING = 1e-4, 1e8
_DAMPING, _EASED, _RAISED = 1e-2, 0.3, 10.0
NEAR_M = 0.03
# The least freedom of the rotation, so that one that is to be kept needs no case of its own [rad].
_LEAST_TURN = 1e-5


@dataclass(frozen=True)
class Pose:
    """Rotations and translations that bring points from the palm frame into that of the camera."""

    rotation: np.ndarray  # (n, 3, 3) camera_from_palm
    translation_m: np.ndarray  # (n, 3)

    def place(self, points_m: np.ndarray) -> np.ndarray:
        """Points (n, P, 3) in the camera frame."""
        return points_m @ np.swapaxes(self.rotation, -1, -2) + self.translation_m[:, None]


@dataclass(frozen=True)
class RayProblem:
    """What is known of one hand."""

    joints_m: np.ndarray  # (21, 3) first guess, in any frame
    directions_m: np.ndarray  # (k, 21, 3) how they move with each coefficient, whose prior is standard normal; k may be 0
    rays: np.ndarray  # (21, 2) undistorted x/z, y/z
    confidence: np.ndarray  # (21,) confidences; 0 for joints that are not seen
    ray_std: float  # standard deviation of a ray of weight 1, per axis
    rotation: np.ndarray  # (3, 3) first guess of camera_from_frame
    turn_std_rad: float = np.inf  # how far off it may be: infinite if it is a start only, 0 to keep it


@dataclass(frozen=True)
class HandState:
    """A hand while it is solved for."""

    rotation: np.ndarray  # (3, 3) camera_from_frame
    translation_m: np.ndarray  # (3,)
    coefficients: np.ndarray  # (k,)

    def moved(self, step: np.ndarray) -> "HandState":
        """The state after a step (6 + k,): turn, translation, coefficients."""
        turn = rotations.from_vector(step[:3])
        return HandState(turn @ self.rotation, self.translation_m + step[3:6], self.coefficients + step[6:])


@dataclass(frozen=True)
class _Model:
    """The cost at a state and its quadratic model there."""

    cost: float
    information: np.ndarray  # (6 + k, 6 + k)
    pull: np.ndarray  # (6 + k,)

    def step(self, damping: float) -> np.ndarray:
        return np.linalg.solve(self.information + damping * np.diag(np.diagonal(self.information) + 1e-9), self.pull)


def likeliest_hand(problem: RayProblem) -> tuple[np.ndarray, Pose]:
    """Coefficients (k,) and the pose, of one hand, with the least cost near the first guess.

    Raises:
        ValueError: if a ray or weight is not finite, or no weight is positive.
    """
    turned = problem.joints_m @ problem.rotation.T
    place = translate_onto_rays(turned[None], problem.rays, problem.confidence)[0][0]
    state = HandState(problem.rotation, place, np.zeros(len(problem.directions_m)))
    model, damping = _model_at(state, problem), _DAMPING
    for _ in range(_MOST_STEPS):
        if model is None or damping > _HIGHEST_DAMPING:
            break
        moved = state.moved(model.step(damping))
        there = _model_at(moved, problem)
        if there is None or there.cost >= model.cost:
            damping *= _RAISED
            continue
        is_settled = there.cost > (1 - _GAIN) * model.cost
        state, model, damping = moved, there, damping * _EASED
        if is_settled:
            break
    return state.coefficients, Pose(state.rotation[None], state.translation_m[None])


def solve_pose(
    joints_m: np.ndarray,
    rays: np.ndarray,
    confidence: np.ndarray,
    rotation: np.ndarray,
    ray_std: float = 1.0,
    turn_std_rad: float = np.inf,
) -> Pose:
    """Where hands of known shape are: the poses with the least cost.

    A rotation is found near its first guess only: far off, the rays have a second, mirrored explanation.

    Args:
        joints_m: (n, 21, 3) in any frame.
        rays: (21, 2) undistorted x/z, y/z.
        confidence: (21,) at least 0, one of them larger.
        rotation: (n, 3, 3) first guess.
        ray_std: as in `RayProblem`; without influence where rotations are free.
        turn_std_rad: as in `RayProblem`.

    Raises:
        ValueError: if a ray or weight is not finite, or no weight is positive.
    """
    none = np.zeros((0, *joints_m.shape[1:]))
    found = [
        likeliest_hand(RayProblem(each_m, none, rays, confidence, ray_std, start, turn_std_rad))[1]
        for each_m, start in zip(joints_m, rotation, strict=True)
    ]
    return Pose(np.concatenate([pose.rotation for pose in found]), np.concatenate([pose.translation_m for pose in found]))


def linearised(problem: RayProblem, state: HandState) -> tuple[np.ndarray, np.ndarray] | None:
    """Weighted residuals of the rays at a state and their Jacobian by a step from there.

    Returns:
        residuals (42,) and Jacobian (42, 6 + k) by turn [rad], translation [m] and coefficients, both in standard deviations;
        None if a joint lies in or behind the camera's plane.
    """
    arm = (problem.joints_m + np.tensordot(state.coefficients, problem.directions_m, axes=1)) @ state.rotation.T
    placed = arm + state.translation_m
    if not placed[:, 2].min() > NEAR_M:  # also true for NaN
        return None
    seen = placed[:, :2] / placed[:, 2:]
    by_point = np.zeros((len(placed), 2, 3))
    by_point[:, 0, 0] = by_point[:, 1, 1] = 1 / placed[:, 2]
    by_point[:, :, 2] = -seen / placed[:, 2:]
    # A turn w moves a joint p by w x p.
    by_turn = np.cross(arm[:, None], by_point)
    by_shape = np.einsum("jac,kjc->jak", by_point, problem.directions_m @ state.rotation.T)
    root = np.sqrt(problem.confidence)[:, None] / problem.ray_std
    jacobian = (root[..., None] * np.concatenate([by_turn, by_point, by_shape], -1)).reshape(2 * len(placed), -1)
    return (root * (seen - problem.rays)).ravel(), jacobian


def _model_at(state: HandState, problem: RayProblem) -> _Model | None:
    """None if a joint lies in or behind the camera's plane."""
    rays = linearised(problem, state)
    if rays is None:
        return None
    residual, jacobian = rays
    turn = rotations.to_vector(state.rotation @ problem.rotation.T)
    precision = np.ones(jacobian.shape[1])
    precision[:3], precision[3:6] = 1 / max(problem.turn_std_rad, _LEAST_TURN) ** 2, 0
    away = np.concatenate([turn, np.zeros(3), state.coefficients])
    cost = float(residual @ residual + precision @ away**2)
    return _Model(cost, jacobian.T @ jacobian + np.diag(precision), -jacobian.T @ residual - precision * away)
