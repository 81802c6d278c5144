"""Fits the mesh of a hand to the keypoints that were seen: a few guided steps of the graph diffusion, from the cascade's mesh.

The mesh gets part of the noise and is denoised again while its joints are pulled onto their rays: so it comes nearer to what the
camera saw and stays a hand. One mesh is fitted, that of the main mode; the hypotheses stay as they are.
"""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from hand_mesh_ros.core.cascade.aggregate import Aggregate
from hand_mesh_ros.core.cascade.mesh_stage import palm_from_hand
from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.geometry import rigid
from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.graph.diffusion import GraphDiffusion
from hand_mesh_ros.core.hand.model import bone_lengths
from hand_mesh_ros.core.topology import WRIST
from hand_mesh_ros.core.types import HandDetection

# A fit that moves the joints further than this on average has found another hand, and is thrown away [m].
_LONGEST_WAY_M = 0.1


class MeshFitter:
    """Improves aggregates; remembers how long a step takes, to keep within its time."""

    def __init__(self, models_dir: Path, config: PipelineConfig) -> None:
        """Loads the graph diffusion.

        Raises:
            ModelError: if a file is missing, damaged, or made for another of them.
        """
        self._graph = GraphDiffusion(models_dir, config)
        self._config = config
        self._step_ms = 0.0  # of the last fit

    def reconfigure(self, config: PipelineConfig) -> None:
        """Goes on with another strength or another budget."""
        self._config = config

    def __call__(self, hand: Aggregate, detection: HandDetection, rays: np.ndarray, certainty: np.ndarray) -> Aggregate:
        """The hand with its mesh fitted and `is_fitted`; the very same hand if there is no time for a step or nothing is gained.

        Args:
            hand: main mode of the hypotheses.
            detection: where it appears.
            rays: (21, 2) of its keypoints, undistorted x/z, y/z.
            certainty: (21,) how much each counts, 0..1.
        """
        steps = self._affordable_steps()
        if not steps:
            return hand
        started_s = time.perf_counter()
        is_left = detection.handedness == "left"
        start_m = self._start(hand)
        start_m, rays = (mirror_points(points) if is_left else points for points in (start_m, rays))
        fitted_m = self._fit(start_m, rays, certainty, detection.features, steps)
        fitted_m = mirror_points(fitted_m) if is_left else fitted_m
        self._step_ms = 1e3 * (time.perf_counter() - started_s) / steps
        joints_m = self._graph.hand.joint_regressor @ fitted_m
        way_m = float(np.linalg.norm(joints_m - joints_m.mean(0) - hand.joints_m + hand.joints_m.mean(0), axis=-1).mean())
        if not way_m < _LONGEST_WAY_M:  # so it is written because NaN is no short way either
            return hand
        wrist_m = joints_m[WRIST]
        # Keypoints do not tell size: it stays that of the skeleton before.
        growth = bone_lengths(hand.joints_m).sum() / bone_lengths(joints_m).sum()
        joints_m, fitted_m = growth * (joints_m - wrist_m), growth * (fitted_m - wrist_m)
        return replace(hand, joints_m=joints_m, vertices_m=fitted_m, is_fitted=True)

    def _start(self, hand: Aggregate) -> np.ndarray:
        """Mesh (V, 3) to be fitted: the skeleton and the joints of the surface err apart, so it is moved halfway between them."""
        joints_m = self._graph.directions.regressor @ hand.vertices_m
        return self._graph.directions.with_joints(hand.vertices_m, 0.5 * (hand.joints_m + joints_m))

    def _affordable_steps(self) -> int:
        steps, budget_ms = self._config.fit_steps, self._config.fit_budget_ms
        if budget_ms and self._step_ms:
            steps = min(steps, int(budget_ms / self._step_ms))
        if not steps:
            # A machine that was busy once is asked again, later.
            self._step_ms *= 0.98
        return steps

    def _fit(
        self, vertices_m: np.ndarray, rays: np.ndarray, certainty: np.ndarray, features: np.ndarray | None, steps: int
    ) -> np.ndarray:
        """Mesh (V, 3) of a right hand near `vertices_m`, camera axes, anywhere."""
        graph, config = self._graph, self._config
        joints_m = (graph.hand.joint_regressor @ vertices_m)[None]
        condition, camera_from_palm = graph.condition_of(joints_m, rays, certainty, features if config.image_features else None)
        start_m = rigid.transform(vertices_m[None], *palm_from_hand(joints_m, graph.hand))
        fit = graph.fit_2d(
            condition,
            camera_from_palm,
            rays,
            certainty,
            steps,
            config.seed,
            start_m,
            config.fit_noise,
            prior_std_m=1e-3 * config.fit_pull_mm,
            turn_std_rad=np.deg2rad(config.fit_turn_deg),
            local_std_m=1e-3 * config.fit_local_mm,
        )
        return fit.vertices_m[0]
