"""Position, size and rotation of a hand from the rays of its joints and the depth of its skin.

Every measurement constrains a point to a plane. The ray of a joint is the intersection of two planes through the optical centre.
A measured depth constrains the skin to the tangent plane at the measured point. So a sideways error of the mesh does not move the
mesh in a wrong direction. The unknowns of the rigid hand are the position [m], the logarithm of the size and the rotation [rad].
The equations are linearised a few times and weighted by their errors. The priors of the size and of the rotation are additional
equations.

Some depths do not belong to the hand, for example an object in front of the hand, or a wall beside a finger with a position
error. So the first step finds the distance that agrees with most depths and that rays and size allow. After that, the weight of
each depth decreases with its residual.
"""

from dataclasses import dataclass, replace

import numpy as np

from hand_mesh_ros.core.config import SIZE_LIMITS
from hand_mesh_ros.core.geometry import rotations
from hand_mesh_ros.core.geometry.rays import KEYPOINT_NOISE, ray_extent
from hand_mesh_ros.core.place.by_rays import INDEPENDENT_JOINTS, Location
from hand_mesh_ros.core.place.skin_depth import SkinDepth, measure, vertex_normals
from hand_mesh_ros.core.place.user_size import Scale, SizeMeasure, depth_doubt
from hand_mesh_ros.core.topology import N_JOINTS
from hand_mesh_ros.core.types import Frame

# Constants without another source were chosen on the rendered RGB-D hands of `benchmarks.depth`, for the smallest wrist error at
# 0.3 to 1 m, with and without an object in front of the hand.

# Error of the mesh along its normals [m]: the PA-MPVPE of the cascade on rendered hands (docs/accuracy.md), per axis.
_SKIN_STD_M = 0.006
# Error of a depth sensor at 1 m [m]. The error grows with the square of the distance. Khoshelham and Elberink 2012, "Accuracy and
# resolution of Kinect depth data", eq. 6.
_SENSOR_STD_M = 0.003
# Errors of neighbouring depths are correlated. All depths that agree count as at most 6 independent depths. 8 depths that agree
# count as at most 1 independent depth.
_INDEPENDENT_DEPTHS, _DEPTHS_PER_INDEPENDENT = 6.0, 8.0
# Search for the distance: error of the skin before the rotation is estimated [m], share of depths of other objects at any
# distance, half width of the search [standard deviations], number of distances, and the largest relative standard deviation.
_SEARCH_STD_M, _OUTLIER_SHARE, _SEARCH_STDS, _SEARCH_STEPS, _WIDEST = 0.015, 0.03, 4.0, 161, 0.2
# A depth with a residual equal to the gate has the weight 1/4. Each step multiplies the gate by the factor, from the first width
# to the last width [m].
_FIRST_GATE_M, _LAST_GATE_M, _GATE_SHRINKS = 0.03, 0.015, 0.7
# Number of Gauss-Newton steps, and the number of steps after which the visible skin is measured again.
_STEPS, _STEPS_OF_ONE_MEASURE = 6, 3
# With fewer depths that agree, depth is not used, because the depths may belong to another object.
_LEAST_AGREEING = 8.0
# A joint is anchored if the sum of the weights of its nearest depths, and their mean weight, are at least these values.
_ANCHORING, _ANCHORING_SHARE = 2.0, 0.5
# A size with a larger relative standard deviation is not used, because the prior is more accurate (`user_size`).
_WORST_SIZE_STD = 0.3


@dataclass(frozen=True)
class Evidence:
    """Information about one hand before depth is used; average size, camera axes."""

    joints_m: np.ndarray  # (21, 3), wrist in the origin
    vertices_m: np.ndarray  # (V, 3), same origin
    faces: np.ndarray  # (F, 3)
    rays: np.ndarray  # (21, 2) undistorted x/z, y/z
    confidence: np.ndarray  # (21,) of the rays
    joint_std_m: np.ndarray  # (21,) standard deviation of the joints relative to the hand, per axis
    turn_covariance: np.ndarray  # (3, 3) rad^2
    gain: float  # `Calibration.location_gain`


