"""Fits the mesh of a hand to the detected keypoints: a few guided steps of the graph diffusion, from the mesh of the cascade.

Part of the noise is added to the mesh. Then the mesh is denoised while the guidance moves its joints towards their rays. So the
mesh agrees better with the image and stays a plausible hand. Only the mesh of the main mode is fitted. The hypotheses do not
change.
"""

import time
from collections import deque
from pathlib import Path

import numpy as np

from hand_mesh_ros.core.cascade.aggregate import Aggregate
from hand_mesh_ros.core.cascade.mesh_stage import palm_from_hand
from hand_mesh_ros.core.config import FitConfig
from hand_mesh_ros.core.geometry import rigid
from hand_mesh_ros.core.graph.diffusion import GraphDiffusion
from hand_mesh_ros.core.hand.model import bone_lengths
from hand_mesh_ros.core.models.onnx_model import OnnxModel
from hand_mesh_ros.core.topology import WRIST
from hand_mesh_ros.core.types import SeenHand

# Largest mean motion of the joints. After a larger motion, the fit has found another hand, and its result is not used [m].
_LONGEST_WAY_M = 0.1


class StepBudget:
    """Computes how many steps are possible in a time budget, from the fastest recent step.

    With the fastest step, one slow step does not stop the fit.
    """

    # Number of fits in the measurement. Number of images without a fit before one step is tried: the computer may be free again.
    _REMEMBERED, _IMAGES_TO_RETRY = 5, 30

    def __init__(self) -> None:
        """Starts without a measurement. The first fit uses all requested steps."""
        self._step_ms: deque[float] = deque(maxlen=self._REMEMBERED)
        self._is_cold, self._skipped = True, 0

    def affordable(self, steps: int, budget_ms: float) -> int:
        """Number of steps, at most `steps`, that are possible in `budget_ms`. A budget of 0 means no limit."""
        if budget_ms and self._step_ms:
            steps = min(steps, int(budget_ms / min(self._step_ms)))
        self._skipped = 0 if steps else self._skipped + 1
        return 1 if self._skipped > self._IMAGES_TO_RETRY else steps

    def measured(self, step_ms: float) -> None:
        """Stores the time of a step. The first time is not used, because the first step includes the set-up of the models."""
        if self._is_cold:
            self._is_cold = False
            return
        if self._skipped:  # the measurements before the pause are too old
            self._step_ms.clear()
            self._skipped = 0
        self._step_ms.append(step_ms)


class MeshFitter:
    """Fits the mesh of right hands, within the time budget of each hand."""

    def __init__(self, models_dir: Path, config: FitConfig) -> None:
        """Loads the graph diffusion.

        Raises:
            ModelError: if a file is missing, damaged, or does not fit the other files.
        """
        self._graph = GraphDiffusion(models_dir, config)
        self._config = config
        self._budget = StepBudget()

    @property
    def models(self) -> tuple[OnnxModel, ...]:
        """The loaded model files."""
        return self._graph.models

    def reconfigure(self, config: FitConfig) -> None:
        """Uses other `live` settings from now on."""
        self._config = config

    def __call__(self, hand: Aggregate, seen: SeenHand) -> Aggregate:
        """The hand with its mesh fitted and `is_fitted`; the same hand if there is no time for a step or the fit fails.

        Args:
            hand: main mode of the hypotheses, a right hand.
            seen: keypoints and image features of the hand.
        """
        steps = self._budget.affordable(self._config.fit_steps, self._config.fit_budget_ms)
        if not steps:
            return hand
        started_s = time.perf_counter()
        fitted_m = self._fit(self._start(hand), seen, steps)
        self._budget.measured(1e3 * (time.perf_counter() - started_s) / steps)
        joints_m = self._graph.hand.joint_regressor @ fitted_m
        way_m = float(np.linalg.norm(joints_m - joints_m.mean(0) - hand.joints_m + hand.joints_m.mean(0), axis=-1).mean())
        if not way_m < _LONGEST_WAY_M:  # also true for NaN
            return hand
        wrist_m = joints_m[WRIST]
        # Keypoints do not show the size of a hand: the size of the skeleton before the fit stays.
        growth = bone_lengths(hand.joints_m).sum() / bone_lengths(joints_m).sum()
        return hand.with_shape(growth * (joints_m - wrist_m), growth * (fitted_m - wrist_m))

    def _start(self, hand: Aggregate) -> np.ndarray:
        """Start mesh (V, 3) of the fit, moved halfway towards the skeleton.

        The skeleton and the joints of the surface have different errors, so their mean is a better start.
        """
        joints_m = self._graph.directions.regressor @ hand.vertices_m
        return self._graph.directions.with_joints(hand.vertices_m, 0.5 * (hand.joints_m + joints_m))

    def _fit(self, vertices_m: np.ndarray, seen: SeenHand, steps: int) -> np.ndarray:
        """Mesh (V, 3) of a right hand near `vertices_m`, in camera axes, with any origin."""
        graph, config = self._graph, self._config
        joints_m = (graph.hand.joint_regressor @ vertices_m)[None]
        features = seen.features if config.image_features else None
        condition, camera_from_palm = graph.condition_of(joints_m, seen.rays, seen.confidence, features)
        start_m = rigid.transform(vertices_m[None], *palm_from_hand(joints_m, graph.hand))
        fit = graph.fit_2d(
            condition,
            camera_from_palm,
            seen.rays,
            seen.confidence,
            steps,
            config.seed,
            start_m,
            config.fit_noise,
            prior_std_m=1e-3 * config.fit_pull_mm,
            turn_std_rad=np.deg2rad(config.fit_turn_deg),
            local_std_m=1e-3 * config.fit_local_mm,
        )
        return fit.vertices_m[0]
