"""Computes the estimate of one detected hand. This module stores no state between images; `pipeline` does.

`SeenHand` -> hypotheses -> main mode -> its mesh -> aggregate of a right hand -> mirrored back -> covariances -> place
-> fit to depth -> `HandEstimate`
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hand_mesh_ros.core.cascade.aggregate import Aggregate, aggregate, agreed, main_mode, weigh
from hand_mesh_ros.core.cascade.joint_stage import JointSampler
from hand_mesh_ros.core.cascade.keypoints import KeypointCorrector
from hand_mesh_ros.core.cascade.mesh_stage import MeshDecoder
from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.detect.seen_hand import see
from hand_mesh_ros.core.geometry.rays import ray_extent, translate_onto_rays
from hand_mesh_ros.core.graph.fit import MeshFitter
from hand_mesh_ros.core.graph.skin_fit import SkinFitter
from hand_mesh_ros.core.hand import components as hand_components
from hand_mesh_ros.core.hand import model as hand_model
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.models.model_id import cascade_id, model_id
from hand_mesh_ros.core.place import by_rays
from hand_mesh_ros.core.place.by_depth import Evidence, anchor
from hand_mesh_ros.core.place.by_rays import Location
from hand_mesh_ros.core.place.depth_agreement import depth_ratio
from hand_mesh_ros.core.place.user_size import Scale, SizeMeasure, given_size
from hand_mesh_ros.core.stage_timer import StageTimer
from hand_mesh_ros.core.track.shape import Shape
from hand_mesh_ros.core.types import Frame, HandDetection, HandEstimate, Hypotheses, SeenHand, TrackState
from hand_mesh_ros.core.uncertainty import error_signs
from hand_mesh_ros.core.uncertainty.calibration import FILE_NAME as CALIBRATION_FILE
from hand_mesh_ros.core.uncertainty.calibration import Calibration, HandCovariances
from hand_mesh_ros.core.uncertainty.estimate import to_estimate


@dataclass(frozen=True)
class Answer:
    """Result of one hand in one image."""

    estimate: HandEstimate
    size_seen: SizeMeasure | None  # size of the hand from the depth of this image only
    depth_ratio: float | None  # measured depth divided by the distance of the hand at average size; None without depth
    by_rays: Shape | None  # the hand without the depth of this image; None if depth had no influence on the estimate


class HandChain:
    """All stages after the detector, for one hand.

    The same input gives the same result, except if the time limit reduces the steps of the fit.
    """

    def __init__(self, models_dir: Path, config: PipelineConfig, calibration: Calibration | None = None) -> None:
        """Loads the models.

        Args:
            models_dir: folder of the model files.
            config: settings of the stages.
            calibration: calibration of the uncertainty; None for the file in the folder of the models.

        Raises:
            ModelError: if a file is missing, damaged, not a file of this package, or cannot run on `config.device`.
        """
        self.config = config
        hand = HandModel.load(models_dir / hand_model.FILE_NAME)
        self._joint_shares = hand.joint_shares()
        self.sampler = JointSampler(models_dir, config)
        self.decoder = MeshDecoder(models_dir, config, self.sampler.metadata["view_space"])
        self.fitter = MeshFitter(models_dir, config) if config.fit_enabled else None
        self.corrector = KeypointCorrector(models_dir, config)
        models = (*self.sampler.models, *self.decoder.models, *(self.fitter.models if self.fitter else ()))
        models += self.corrector.models
        # Name and licence of each model file that is not free for commercial use.
        self.restrictions = tuple(
            f"{model.path.name} is {model.metadata['licence']}" for model in models if model.is_non_commercial
        )
        # The published licence is that of the surface and of all weights.
        self.hand_model = replace(hand, licence="; ".join((hand.licence, *self.restrictions)))
        # A folder of own models may lack the components. Then depth moves and turns a hand, but does not bend its fingers.
        components = models_dir / hand_components.FILE_NAME
        self.skin_fitter = SkinFitter(models_dir, self.hand_model, config) if components.exists() else None
        self._components = components
        self.model_id = model_id(models_dir, with_graph=config.fit_enabled)
        self.calibration = calibration or Calibration.load(models_dir / CALIBRATION_FILE, cascade_id(models_dir))

    @property
    def depth_fit_trouble(self) -> str:
        """Why depth does not bend the fingers although `depth_fit` is on; empty if depth bends them or `depth_fit` is off."""
        if self.skin_fitter or not self.config.depth_fit:
            return ""
        return (
            f"depth does not bend the fingers: {self._components} is missing. Copy the file from the models of the package, "
            "or set depth_fit to false"
        )

    def reconfigure(self, config: PipelineConfig) -> None:
        """Uses other `live` settings from now on."""
        self.config = config
        self.sampler.reconfigure(config)
        self.decoder.reconfigure(config)
        if self.skin_fitter:
            self.skin_fitter.reconfigure(config)
        if self.fitter:
            self.fitter.reconfigure(config)

    def answer(
        self,
        detection: HandDetection,
        frame: Frame,
        size: Scale | None = None,
        state: TrackState = "new",
        timer: StageTimer | None = None,
    ) -> Answer:
        """Estimate of one hand.

        Args:
            detection: the hand.
            frame: camera and depth of the image.
            size: current estimate of the size of the user's hands; None for the setting `user_hand_scale`.
            state: state of the track of the hand.
            timer: adds the time of each stage.
        """
        timer, size = timer or StageTimer(), size or given_size(self.config.user_hand_scale)
        with timer.stage("locate"):
            detection = self.corrector(detection)
            seen = see(detection, frame)
        hand, covariances = self.shape(seen, timer)
        with timer.stage("locate"):
            location = self.place(hand, covariances, seen, frame, size)
            ratio = _depth_ratio(hand, location, detection, frame)
            by_rays = _by_rays(hand, location, size) if location.is_anchored else None
        if self.skin_fitter and self.config.depth_fit and location.is_anchored:
            with timer.stage("depth_fit"):
                hand, location = self.skin_fitter(hand, location, covariances.rotation, seen, frame)
        with timer.stage("aggregate"):
            estimate = to_estimate(detection, frame, hand, covariances, location, state)
        return Answer(replace(estimate, timings_ms=dict(timer.ms)), location.size_seen, ratio, by_rays)

    def shape(self, seen: SeenHand, timer: StageTimer) -> tuple[Aggregate, HandCovariances]:
        """The hand, left or right, at average size, and the covariances of its errors."""
        hand = self.aggregate(seen, timer)
        with timer.stage("locate"):
            # The signs are computed before the fit, as in the calibration. After a fit, all hands look consistent.
            translations_m, residuals = translate_onto_rays(hand.joints_m[None], seen.rays, seen.confidence)
            signs = error_signs.signs(seen, hand.joints_m, residuals[0])
            hand = replace(hand, from_rays_m=translations_m[0])
        if self.fitter:
            with timer.stage("fit"):
                hand = self.fitter(hand, seen)
        if seen.is_mirrored:
            hand = hand.mirrored()
        with timer.stage("locate"):
            return hand, self.calibration.covariances(hand.spread, signs)

    def aggregate(self, seen: SeenHand, timer: StageTimer) -> Aggregate:
        """The right hand at average size, computed from its hypotheses."""
        with timer.stage("joints"):
            hypotheses = self.sampler(seen)
        with timer.stage("locate"):
            translations_m, residuals = translate_onto_rays(hypotheses.joints_m, seen.rays, seen.confidence)
        with timer.stage("aggregate"):
            weights = weigh(hypotheses.log_weight, residuals, ray_extent(seen.rays))
        return self.combine(hypotheses, weights, translations_m, timer)

    def combine(self, hypotheses: Hypotheses, weights: np.ndarray, translations_m: np.ndarray, timer: StageTimer) -> Aggregate:
        """The main mode of hypotheses with weights (K,) and translations (K, 3) in the camera, with its mesh and spread."""
        with timer.stage("aggregate"):
            main = main_mode(hypotheses.joints_m, weights)
        with timer.stage("mesh"):
            vertices_m = self.decoder.mean_mesh(hypotheses, main)
        with timer.stage("aggregate"):
            main, vertices_m = agreed(main, vertices_m, self.hand_model.joint_regressor, self._joint_shares)
            return aggregate(hypotheses, main, vertices_m, translations_m, self._joint_shares)

    def place(self, hand: Aggregate, covariances: HandCovariances, seen: SeenHand, frame: Frame, size: Scale) -> Location:
        """Position, size and rotation of the hand, left or right.

        Args:
            hand: hand at average size.
            covariances: covariances of the errors of the hand.
            seen: keypoints of the hand.
            frame: camera and depth.
            size: current estimate of the size of the user's hands.
        """
        joint_std_m = np.sqrt(np.trace(covariances.relative_m2, axis1=1, axis2=2) / 3)
        rays, gain = seen.camera_rays, self.calibration.location_gain
        if not seen.has_place:
            size = replace(size, source="none")
        location = by_rays.locate(hand.joints_m, rays, seen.confidence, joint_std_m, size, gain, hand.from_rays_m)
        if frame.depth_m is None or not seen.has_place:
            return location
        shape = (hand.joints_m, hand.vertices_m, self.hand_model.faces)
        return anchor(Evidence(*shape, rays, seen.confidence, joint_std_m, covariances.rotation, gain), location, frame)


def _depth_ratio(hand: Aggregate, location: Location, detection: HandDetection, frame: Frame) -> float | None:
    """As `depth_agreement.depth_ratio`. The size from a fit to depth is the same ratio, and has a smaller error."""
    if frame.depth_m is None or not frame.is_calibrated:
        return None
    if location.size_seen:
        return float(np.exp(location.size_seen.log_size))
    return depth_ratio(hand.joints_m + location.from_rays_m, detection.keypoints_px, frame)


def _by_rays(hand: Aggregate, location: Location, size: Scale) -> Shape:
    """The hand at the place that its rays and the known size give."""
    position = size.factor * location.from_rays_m
    points = size.factor * np.concatenate([hand.joints_m, hand.vertices_m])
    return Shape(position, hand.wrist_rotation, points @ hand.wrist_rotation)
