"""Place, size and turn of a hand from two kinds of evidence together: the rays of its joints and the depth of its skin.

Each says that a point lies in a plane. The ray of a joint is where two planes through the optical centre meet; a measured depth
puts the skin's tangent plane through the measured point, so that a mesh which is off sideways is not pulled to and fro.
Place [m], logarithm of the size and turn [rad] of a rigid hand solve these equations, linearised a few times, weighted by their
errors, with what is known of the size and the doubt about the hand's turn as further equations.

Some depths are not of the hand: an object before it, a wall behind a finger that the mesh has elsewhere. So the distance that
explains most of them, within what rays and size allow, comes first; from there each depth counts the less the more it disagrees.
"""

from dataclasses import dataclass, replace

import numpy as np

from hand_mesh_ros.core.config import SIZE_LIMITS
from hand_mesh_ros.core.geometry import rotations
from hand_mesh_ros.core.geometry.rays import KEYPOINT_NOISE, ray_extent
from hand_mesh_ros.core.place.by_rays import INDEPENDENT_JOINTS, Location
from hand_mesh_ros.core.place.skin_depth import SkinDepth, measure, vertex_normals
from hand_mesh_ros.core.place.user_size import Scale, SizeMeasure
from hand_mesh_ros.core.topology import N_JOINTS
from hand_mesh_ros.core.types import Frame

# The numbers below were chosen on the rendered RGB-D hands of `benchmarks.depth`, where no other source is named: the least wrist
# error at 0.3 to 1 m, with and without an object before the hand.

# Error of the mesh along its normals [m]: the PA-MPVPE of the cascade on rendered hands (docs/accuracy.md), per axis.
_SKIN_STD_M = 0.006
# Error of a depth sensor at 1 m [m]. The error grows with the square of the distance: Khoshelham and Elberink 2012, "Accuracy and
# resolution of Kinect depth data", eq. 6.
_SENSOR_STD_M = 0.003
# Errors of neighbouring depths are correlated. If all depths of a hand agree, they count as this many independent ones, and never
# as more than one independent depth for eight depths that agree.
_INDEPENDENT_DEPTHS, _DEPTHS_PER_INDEPENDENT = 6.0, 8.0
# Search for the distance: error of the skin before the hand is turned [m], share of depths that are of something else at any
# distance, half width of the search [standard deviations], number of distances, and the largest relative standard deviation.
_SEARCH_STD_M, _OUTLIER_SHARE, _SEARCH_STDS, _SEARCH_STEPS, _WIDEST = 0.015, 0.03, 3.0, 121, 0.2
# A depth that is off by the gate counts a quarter. The gate shrinks from the first to the last width [m] by this factor a step.
_FIRST_GATE_M, _LAST_GATE_M, _GATE_SHRINKS = 0.03, 0.015, 0.7
# Gauss-Newton steps, and after how many of them the visible skin is measured again.
_STEPS, _STEPS_OF_ONE_MEASURE = 6, 3
# With fewer agreeing depths the hand is not placed by depth: so few may be of anything.
_LEAST_AGREEING = 8.0
# A joint is anchored by this many depths that agree [sum of their weights], if they are most of the depths nearest to the joint.
_ANCHORING, _ANCHORING_SHARE = 2.0, 0.5
# A size with a larger relative standard deviation says nothing new: the size of hands is known better before (`user_size`).
_WORST_SIZE_STD = 0.3


@dataclass(frozen=True)
class Evidence:
    """What is known of one hand before depth is looked at; average size, camera axes."""

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
    """A hand's state while it is solved for: points x about its centre go to size * turn x + centre."""

    centre_m: np.ndarray  # (3,)
    log_size: float
    turn: np.ndarray  # (3, 3)
    turned_by: np.ndarray  # (3,) sum of the small turns so far

    def shaped(self, from_centre_m: np.ndarray) -> np.ndarray:
        """Points (N, 3) with size and turn, still about the centre."""
        return np.exp(self.log_size) * from_centre_m @ self.turn.T

    def moved(self, step: np.ndarray) -> "_Similarity":
        """After a small step (7,)."""
        turn = rotations.from_vector(step[4:]) @ self.turn
        log_size = float(np.clip(self.log_size + step[3], *np.log(SIZE_LIMITS)))
        return _Similarity(self.centre_m + step[:3], log_size, turn, self.turned_by + step[4:])


