"""Changes the shape of a placed hand so that its visible skin is at the measured depth and its joints are on their rays.

`place.by_depth` moves the whole hand without a change of its shape. This module also changes the shape, along the principal
components of hands. `likeliest_hand` solves for shape, size, rotation and position together. Each measured depth constrains the
skin to the tangent plane through the measured point. The prior (the error of the cascade) determines the parts without
measurements, for example the wrist and the hidden side. This is the guidance of HHMR, eq. 4, with one more F: the visible surface
along the normals of the depth.

The equations use the real camera. For a left hand, the components are mirrored and not the depth image, because this needs only a
change of sign and no copy of the image.
"""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from hand_mesh_ros.core.cascade.aggregate import Aggregate
from hand_mesh_ros.core.cascade.mesh_stage import palm_from_hand
from hand_mesh_ros.core.config import SIZE_LIMITS, DepthFitConfig
from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.geometry.rays import KEYPOINT_NOISE, ray_extent
from hand_mesh_ros.core.graph.fit import StepBudget
from hand_mesh_ros.core.graph.likeliest_hand import HandState, RayProblem, SkinPlanes, improved
from hand_mesh_ros.core.hand import components as hand_components
from hand_mesh_ros.core.hand.components import HandComponents
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.hand.wrist_frame import wrist_rotation
from hand_mesh_ros.core.place.by_rays import Location
from hand_mesh_ros.core.place.skin_depth import SkinDepth, measure, vertex_normals
from hand_mesh_ros.core.topology import WRIST
from hand_mesh_ros.core.types import Frame, SeenHand, Side

# Constants without another source were chosen on rendered RGB-D hands, seeds 101 and 102 of `benchmarks.depth`.

# Number of components. Shorter components move the skin by less than the error of the depth.
_N_COMPONENTS = 24
# Error of the cascade along each component, root mean square over the vertices [m]; at most the standard deviation of hands.
_CASCADE_STD_M = 0.0035
# Relative standard deviation of the known size.
_SIZE_STD = 0.03
# Factor of the variance of each ray, because the errors of neighbouring keypoints are correlated.
_RAY_GAIN = 20.0
# Error of the skin [m], error of a depth sensor at 1 m [m] (it grows with the square of the distance, as in `by_depth`), and
# largest number of independent depths of a hand.
_SKIN_STD_M, _SENSOR_STD_M, _INDEPENDENT = 0.003, 0.003, 80.0
# A depth with a residual equal to the gate [m] has the weight 1/4. For each gate, the skin is measured again before the step.
_GATES_M, _STEPS = (0.02, 0.012, 0.008), 1
# With fewer agreeing depths, or a larger mean motion of the joints [m], the hand does not change.
_LEAST_AGREEING, _LONGEST_WAY_M = 8.0, 0.04


class SkinFitter:
    """Fits placed hands, left or right, to the depth of their skin, within the time limit of each hand."""

    def __init__(self, models_dir: Path, hand: HandModel, config: DepthFitConfig) -> None:
        """Loads the components.

        Args:
            models_dir: folder of the model files.
            hand: hand model of the hands.
            config: settings of the fit.

        Raises:
            ModelError: if the file of the components is missing, damaged, or made for another hand model.
        """
        self._hand, self._budget = hand, StepBudget()
        basis_m = HandComponents.load(models_dir / hand_components.FILE_NAME, hand).basis_m[:_N_COMPONENTS].astype(np.float64)
        length_m = np.sqrt((basis_m**2).sum((1, 2)) / basis_m.shape[1])
        self._basis_m = np.minimum(1.0, _CASCADE_STD_M / length_m)[:, None, None] * basis_m  # (k, V, 3) palm of a right hand
        self.reconfigure(config)

    def reconfigure(self, config: DepthFitConfig) -> None:
        """Uses other `live` settings from the next hand on."""
        self._config = config

    def __call__(
        self, hand: Aggregate, location: Location, turn_covariance: np.ndarray, seen: SeenHand, frame: Frame
    ) -> tuple[Aggregate, Location]:
        """The hand with its fitted shape and its new location. Without enough depth or time, both are returned unchanged.

        Args:
            hand: the left or right hand.
            location: location from rays and depth.
            turn_covariance: (3, 3) rad^2 of the rotation of the hand before depth was used.
            seen: keypoints of the hand.
            frame: a calibrated camera with depth.
        """
        rounds = self._budget.affordable(len(_GATES_M), self._config.depth_fit_ms) if self._config.depth_fit else 0
        if not rounds:
            return hand, location
        started_s = time.perf_counter()
        fit = _Fit(self._hand, self._directions(hand, seen.is_mirrored), hand, location, turn_covariance, seen)
        state = fit.solved(frame, rounds)
        self._budget.measured(1e3 * (time.perf_counter() - started_s) / rounds)
        return (hand, location) if state is None else fit.result(state)

    def _directions(self, hand: Aggregate, is_left: bool) -> np.ndarray:
        """Directions (k, V, 3) in camera axes. The length of a direction is the error of the cascade."""
        joints_m = mirror_points(hand.joints_m) if is_left else hand.joints_m
        palm_from_camera, _ = palm_from_hand(joints_m, self._hand)
        directions_m = self._basis_m @ palm_from_camera
        return mirror_points(directions_m) if is_left else directions_m


