"""Reconstructs hands in single images with the graph diffusion. Each hand gets weighted hypotheses of its whole surface.

Reconstruction is slower than the chain for streams (`pipeline`), because it uses many hypotheses and many steps. It stores no
state between images. With depth, each hypothesis is placed on the depth and bent to it, as a hand of the stream.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hand_mesh_ros.core.cascade.aggregate import Aggregate, Spread, weigh
from hand_mesh_ros.core.cascade.joint_stage import JointSampler
from hand_mesh_ros.core.cascade.keypoints import KeypointCorrector
from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.detect.detector import HandDetector
from hand_mesh_ros.core.detect.seen_hand import see
from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.geometry.rays import ray_extent, translate_onto_rays
from hand_mesh_ros.core.graph.diffusion import GraphDiffusion
from hand_mesh_ros.core.graph.skin_fit import SkinFitter
from hand_mesh_ros.core.hand.wrist_frame import wrist_rotation
from hand_mesh_ros.core.models.sampler import Report
from hand_mesh_ros.core.place import by_rays
from hand_mesh_ros.core.place.by_depth import Evidence, anchor
from hand_mesh_ros.core.place.user_size import Scale, given_size
from hand_mesh_ros.core.topology import N_JOINTS, WRIST
from hand_mesh_ros.core.types import Frame, HandDetection, ScaleSource, SeenHand, Side

# Standard deviation of vertices in the fit. On rendered hands, with a larger value the vertices follow the keypoint errors.
_PULL_M = 0.004
# Errors of a hypothesis before depth is used: of its joints relative to the hand [m] and of its rotation [rad], per axis.
_JOINT_STD_M, _TURN_STD = 0.008, 0.12


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
    # (n,) with sum 1: from the agreement with the keypoints and between the skeletons. If `scale_source` is "depth", 0 for
    # hypotheses that do not agree with the depth.
    weights: np.ndarray
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
        self._corrector = KeypointCorrector(models_dir, config)
        self._sampler = JointSampler(models_dir, config)
        self._skin_fitter = SkinFitter(models_dir, self.graph.hand, _without_limit(config))

    def reconfigure(self, config: PipelineConfig) -> None:
        """Uses other settings from now on, as `HandMeshPipeline.reconfigure`."""
        self._config = config
        self._detector.reconfigure(config)
        self._sampler.reconfigure(config)
        self._skin_fitter.reconfigure(_without_limit(config))

    def __call__(self, frame: Frame, effort: Effort, report: Report | None = None) -> list[Reconstruction]:
        """Hands in an image, at most `config.max_hands`.

        Args:
            frame: image and camera, with or without depth. With `config.mirrored_input` the image is mirrored first.
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
        detection = self._corrector(detection)
        seen = see(detection, frame)
        hypotheses = self._sampler(seen)
        given = np.arange(effort.n) % len(hypotheses.joints_m)
        vertices_m, residual = self._drawn(hypotheses.joints_m[given], seen, effort, report)
        weights = weigh(hypotheses.log_weight[given], residual, ray_extent(seen.rays))
        if seen.is_mirrored:
            vertices_m = mirror_points(vertices_m)
        size = given_size(self._config.user_hand_scale)
        on_depth = [self._onto_depth(each_m, seen, frame, size) for each_m in vertices_m] if _has_depth(seen, frame) else []
        agrees = np.array([each_m is not None for each_m in on_depth])
        vertices_m = size.factor * vertices_m.astype(np.float64)
        source = size.source if seen.has_place else "none"
        if agrees.any():
            source, weights = "depth", _without_others(weights, agrees)
            vertices_m = np.stack([each_m if other_m is None else other_m for each_m, other_m in zip(vertices_m, on_depth)])
        joints_m = self.graph.hand.joint_regressor @ vertices_m
        reprojection = np.array([frame.reprojection_px(skeleton_m, detection.keypoints_px) for skeleton_m in joints_m])
        root_m = 0.0 if seen.has_place else joints_m[:, [WRIST]]
        vertices_m, joints_m = ((points_m - root_m).astype(np.float32) for points_m in (vertices_m, joints_m))
        return Reconstruction(detection, vertices_m, joints_m, weights, reprojection, source)

    def _onto_depth(self, vertices_m: np.ndarray, seen: SeenHand, frame: Frame, size: Scale) -> np.ndarray | None:
        """The hand (V, 3) in the camera frame after depth has placed and bent it. None if depth does not agree with the hand.

        Args:
            vertices_m: (V, 3) of a left or right hand of average size in the camera frame.
            seen: keypoints of the hand.
            frame: a calibrated camera with depth.
            size: size of the hand.
        """
        hand = _as_aggregate(vertices_m, self.graph.hand.joint_regressor @ vertices_m, "left" if seen.is_mirrored else "right")
        rays, joint_std_m, turn_covariance = seen.camera_rays, np.full(N_JOINTS, _JOINT_STD_M), _TURN_STD**2 * np.eye(3)
        location = by_rays.locate(hand.joints_m, rays, seen.confidence, joint_std_m, size, gain=1.0)
        shape = (hand.joints_m, hand.vertices_m, self.graph.hand.faces)
        location = anchor(Evidence(*shape, rays, seen.confidence, joint_std_m, turn_covariance, 1.0), location, frame)
        if not location.is_anchored:
            return None
        hand, location = self._skin_fitter(hand, location, turn_covariance, seen, frame)
        return location.scale.factor * hand.vertices_m @ location.turn.T + location.translation_m

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


def _without_limit(config: PipelineConfig) -> PipelineConfig:
    """The settings without a time limit of the fit to depth: nobody waits for the next image."""
    return replace(config, depth_fit_ms=0.0)


def _has_depth(seen: SeenHand, frame: Frame) -> bool:
    return frame.depth_m is not None and seen.has_place


def _without_others(weights: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Weights (n,) with sum 1 that are 0 for the hypotheses that are not chosen."""
    weights = np.where(chosen, weights, 0.0)
    # The chosen hypotheses may all have had a weight of 0.
    return weights / weights.sum() if weights.sum() > 0 else chosen / chosen.sum()


def _as_aggregate(vertices_m: np.ndarray, joints_m: np.ndarray, side: Side) -> Aggregate:
    """One hypothesis as an aggregate without spread."""
    wrist_m, none = joints_m[WRIST], np.zeros((N_JOINTS, 3, 3))
    spread = Spread(1.0, none, none, np.zeros((3, 3)), np.zeros(len(vertices_m)))
    alone = np.ones(1), np.zeros(1, int), joints_m[None]
    return Aggregate(joints_m - wrist_m, vertices_m - wrist_m, wrist_rotation(joints_m, side), spread, *alone)
