"""The most likely hand with joints on given rays. Shape, rotation and position are estimated together.

Rays do not give the distance of each joint. A first guess and the variation of hands about the first guess are the prior. The
cost is

    sum of w |ray - seen|^2 / ray_std^2  +  |coefficients|^2  +  |turn from the first rotation|^2 / turn_std^2

with w the confidence. For Gaussian errors, half of the cost is the negative logarithm of the posterior, up to a constant. Damped
Gauss-Newton steps (Levenberg 1944) reduce the cost. Each depth of the skin adds one residual: `SkinPlanes`.
"""

from dataclasses import dataclass

import numpy as np

from hand_mesh_ros.core.geometry import rotations
from hand_mesh_ros.core.geometry.rays import translate_onto_rays

_MOST_STEPS = 40
# The steps end if a step reduces the cost by less than this share, or if the damping is above this limit.
_GAIN, _HIGHEST_DAMPING = 1e-4, 1e8
_DAMPING, _EASED, _RAISED = 1e-2, 0.3, 10.0
# Multiplications of one matrix product: OpenBLAS uses one thread up to 2^18.
_LARGEST_PRODUCT = 2**18
_LIGHT_DAMPING = 1e-3  # of a single step
NEAR_M = 0.03
# Smallest standard deviation of the rotation, so that a fixed rotation needs no special case [rad].
_LEAST_TURN = 1e-5


@dataclass(frozen=True)
class Pose:
    """Rotations and translations from the palm frame to the camera frame."""

    rotation: np.ndarray  # (n, 3, 3) camera_from_palm
    translation_m: np.ndarray  # (n, 3)

    def place(self, points_m: np.ndarray) -> np.ndarray:
        """Points (n, P, 3) in the camera frame."""
        return points_m @ np.swapaxes(self.rotation, -1, -2) + self.translation_m[:, None]


@dataclass(frozen=True)
class SkinPlanes:
    """Planes of the camera frame in which points of the skin lie: normal x = offset."""

    points_m: np.ndarray  # (N, 3) first guess, in the frame of the joints
    directions_m: np.ndarray  # (k, N, 3) how they move with each coefficient
    normals: np.ndarray  # (N, 3) unit, camera axes
    offsets_m: np.ndarray  # (N,)
    precision: np.ndarray  # (N,) 1 / m^2 of the distance from the plane


@dataclass(frozen=True)
class RayProblem:
    """Inputs of the optimisation for one hand."""

    joints_m: np.ndarray  # (21, 3) first guess, in any frame
    directions_m: np.ndarray  # (k, 21, 3) motion of the joints per coefficient; coefficients are standard normal; k may be 0
    rays: np.ndarray  # (21, 2) undistorted x/z, y/z
    confidence: np.ndarray  # (21,) of the rays; 0 for joints that are not visible
    ray_std: float  # standard deviation of a ray of confidence 1, per axis
    rotation: np.ndarray  # (3, 3) first guess of camera_from_frame
    turn_std_rad: float = np.inf  # standard deviation of `rotation`: infinite if `rotation` is only a start, 0 to keep `rotation`
    skin: SkinPlanes | None = None  # skin that a depth camera has measured


@dataclass(frozen=True)
class HandState:
    """State of a hand during the optimisation."""

    rotation: np.ndarray  # (3, 3) camera_from_frame
    translation_m: np.ndarray  # (3,)
    coefficients: np.ndarray  # (k,)

    def moved(self, step: np.ndarray) -> "HandState":
        """The state after a step (6 + k,): rotation vector, translation, coefficients."""
        turn = rotations.from_vector(step[:3])
        return HandState(turn @ self.rotation, self.translation_m + step[3:6], self.coefficients + step[6:])


@dataclass(frozen=True)
class _Model:
    """The cost at a state and the quadratic model of the cost at this state."""

    cost: float
    information: np.ndarray  # (6 + k, 6 + k)
    pull: np.ndarray  # (6 + k,)

    def step(self, damping: float) -> np.ndarray:
        return np.linalg.solve(self.information + damping * np.diag(np.diagonal(self.information) + 1e-9), self.pull)


def likeliest_hand(problem: RayProblem) -> tuple[np.ndarray, Pose]:
    """Coefficients (k,) and pose of one hand with the smallest cost near the first guess.

    Raises:
        ValueError: if a ray or a confidence is not finite, a confidence is negative, or no confidence is positive.
    """
    turned = problem.joints_m @ problem.rotation.T
    place = translate_onto_rays(turned[None], problem.rays, problem.confidence)[0][0]
    state = improved(HandState(problem.rotation, place, np.zeros(len(problem.directions_m))), problem)
    return state.coefficients, Pose(state.rotation[None], state.translation_m[None])


def improved(state: HandState, problem: RayProblem, most_steps: int = _MOST_STEPS) -> HandState:
    """The state after steps that each reduce the cost. The same state if no step reduces the cost."""
    model, damping = _model_at(state, problem), _DAMPING
    for _ in range(most_steps):
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
    return state


def stepped(state: HandState, problem: RayProblem) -> HandState:
    """The state after one damped step. Unlike `improved`, the function does not check that the step reduces the cost."""
    model = _model_at(state, problem)
    return state if model is None else state.moved(model.step(_LIGHT_DAMPING))