@dataclass(frozen=True)
class _Similarity:
    """State of a hand during the optimisation: a point x relative to the centre becomes size * turn x + centre."""

    centre_m: np.ndarray  # (3,)
    log_size: float
    turn: np.ndarray  # (3, 3)
    turned_by: np.ndarray  # (3,) sum of the small turns so far

    def shaped(self, from_centre_m: np.ndarray) -> np.ndarray:
        """Points (N, 3) after size and rotation, still relative to the centre."""
        return np.exp(self.log_size) * from_centre_m @ self.turn.T

    def moved(self, step: np.ndarray) -> "_Similarity":
        """The state after a small step (7,)."""
        turn = rotations.from_vector(step[4:]) @ self.turn
        log_size = float(np.clip(self.log_size + step[3], *np.log(SIZE_LIMITS)))
        return _Similarity(self.centre_m + step[:3], log_size, turn, self.turned_by + step[4:])


def anchor(evidence: Evidence, location: Location, frame: Frame) -> Location:
    """The location, improved by depth. If there are not enough usable depths, the location is returned unchanged.

    Args:
        evidence: evidence of the hand.
        location: location from the rays only, with the current estimate of the size.
        frame: a calibrated camera with depth.
    """
    problem = _Problem(evidence, location, frame)
    solved = problem.solve()
    if solved is None:
        return location
    state, covariance, anchored = solved
    wrist_m = state.centre_m - state.shaped(evidence.joints_m.mean(0, keepdims=True))[0]
    size_seen, depth_std = problem.size_alone(state, covariance), location.scale.depth_std
    if size_seen:
        depth_std = max(depth_std, depth_doubt(size_seen, location.scale))
    scale = Scale(float(np.exp(state.log_size)), float(np.hypot(np.sqrt(covariance[3, 3]), depth_std)), "depth", depth_std)
    return replace(
        location,
        translation_m=wrist_m,
        covariance=covariance,
        scale=scale,
        turn=state.turn,
        anchored=anchored,
        size_seen=size_seen,
    )