class _Fit:
    """The equations of one hand, relative to the mean of its joints. The last coefficient is the linearised size."""

    def __init__(
        self,
        model: HandModel,
        directions_m: np.ndarray,
        hand: Aggregate,
        location: Location,
        turn_covariance: np.ndarray,
        seen: SeenHand,
    ) -> None:
        self._hand, self._location, self._faces = hand, location, model.faces
        self._side: Side = "left" if seen.is_mirrored else "right"
        size, middle_m = location.scale.factor, hand.joints_m.mean(0)
        joints_m, self._vertices_m = size * (hand.joints_m - middle_m), size * (hand.vertices_m - middle_m)
        self._directions_m = np.concatenate([size * directions_m, _SIZE_STD * self._vertices_m[None]])
        of_joints_m = np.concatenate([size * (model.joint_regressor @ directions_m), _SIZE_STD * joints_m[None]])
        rays, ray_std = seen.camera_rays, np.sqrt(_RAY_GAIN) * KEYPOINT_NOISE * ray_extent(seen.camera_rays)
        turn_std = float(np.sqrt(np.trace(turn_covariance) / 3))
        self._problem = RayProblem(joints_m, of_joints_m, rays, seen.confidence, ray_std, np.eye(3), turn_std)
        place_m = location.translation_m + size * location.turn @ (middle_m - hand.joints_m[WRIST])
        self._start = HandState(location.turn, place_m, np.zeros(len(of_joints_m)))

    def solved(self, frame: Frame, rounds: int) -> HandState | None:
        """The most likely hand. None if too few depths agree, the size is not human, or the joints have moved too far."""
        state = self._start
        for gate_m in _GATES_M[-rounds:]:
            placed_m = self._placed(state, self._vertices_m, self._directions_m)
            normals = vertex_normals(placed_m, self._faces).astype(np.float64)
            seen = measure(placed_m, normals, frame)
            skin = self._planes(seen, placed_m, normals, gate_m)
            if skin is None:
                return None
            state = improved(state, replace(self._problem, skin=skin), _STEPS)
        way_m = np.linalg.norm(self._joints(state) - self._joints(self._start), axis=-1).mean()
        is_human = SIZE_LIMITS[0] < self._size(state) < SIZE_LIMITS[1]
        return state if is_human and way_m < _LONGEST_WAY_M else None  # also None for NaN

    def result(self, state: HandState) -> tuple[Aggregate, Location]:
        """The hand at average size before its rotation, and its location."""
        size, shift = self._size(state), state.coefficients
        joints_m = (self._problem.joints_m + np.tensordot(shift, self._problem.directions_m, axes=1)) / size
        vertices_m = (self._vertices_m + np.tensordot(shift, self._directions_m, axes=1)) / size
        wrist_m = joints_m[WRIST]
        hand = replace(
            self._hand,
            joints_m=joints_m - wrist_m,
            vertices_m=vertices_m - wrist_m,
            wrist_rotation=wrist_rotation(joints_m, self._side),
            is_fitted=True,
        )
        place_m = state.translation_m + size * state.rotation @ wrist_m
        scale = replace(self._location.scale, factor=size)
        return hand, replace(self._location, translation_m=place_m, scale=scale, turn=state.rotation)

    def _size(self, state: HandState) -> float:
        return float(self._location.scale.factor * (1 + _SIZE_STD * state.coefficients[-1]))

    def _joints(self, state: HandState) -> np.ndarray:
        return self._placed(state, self._problem.joints_m, self._problem.directions_m)

    @staticmethod
    def _placed(state: HandState, points_m: np.ndarray, directions_m: np.ndarray) -> np.ndarray:
        """Points (N, 3) in the camera frame."""
        return (points_m + np.tensordot(state.coefficients, directions_m, axes=1)) @ state.rotation.T + state.translation_m

    def _planes(self, seen: SkinDepth, placed_m: np.ndarray, normals: np.ndarray, gate_m: float) -> SkinPlanes | None:
        """Planes of the measured depths, weighted by their agreement with the skin; None if too few depths agree."""
        normals = normals[seen.vertex]
        offsets_m = (normals * seen.ray).sum(-1) * seen.depth_m
        error = offsets_m - (normals * placed_m[seen.vertex]).sum(-1)
        agreement = 1 / (1 + (error / gate_m) ** 2) ** 2
        total = float(agreement.sum())
        if not total > _LEAST_AGREEING:
            return None
        variance = _SKIN_STD_M**2 + (_SENSOR_STD_M * seen.depth_m**2) ** 2
        precision = min(_INDEPENDENT, total) / total * agreement / variance
        points_m, directions_m = self._vertices_m[seen.vertex], self._directions_m[:, seen.vertex]
        return SkinPlanes(points_m, directions_m, normals, offsets_m, precision)
