"""Bends a placed hand until its visible skin is on the measured depth and its joints are on their rays.

`place.by_depth` moves the hand as a whole. Here the shape changes too, along the principal components of hands, together with
size, rotation and position. `likeliest_hand` solves for all of them. Each measured depth gives one equation: the skin is in the
tangent plane at the measured point. There are two kinds of pairs of skin and measurement. For each visible vertex, `skin_depth`
gives the depth at its pixel. For each measured point, the nearest visible vertex is searched. The second kind also corrects
fingers that are beside their true place. A point beyond the end of its finger gives one more equation, along the skin. The pairs
are found again after each step. A pair with a large distance has a small weight, because the depth may belong to another object.

The prior holds everything that is not measured, as the wrist and the hidden side. The prior is the error of the cascade. This is
the guidance of HHMR, eq. 4, with one more F: the visible surface along the normals of the depth.

The equations use the camera as it is. A left hand has mirrored components instead of a mirrored depth image. To mirror components
is only a change of signs, to mirror an image is a copy.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hand_mesh_ros.core.cascade.aggregate import Aggregate
from hand_mesh_ros.core.cascade.mesh_stage import palm_from_hand
from hand_mesh_ros.core.config import SIZE_LIMITS, DepthFitConfig
from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.geometry.rays import KEYPOINT_NOISE, ray_extent
from hand_mesh_ros.core.graph.fit import StepBudget
from hand_mesh_ros.core.graph.likeliest_hand import HandState, RayProblem, SkinPlanes, stepped
from hand_mesh_ros.core.hand import components as hand_components
from hand_mesh_ros.core.hand.components import HandComponents
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.hand.wrist_frame import wrist_rotation
from hand_mesh_ros.core.place.by_rays import Location
from hand_mesh_ros.core.place.skin_depth import vertex_normals
from hand_mesh_ros.core.place.skin_pairs import SkinPairs, pairs_at_points, pairs_at_vertices
from hand_mesh_ros.core.place.surface_points import surface_points
from hand_mesh_ros.core.topology import WRIST
from hand_mesh_ros.core.types import Frame, SeenHand, Side

# Constants without another source were chosen on rendered RGB-D hands, seeds 111 and 112 of `benchmarks.depth.rgbd`, with both
# sensors.

# Error of the known size, relative.
_SIZE_STD = 0.03
# Errors of neighbouring keypoints are correlated. So the variance of each ray is larger by this factor.
_RAY_GAIN = 20.0
# A vertex with a distance equal to the gate from its plane has the weight 1/4 [m], in each round.
_GATES_M = (0.02, 0.012, 0.008, 0.008)
# A point at this distance from its nearest vertex has no pair [m], in each round. At half of this distance its weight is 1/4.
_REACHES_M = (0.03, 0.02, 0.012, 0.012)
# Vertices nearer to the open end of the mesh have no pairs with points, because the points may belong to a sleeve, and no pairs
# with points beside the skin, because the forearm continues there [m].
_END_M, _END_BESIDE_M = 0.008, 0.03
# With fewer agreeing depths, or after a longer way of the joints on average [m], the hand stays as it was.
_LEAST_AGREEING, _LONGEST_WAY_M = 8.0, 0.04


@dataclass(frozen=True)
class SkinFitSettings:
    """Constants of the fit that the ablation of `benchmarks.depth.shape` varies."""

    n_components: int = 48  # shorter components move the skin by less than the error of the depth
    # Error of the cascade along each component, root mean square over the vertices. It is at most the variation of hands.
    cascade_std_m: float = 0.007
    # All pairs of one kind count as at most this number of independent measurements.
    independent_vertices: float = 80.0
    independent_points: float = 160.0
    independent_beside: float = 35.0  # of the points beside the skin
    # Share of the joints that the fitted mesh gives. The remaining share is the fitted skeleton. Both have independent errors.
    mesh_share: float = 0.75


class SkinFitter:
    """Fits placed hands, left or right, to the depth of their skin, within the time limit of each hand."""

    def __init__(
        self, models_dir: Path, hand: HandModel, config: DepthFitConfig, settings: SkinFitSettings = SkinFitSettings()
    ) -> None:
        """Reads the components.

        Args:
            models_dir: folder of the model files.
            hand: the hand model of the meshes.
            config: settings that a user may change.
            settings: constants of the fit.

        Raises:
            ModelError: if the file of the components is missing, damaged, or made for another hand model.
        """
        self._hand, self._settings, self._budget = hand, settings, StepBudget()
        basis_m = HandComponents.load(models_dir / hand_components.FILE_NAME, hand).basis_m[: settings.n_components]
        length_m = np.sqrt((basis_m.astype(np.float64) ** 2).sum((1, 2)) / basis_m.shape[1])
        share = np.minimum(1.0, settings.cascade_std_m / length_m).astype(np.float32)
        self._basis_m = share[:, None, None] * basis_m  # (k, V, 3) palm of a right hand
        self._of_joints_m = (hand.joint_regressor @ self._basis_m).astype(np.float32)  # (k, 21, 3)
        self._from_end_m = hand.distances_from_end()
        self._nearest_joint = np.linalg.norm(hand.template_m[:, None] - hand.joints_m, axis=-1).argmin(1)
        self.reconfigure(config)

    def reconfigure(self, config: DepthFitConfig) -> None:
        """Uses other `live` settings from the next hand on."""
        self._config = config

    def __call__(
        self, hand: Aggregate, location: Location, turn_covariance: np.ndarray, seen: SeenHand, frame: Frame
    ) -> tuple[Aggregate, Location]:
        """The hand with its fitted shape and its new location. Both are unchanged if depth or time is not sufficient.

        Args:
            hand: the hand, left or right.
            location: from rays and depth.
            turn_covariance: (3, 3) rad^2 of the rotation of the hand before depth turned the hand.
            seen: keypoints of the hand.
            frame: a calibrated camera with depth.
        """
        rounds = self._budget.affordable(len(_GATES_M), self._config.depth_fit_ms) if self._config.depth_fit else 0
        if not rounds:
            return hand, location
        started_s = time.perf_counter()
        parts = self._settings, self._hand, self._directions(hand, seen.is_mirrored), self._from_end_m
        fit = _Fit(*parts, hand, location, turn_covariance, seen)
        solved = fit.solved(frame, rounds)
        self._budget.measured(1e3 * (time.perf_counter() - started_s) / rounds)
        if solved is None:
            return hand, location
        state, pairs = solved
        hand, location = fit.result(state)
        measured = pairs.measured(self._nearest_joint)
        return hand, replace(location, anchored=measured if measured.any() else location.anchored, is_bent=True)

    def _directions(self, hand: Aggregate, is_left: bool) -> tuple[np.ndarray, np.ndarray]:
        """(k, V, 3) of the vertices and (k, 21, 3) of the joints, in camera axes. The lengths are the errors of the cascade."""
        joints_m = mirror_points(hand.joints_m) if is_left else hand.joints_m
        palm_from_camera, _ = palm_from_hand(joints_m, self._hand)
        if is_left:
            palm_from_camera = mirror_points(palm_from_camera)
        turn = palm_from_camera.astype(np.float32)
        # One product of all rows is faster than one product per component.
        of_vertices, of_joints = ((each.reshape(-1, 3) @ turn).reshape(each.shape) for each in (self._basis_m, self._of_joints_m))
        return of_vertices, of_joints


class _Fit:
    """The equations of one hand, about the middle of its joints. The last coefficient is the size, linearised."""

    def __init__(
        self,
        settings: SkinFitSettings,
        model: HandModel,
        directions: tuple[np.ndarray, np.ndarray],
        from_end_m: np.ndarray,
        hand: Aggregate,
        location: Location,
        turn_covariance: np.ndarray,
        seen: SeenHand,
    ) -> None:
        self._settings, self._model, self._from_end_m = settings, model, from_end_m
        self._hand, self._location = hand, location
        self._side: Side = "left" if seen.is_mirrored else "right"
        size, middle_m = location.scale.factor, hand.joints_m.mean(0)
        joints_m, self._vertices_m = size * (hand.joints_m - middle_m), size * (hand.vertices_m - middle_m)
        of_vertices, of_joints = directions
        self._directions_m, of_joints_m = (
            np.concatenate([np.float32(size) * each, _SIZE_STD * points_m[None].astype(np.float32)])
            for each, points_m in ((of_vertices, self._vertices_m), (of_joints, joints_m))
        )
        rays, ray_std = seen.camera_rays, np.sqrt(_RAY_GAIN) * KEYPOINT_NOISE * ray_extent(seen.camera_rays)
        turn_std = float(np.sqrt(np.trace(turn_covariance) / 3))
        self._problem = RayProblem(joints_m, of_joints_m, rays, seen.confidence, ray_std, location.turn, turn_std)
        place_m = location.translation_m + size * location.turn @ (middle_m - hand.joints_m[WRIST])
        self._start = HandState(location.turn, place_m, np.zeros(len(of_joints_m)))

    def solved(self, frame: Frame, rounds: int) -> tuple[HandState, SkinPairs] | None:
        """The most likely hand, and the visible vertices with their depths in the last round.

        None if too few depths agree, if the size is not human, or if the hand became another hand.
        """
        state, points_m = self._start, surface_points(self._placed(self._start), frame)
        for gate_m, reach_m in zip(_GATES_M[-rounds:], _REACHES_M[-rounds:]):
            placed_m = self._placed(state)
            normals = self._normals(placed_m)
            at_vertices = pairs_at_vertices(placed_m, normals, frame, gate_m)
            if not at_vertices.agreement.sum() > _LEAST_AGREEING:
                return None
            at_points = self._pairs_at_points(placed_m, normals, points_m, reach_m)
            state = stepped(state, replace(self._problem, skin=self._planes(at_vertices, *at_points)))
        way_m = np.linalg.norm(self._joints(state) - self._joints(self._start), axis=-1).mean()
        is_human = SIZE_LIMITS[0] < self._size(state) < SIZE_LIMITS[1]
        return (state, at_vertices) if is_human and way_m < _LONGEST_WAY_M else None  # also None for NaN

    def result(self, state: HandState) -> tuple[Aggregate, Location]:
        """The hand at average size before its turn, and its location."""
        size = self._size(state)
        skeleton_m = (self._problem.joints_m + np.tensordot(state.coefficients, self._problem.directions_m, axes=1)) / size
        vertices_m = self._bent(state) / size
        share = self._settings.mesh_share
        joints_m = (1 - share) * skeleton_m + share * self._model.joint_regressor @ vertices_m
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

    def _bent(self, state: HandState) -> np.ndarray:
        """Vertices (V, 3) about the middle of the hand, before rotation and translation."""
        return self._vertices_m + np.tensordot(state.coefficients.astype(np.float32), self._directions_m, axes=1)

    def _placed(self, state: HandState) -> np.ndarray:
        """Vertices (V, 3) in the camera frame."""
        return self._bent(state) @ state.rotation.T + state.translation_m

    def _joints(self, state: HandState) -> np.ndarray:
        """Joints (21, 3) in the camera frame."""
        shape_m = self._problem.joints_m + np.tensordot(state.coefficients, self._problem.directions_m, axes=1)
        return shape_m @ state.rotation.T + state.translation_m

    def _normals(self, placed_m: np.ndarray) -> np.ndarray:
        """Unit normals (V, 3) that point outwards. The faces are those of a right hand."""
        normals = vertex_normals(placed_m, self._model.faces).astype(np.float64)
        return -normals if self._side == "left" else normals

    def _pairs_at_points(
        self, placed_m: np.ndarray, normals: np.ndarray, points_m: np.ndarray, reach_m: float
    ) -> tuple[SkinPairs, SkinPairs]:
        """Pairs of the points in front of the wrist with the skin that faces the camera, as `pairs_at_points`."""
        joints_m = self._model.joint_regressor @ placed_m
        along = (points_m - joints_m[WRIST]) @ wrist_rotation(joints_m, self._side)[:, 2]
        candidates = (self._from_end_m > _END_M) & ((normals * placed_m).sum(-1) < 0)
        on_skin, beside = pairs_at_points(placed_m, normals, candidates, points_m[along > 0], reach_m)
        return on_skin, beside.chosen(self._from_end_m[beside.vertex] > _END_BESIDE_M)

    def _planes(self, at_vertices: SkinPairs, at_points: SkinPairs, beside: SkinPairs) -> SkinPlanes:
        """The equations of all pairs. The pairs of a vertex with the same normal are one equation."""
        settings, n_vertices = self._settings, len(self._vertices_m)
        weight, weighted_m, normals = np.zeros(n_vertices), np.zeros(n_vertices), np.zeros((n_vertices, 3))
        for pairs, independent in ((at_vertices, settings.independent_vertices), (at_points, settings.independent_points)):
            precision = pairs.precision(independent)
            weight += np.bincount(pairs.vertex, precision, n_vertices)
            weighted_m += np.bincount(pairs.vertex, precision * pairs.offset_m, n_vertices)
            normals[pairs.vertex] = pairs.normal
        paired = np.flatnonzero(weight)
        vertex = np.concatenate([paired, beside.vertex])
        return SkinPlanes(
            self._vertices_m[vertex],
            self._directions_m[:, vertex],
            np.concatenate([normals[paired], beside.normal]),
            np.concatenate([weighted_m[paired] / weight[paired], beside.offset_m]),
            np.concatenate([weight[paired], beside.precision(settings.independent_beside)]),
        )