class _Problem:
    """The equations of one hand."""

    def __init__(self, evidence: Evidence, location: Location, frame: Frame) -> None:
        self._evidence, self._location, self._frame = evidence, location, frame
        centre = evidence.joints_m.mean(0)
        self._joints, self._vertices = evidence.joints_m - centre, evidence.vertices_m - centre
        self._normals = vertex_normals(evidence.vertices_m, evidence.faces)
        self._log_size = float(np.log(location.scale.factor))
        self._log_size_std = float(np.sqrt(location.scale.rel_std**2 - location.scale.depth_std**2))
        self._turn_information = np.linalg.inv(evidence.turn_covariance)
        # Normals (42, 3) of the planes of the rays, two planes per ray.
        one, none = np.ones(N_JOINTS), np.zeros(N_JOINTS)
        u, v = evidence.rays.T
        self._ray_planes = np.concatenate([np.stack([one, none, -u], -1), np.stack([none, one, -v], -1)])
        self._ray_std = KEYPOINT_NOISE * ray_extent(evidence.rays)

    def solve(self) -> tuple[_Similarity, np.ndarray, np.ndarray] | None:
        """State, covariance (7, 7) and anchored joints (21,). None if too few depths agree, or if no human hand has this size."""
        start = self._location.translation_m + self._location.scale.factor * self._evidence.joints_m.mean(0)
        state = _Similarity(start, self._log_size, np.eye(3), np.zeros(3))
        seen = self._measure(state)
        if len(seen.vertex) < _LEAST_AGREEING:
            return None
        state = self._at_likeliest_distance(state, seen)
        gate_m = _FIRST_GATE_M
        for step in range(_STEPS):
            if step % _STEPS_OF_ONE_MEASURE == 0:
                seen = self._measure(state)
            information, pull, agreement = self._normal_equations(state, seen, gate_m)
            if agreement.sum() < _LEAST_AGREEING:
                return None
            state = state.moved(np.linalg.solve(information, pull))
            gate_m = max(_GATE_SHRINKS * gate_m, _LAST_GATE_M)
        anchored = self._anchored(seen, agreement)
        is_human = SIZE_LIMITS[0] < np.exp(state.log_size) < SIZE_LIMITS[1]
        return (state, np.linalg.inv(information), anchored) if is_human and anchored.any() else None

    def size_alone(self, state: _Similarity, covariance: np.ndarray) -> SizeMeasure | None:
        """The size from depth only: the prior of the size is removed from the result."""
        known, total = self._log_size_std**-2, 1 / covariance[3, 3]
        seen = total - known
        if seen < _WORST_SIZE_STD**-2:
            return None
        return SizeMeasure(float((total * state.log_size - known * self._log_size) / seen), float(seen**-0.5))

    def _measure(self, state: _Similarity) -> SkinDepth:
        return measure(state.shaped(self._vertices) + state.centre_m, self._normals @ state.turn.T, self._frame)

    def _at_likeliest_distance(self, state: _Similarity, seen: SkinDepth) -> _Similarity:
        """The state moved along its ray to the distance with the most agreement of depths. Rays and size limit the distance."""
        expected = (state.shaped(self._vertices[seen.vertex]) + state.centre_m)[:, 2]
        given_size = np.sqrt(self._location.covariance_m2[2, 2]) / state.centre_m[2]
        std = min(float(np.hypot(given_size, self._log_size_std)), _WIDEST)
        steps = np.linspace(-_SEARCH_STDS, _SEARCH_STDS, _SEARCH_STEPS)
        error = seen.depth_m[:, None] - np.exp(std * steps) * expected[:, None]
        support = np.log(_OUTLIER_SHARE + np.exp(-0.5 * (error / _SEARCH_STD_M) ** 2)).mean(0)
        shift = std * steps[np.argmax(_INDEPENDENT_DEPTHS * support - 0.5 * steps**2)]
        # The shift is divided between size and distance in proportion to their variances.
        return replace(
            state,
            centre_m=np.exp(shift) * state.centre_m,
            log_size=state.log_size + float(shift) * self._log_size_std**2 / std**2,
        )

    def _normal_equations(self, state: _Similarity, seen: SkinDepth, gate_m: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Normal equations of a step: information (7, 7), right side (7,), and agreement of each depth (N,) in 0..1."""
        evidence, size = self._evidence, np.exp(state.log_size)
        joints = state.shaped(self._joints)
        rows, error = _equations(self._ray_planes, np.concatenate([joints, joints]), state.centre_m, 0.0)
        of_ray = (self._ray_std * (joints + state.centre_m)[:, 2]) ** 2 / np.maximum(evidence.confidence, 1e-3)
        of_shape = (size * evidence.joint_std_m[:, None]) ** 2 * (1 + evidence.rays**2)
        variance = evidence.gain * (of_ray[:, None] + of_shape).T.ravel() * (N_JOINTS / INDEPENDENT_JOINTS)
        information, pull = (rows.T / variance) @ rows, (rows.T / variance) @ error

        normals, skin = self._normals[seen.vertex] @ state.turn.T, state.shaped(self._vertices[seen.vertex])
        offsets = (normals * seen.ray).sum(-1) * seen.depth_m
        rows, error = _equations(normals, skin, state.centre_m, offsets)
        agreement = 1 / (1 + (error / gate_m) ** 2) ** 2
        total = max(float(agreement.sum()), 1e-9)
        independent = min(_INDEPENDENT_DEPTHS, total / _DEPTHS_PER_INDEPENDENT)
        weights = independent / total * agreement / (_SKIN_STD_M**2 + (_SENSOR_STD_M * seen.depth_m**2) ** 2)
        information += (rows.T * weights) @ rows
        pull += (rows.T * weights) @ error

        information[3, 3] += self._log_size_std**-2
        pull[3] += (self._log_size - state.log_size) * self._log_size_std**-2
        information[4:, 4:] += self._turn_information
        pull[4:] -= self._turn_information @ state.turned_by
        return information, pull, agreement

    def _anchored(self, seen: SkinDepth, agreement: np.ndarray) -> np.ndarray:
        """(21,) bool: True if the measured depth agrees with the skin around the joint."""
        apart = np.linalg.norm(self._vertices[seen.vertex][:, None] - self._joints, axis=-1)
        nearest = np.argmin(apart, axis=1)
        agreeing, all_of_them = (np.bincount(nearest, values, N_JOINTS) for values in (agreement, np.ones_like(agreement)))
        return (agreeing >= _ANCHORING) & (agreeing >= _ANCHORING_SHARE * all_of_them)


def _equations(
    normals: np.ndarray, from_centre_m: np.ndarray, centre_m: np.ndarray, offsets_m: np.ndarray | float
) -> tuple[np.ndarray, np.ndarray]:
    """Rows (N, 7) and right sides (N,) of the equations of a step in position, size and rotation.

    The equations require that the points after the step are in their planes n x = offset.
    """
    along = (normals * from_centre_m).sum(-1)
    (x, y, z), (a, b, c) = from_centre_m.T, normals.T
    # A rotation by w moves a point p by w x p. The component of w x p along the normal n is w (p x n).
    rows = np.stack([a, b, c, along, y * c - z * b, z * a - x * c, x * b - y * a], -1)
    return rows, offsets_m - along - normals @ centre_m