def anchor(evidence: Evidence, location: Location, frame: Frame) -> Location:
    """The location, improved by depth. If depth says too little, the location comes back unchanged.

    Args:
        evidence: on the hand.
        location: by the rays alone, with what is known of the size.
        frame: a calibrated camera with depth.
    """
    problem = _Problem(evidence, location, frame)
    solved = problem.solve()
    if solved is None:
        return location
    state, covariance, anchored = solved
    wrist_m = state.centre_m - state.shaped(evidence.joints_m.mean(0, keepdims=True))[0]
    scale = Scale(float(np.exp(state.log_size)), float(np.sqrt(covariance[3, 3])), "depth")
    return replace(
        location,
        translation_m=wrist_m,
        covariance=covariance,
        scale=scale,
        turn=state.turn,
        anchored=anchored,
        size_seen=problem.size_alone(state, covariance),
    )


class _Problem:
    """The equations of one hand."""

    def __init__(self, evidence: Evidence, location: Location, frame: Frame) -> None:
        self._evidence, self._location, self._frame = evidence, location, frame
        centre = evidence.joints_m.mean(0)
        self._joints, self._vertices = evidence.joints_m - centre, evidence.vertices_m - centre
        self._normals = vertex_normals(evidence.vertices_m, evidence.faces)
        self._log_size, self._log_size_std = float(np.log(location.scale.factor)), location.scale.rel_std
        self._turn_information = np.linalg.inv(evidence.turn_covariance)
        # Normals (42, 3) of the planes of the rays, two each.
        one, none = np.ones(N_JOINTS), np.zeros(N_JOINTS)
        u, v = evidence.rays.T
        self._ray_planes = np.concatenate([np.stack([one, none, -u], -1), np.stack([none, one, -v], -1)])
        self._ray_std = KEYPOINT_NOISE * ray_extent(evidence.rays)

    def solve(self) -> tuple[_Similarity, np.ndarray, np.ndarray] | None:
        """State, its covariance (7, 7) and the anchored joints (21,); None if too few depths agree, or on no human hand."""
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
        """The size from depth alone: the prior of the size is removed from the result."""
        known, total = self._log_size_std**-2, 1 / covariance[3, 3]
        seen = total - known
        if seen < _WORST_SIZE_STD**-2:
            return None
        return SizeMeasure(float((total * state.log_size - known * self._log_size) / seen), float(seen**-0.5))

    def _measure(self, state: _Similarity) -> SkinDepth:
        return measure(state.shaped(self._vertices) + state.centre_m, self._normals @ state.turn.T, self._frame)

    def _at_likeliest_distance(self, state: _Similarity, seen: SkinDepth) -> _Similarity:
        """Moved along its ray to where most depths agree, of the distances that rays and size allow."""
        expected = (state.shaped(self._vertices[seen.vertex]) + state.centre_m)[:, 2]
        given_size = np.sqrt(self._location.covariance_m2[2, 2]) / state.centre_m[2]
        std = min(float(np.hypot(given_size, self._log_size_std)), _WIDEST)
        steps = np.linspace(-_SEARCH_STDS, _SEARCH_STDS, _SEARCH_STEPS)
        error = seen.depth_m[:, None] - np.exp(std * steps) * expected[:, None]
        support = np.log(_OUTLIER_SHARE + np.exp(-0.5 * (error / _SEARCH_STD_M) ** 2)).mean(0)
        shift = std * steps[np.argmax(_INDEPENDENT_DEPTHS * support - 0.5 * steps**2)]
        # Whether the hand is larger or only farther away is split as their doubts are.
        return replace(
            state,
            centre_m=np.exp(shift) * state.centre_m,
            log_size=state.log_size + float(shift) * self._log_size_std**2 / std**2,
        )

    def _normal_equations(self, state: _Similarity, seen: SkinDepth, gate_m: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Information (7, 7) and pull (7,) on a step, and how much each depth agrees, (N,) in 0..1."""
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
        """(21,) bool: joints around which the skin was measured where it is."""
        apart = np.linalg.norm(self._vertices[seen.vertex][:, None] - self._joints, axis=-1)
        nearest = np.argmin(apart, axis=1)
        agreeing, all_of_them = (np.bincount(nearest, values, N_JOINTS) for values in (agreement, np.ones_like(agreement)))
        return (agreeing >= _ANCHORING) & (agreeing >= _ANCHORING_SHARE * all_of_them)


def _equations(
    normals: np.ndarray, from_centre_m: np.ndarray, centre_m: np.ndarray, offsets_m: np.ndarray | float
) -> tuple[np.ndarray, np.ndarray]:
    """Rows (N, 7) and right sides (N,) of: the points, after a step in place, size and turn, lie in their planes n x = offset."""
    along = (normals * from_centre_m).sum(-1)
    (x, y, z), (a, b, c) = from_centre_m.T, normals.T
    # A turn by w shifts a point p by w x p, whose part along the normal n is w (p x n).
    rows = np.stack([a, b, c, along, y * c - z * b, z * a - x * c, x * b - y * a], -1)
    return rows, offsets_m - along - normals @ centre_m