def solve_pose(
    joints_m: np.ndarray,
    rays: np.ndarray,
    confidence: np.ndarray,
    rotation: np.ndarray,
    ray_std: float = 1.0,
    turn_std_rad: float = np.inf,
) -> Pose:
    """Poses of hands of known shape: the poses with the smallest cost.

    A rotation is only found near its first guess. Far from the first guess, the rays have a second, mirrored solution.

    Args:
        joints_m: (n, 21, 3) in any frame.
        rays: (21, 2) undistorted x/z, y/z.
        confidence: (21,) of the rays, at least 0; at least one value must be above 0.
        rotation: (n, 3, 3) first guess.
        ray_std: as in `RayProblem`; without influence if the rotations are free.
        turn_std_rad: as in `RayProblem`.

    Raises:
        ValueError: if a ray or a confidence is not finite, a confidence is negative, or no confidence is positive.
    """
    none = np.zeros((0, *joints_m.shape[1:]))
    found = [
        likeliest_hand(RayProblem(each_m, none, rays, confidence, ray_std, start, turn_std_rad))[1]
        for each_m, start in zip(joints_m, rotation, strict=True)
    ]
    return Pose(np.concatenate([pose.rotation for pose in found]), np.concatenate([pose.translation_m for pose in found]))


def linearised(problem: RayProblem, state: HandState) -> tuple[np.ndarray, np.ndarray] | None:
    """Weighted residuals of the rays at a state, and the Jacobian of the residuals with respect to a step.

    Returns:
        residuals (42,) and Jacobian (42, 6 + k) by rotation vector [rad], translation [m] and coefficients. Residuals and
        Jacobian are in standard deviations. None if the depth of a joint is at most `NEAR_M`.
    """
    arm = (problem.joints_m + np.tensordot(state.coefficients, problem.directions_m, axes=1)) @ state.rotation.T
    placed = arm + state.translation_m
    if not placed[:, 2].min() > NEAR_M:  # also true for NaN
        return None
    seen = placed[:, :2] / placed[:, 2:]
    by_point = np.zeros((len(placed), 2, 3))
    by_point[:, 0, 0] = by_point[:, 1, 1] = 1 / placed[:, 2]
    by_point[:, :, 2] = -seen / placed[:, 2:]
    # A rotation by w moves a joint p by w x p.
    by_turn = rotations.cross(arm[:, None], by_point)
    by_shape = np.einsum("jac,kjc->jak", by_point, problem.directions_m @ state.rotation.T)
    root = np.sqrt(problem.confidence)[:, None] / problem.ray_std
    jacobian = (root[..., None] * np.concatenate([by_turn, by_point, by_shape], -1)).reshape(2 * len(placed), -1)
    return (root * (seen - problem.rays)).ravel(), jacobian


def linearised_skin(skin: SkinPlanes, state: HandState) -> tuple[np.ndarray, np.ndarray]:
    """As `linearised`, for the planes: residuals (N,) and Jacobian (N, 6 + k), in standard deviations."""
    shape = skin.points_m + np.tensordot(state.coefficients, skin.directions_m, axes=1)
    arm = shape @ state.rotation.T
    # The normals in the frame of the hand: there the directions need no turn.
    by_shape = np.einsum("knc,nc->nk", skin.directions_m, skin.normals @ state.rotation)
    root = np.sqrt(skin.precision)
    distance = (skin.normals * (arm + state.translation_m)).sum(-1) - skin.offsets_m
    return root * distance, root[:, None] * np.concatenate([rotations.cross(arm, skin.normals), skin.normals, by_shape], -1)


def _model_at(state: HandState, problem: RayProblem) -> _Model | None:
    """Cost and quadratic model at a state. None if the depth of a joint is at most `NEAR_M`."""
    rays = linearised(problem, state)
    if rays is None:
        return None
    residual, jacobian = rays
    turn = rotations.to_vector(state.rotation @ problem.rotation.T)
    precision = np.ones(jacobian.shape[1])
    precision[:3], precision[3:6] = 1 / max(problem.turn_std_rad, _LEAST_TURN) ** 2, 0
    away = np.concatenate([turn, np.zeros(3), state.coefficients])
    cost = float(residual @ residual + precision @ away**2)
    information, pull = jacobian.T @ jacobian + np.diag(precision), -jacobian.T @ residual - precision * away
    if problem.skin is not None:
        distance, slopes = linearised_skin(problem.skin, state)
        cost, information, pull = cost + float(distance @ distance), information + _gram(slopes), pull - distance @ slopes
    return _Model(cost, information, pull)


def _gram(rows: np.ndarray) -> np.ndarray:
    """rows^T rows, (k, k), of rows (N, k), in blocks.

    OpenBLAS uses several threads for one large product. The threads wait for each other, which costs more time than they save,
    and many times more if other programs use the processor.
    """
    n_rows, n_columns = rows.shape
    size = max(1, _LARGEST_PRODUCT // n_columns**2)
    blocks = np.zeros((-(-n_rows // size) * size, n_columns))
    blocks[:n_rows] = rows
    blocks = blocks.reshape(-1, size, n_columns)
    return (blocks.transpose(0, 2, 1) @ blocks).sum(0)
