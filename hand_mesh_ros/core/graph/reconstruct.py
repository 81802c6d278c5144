"""Reconstructs hands in single images with the graph diffusion. Each hand gets weighted hypotheses of its whole surface.

Reconstruction is slower than the chain for streams (`pipeline`), because it uses many hypotheses and many steps. It stores no
state between images.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hand_mesh_ros.core.cascade.aggregate import weigh
from hand_mesh_ros.core.cascade.joint_stage import JointSampler
from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.detect.detector import HandDetector
from hand_mesh_ros.core.detect.seen_hand import see
from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.geometry.rays import ray_extent, translate_onto_rays
from hand_mesh_ros.core.graph.diffusion import GraphDiffusion
from hand_mesh_ros.core.models.sampler import Report
from hand_mesh_ros.core.place.user_size import given_size
from hand_mesh_ros.core.topology import WRIST
from hand_mesh_ros.core.types import Frame, HandDetection, ScaleSource, SeenHand

# Standard deviation of vertices in the fit. On rendered hands, with a larger value the vertices follow the keypoint errors.
_PULL_M = 0.004


@dataclass(frozen=True)
class Effort:
    """Settings of the computing effort per hand."""

    n: int  # hypotheses
    steps: int  # denoising steps
    seed: int = 0  # seed of the noise
    fit: bool = False  # True to move the joints towards the keypoints at every step


@dataclass(frozen=True)
class Reconstruction:
    """Hypotheses of one left or right hand in the camera frame.

    If `scale_source` is "none", each hypothesis is relative to its own wrist.
    """

    detection: HandDetection
    vertices_m: np.ndarray  # (n, V, 3) float32
    joints_m: np.ndarray  # (n, 21, 3)
    weights: np.ndarray  # (n,) with sum 1: from the agreement with the keypoints and between the skeletons
    reprojection_px: np.ndarray  # (n,) root mean square distance of joints and keypoints in the image
    scale_source: ScaleSource


class HandReconstructor:
    """Detector, joint sampler and graph diffusion for single images. Not thread-safe."""

    def __init__(self, models_dir: Path, config: PipelineConfig) -> None:
        """Loads the models.

        Raises:
            ModelError: if a model is missing, damaged, not a model of this package, or cannot run on `config.device`.
        """
        self._config = config
        # The graph diffusion is loaded first, because its files may be missing.
        self.graph = GraphDiffusion(models_dir, config)
        self._detector = HandDetector(models_dir, config)
        self._sampler = JointSampler(models_dir, config)

    def reconfigure(self, config: PipelineConfig) -> None:
        """Uses other settings from now on, as `HandMeshPipeline.reconfigure`."""
        self._config = config
        self._detector.reconfigure(config)
        self._sampler.reconfigure(config)

    def __call__(self, frame: Frame, effort: Effort, report: Report | None = None) -> list[Reconstruction]:
        """Hands in an image, at most `config.max_hands`.

        Args:
            frame: image and camera; depth is not used. With `config.mirrored_input` the image is mirrored first.
            effort: computing effort for each hand.
            report: called after every step with the step count over all hands. An exception from `report` ends the computation.
        """
        if self._config.mirrored_input:
            frame = frame.mirrored()
        detections = self._detector.detect(frame)

        def report_of(index: int) -> Callable[[int, int], None] | None:
            return report and (lambda step, steps: report(index * steps + step, len(detections) * steps))

        return [self._hand(detection, frame, effort, report_of(index)) for index, detection in enumerate(detections)]

    def _hand(self, detection: HandDetection, frame: Frame, effort: Effort, report: Report | None) -> Reconstruction:
        seen = see(detection, frame)
        hypotheses = self._sampler(seen)
        given = np.arange(effort.n) % len(hypotheses.joints_m)
        vertices_m, residual = self._drawn(hypotheses.joints_m[given], seen, effort, report)
        weights = weigh(hypotheses.log_weight[given], residual, ray_extent(seen.rays))
        if seen.is_mirrored:
            vertices_m = mirror_points(vertices_m)
        joints_m = self.graph.hand.joint_regressor @ vertices_m
        reprojection = np.array([frame.reprojection_px(skeleton_m, detection.keypoints_px) for skeleton_m in joints_m])
        size = given_size(self._config.user_hand_scale)
        root_m = 0.0 if seen.has_place else joints_m[:, [WRIST]]
        vertices_m, joints_m = (size.factor * (points_m - root_m).astype(np.float32) for points_m in (vertices_m, joints_m))
        source = size.source if seen.has_place else "none"
        return Reconstruction(detection, vertices_m, joints_m, weights, reprojection, source)

    def _drawn(
        self, skeletons_m: np.ndarray, seen: SeenHand, effort: Effort, report: Report | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Right hands (n, V, 3) in the camera frame, and their residuals (n,) to the rays in the plane z = 1."""
        graph, n, steps, seed = self.graph, effort.n, effort.steps, effort.seed
        features = seen.features if self._config.image_features else None
        if effort.fit:
            condition, camera_from_palm = graph.condition_of(skeletons_m, seen.rays, seen.confidence, features)
            # The skeletons give the rotation of the hand more accurately than noisy rays.
            given = (condition, camera_from_palm, seen.rays, seen.confidence, steps, seed)
            fit = graph.fit_2d(*given, prior_std_m=_PULL_M, turn_std_rad=0.0, report=report)
            return fit.vertices_m, fit.residual
        vertices_m = graph.reconstruct(skeletons_m, seen.rays, seen.confidence, features, n, steps, seed, report)
        translation, residual = translate_onto_rays(graph.hand.joint_regressor @ vertices_m, seen.rays, seen.confidence)
        return vertices_m + translation[:, None], residual
