"""The whole chain: a frame in, hands out. Stages meet here only; what is remembered from image to image is the tracks."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hand_mesh_ros.core.cascade import aggregate
from hand_mesh_ros.core.cascade.aggregate import Aggregate
from hand_mesh_ros.core.cascade.joint_stage import JointSampler
from hand_mesh_ros.core.cascade.mesh_stage import MeshDecoder
from hand_mesh_ros.core.config import PipelineConfig, live_changes
from hand_mesh_ros.core.detect.detector import HandDetector
from hand_mesh_ros.core.detect.example_view import example_view
from hand_mesh_ros.core.detect.search import Search
from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.geometry.rays import ray_extent, translate_onto_rays
from hand_mesh_ros.core.graph.fit import MeshFitter
from hand_mesh_ros.core.hand import model as hand_model
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.models.model_id import model_id
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.place import by_rays
from hand_mesh_ros.core.place.by_depth import Evidence, anchor
from hand_mesh_ros.core.place.by_rays import Location
from hand_mesh_ros.core.place.user_size import SizeMeasure, UserScale, given_size
from hand_mesh_ros.core.track.association import duplicates
from hand_mesh_ros.core.track.smooth import HandSmoother
from hand_mesh_ros.core.track.tracker import Tracker
from hand_mesh_ros.core.types import Frame, HandDetection, HandEstimate, Hypotheses, TrackState
from hand_mesh_ros.core.uncertainty import error_signs
from hand_mesh_ros.core.uncertainty.calibration import FILE_NAME as CALIBRATION_FILE
from hand_mesh_ros.core.uncertainty.calibration import Calibration, Stated
from hand_mesh_ros.core.uncertainty.estimate import to_estimate

# Of every answer; "fit" is one more where it is enabled.
STAGES = ("detect", "joints", "mesh", "locate", "aggregate", "track")
# After a longer pause of the images whatever is where a hand was may be another hand [s].
_LONGEST_GAP_S = 2.0


class HandMeshPipeline:
    """Hands of a stream of images. `estimate` is the whole of it; not safe to call from two threads at once."""

    def __init__(self, config: PipelineConfig, calibration: Calibration | None = None) -> None:
        """Loads the models.

        Args:
            config: settings of the chain.
            calibration: of the uncertainty; None for the one that lies beside the models.

        Raises:
            ModelError: if a model is missing, foreign or cannot run on `config.device`.
        """
        self.config, self._own_calibration = config, calibration
        self.load()
        self.timings_ms: dict[str, float] = {}  # of the last image, also when it showed no hand
        self._tracker = Tracker(config.max_hands, 1e-3 * config.predict_ms, config.one_per_side)
        self._smoothers: dict[str, HandSmoother] = {}  # of the hands of the last image, by id
        self.user_scale = UserScale(given_size(config.user_hand_scale))
        self.sizes_seen: list[SizeMeasure] = []  # of the hands of the last image, by depth
        self._last: tuple[float, tuple[int, ...]] = (-np.inf, ())
        self._search = Search(config)

    @classmethod
    def default(cls, device: str = "auto", **overrides: Any) -> "HandMeshPipeline":
        """The pipeline with the shipped models, warm.

        Args:
            device: "auto", "cpu", "cuda" or "tensorrt".
            overrides: further fields of `PipelineConfig`.

        Raises:
            ModelError: if a model is missing, foreign or cannot run on `device`.
            ValueError: if a setting is out of its limits.
        """
        pipeline = cls(PipelineConfig(device=device, **overrides))
        pipeline.warm_up()
        return pipeline

    def load(self) -> None:
        """Loads the models again after `unload`, as the files are now.

        Raises:
            ModelError: if one is missing, foreign or cannot run on `config.device`; those before it stay loaded.
        """
        models_dir = Path(self.config.models_dir) if self.config.models_dir else default_models_dir()
        self.hand_model = HandModel.load(models_dir / hand_model.FILE_NAME)
        self.detector = HandDetector(models_dir, self.config)
        self.sampler = JointSampler(models_dir, self.config)
        self.decoder = MeshDecoder(models_dir, self.config, self.sampler.metadata["view_space"])
        self.fitter = MeshFitter(models_dir, self.config) if self.config.fit_enabled else None
        self.model_id = model_id(models_dir)
        self._calibration = self._own_calibration or Calibration.load(models_dir / CALIBRATION_FILE, self.model_id)

    def unload(self) -> None:
        """Lets the models go, and the hands; the size that was given stays, and no hand to come has the id of an earlier one."""
        self.detector = self.sampler = self.decoder = self.fitter = None
        self.reset()

    def warm_up(self) -> None:
        """Runs every model once, so that the first image does not pay for their set-up."""
        frame, example = example_view(self.hand_model)
        settings = self.config
        # Of the batch size of real images, but not for as many steps, which may take a minute.
        self.reconfigure(replace(settings, joint_steps=1, mesh_steps=1, fit_steps=1))
        try:
            self.detector.detect(frame, [example])
            self.estimate_hand(example, frame)
        finally:
            self.reconfigure(settings)

    def reconfigure(self, config: PipelineConfig) -> None:
        """Goes on with other settings from the next image on; hands that are followed keep their ids and their past.

        Another `user_hand_scale` takes the place of what is known of the size; another `mirrored_input` forgets the hands.

        Raises:
            ValueError: if it differs in a field that is not `live`, since the models would have to be loaded again.
        """
        changed, self.config = live_changes(self.config, config), config
        stages = (self.detector, self._search, self.sampler, self.decoder, self.fitter, *self._smoothers.values())
        for stage in filter(None, stages):
            stage.reconfigure(config)
        self._tracker.predict_s = 1e-3 * config.predict_ms
        if "user_hand_scale" in changed:
            self.user_scale = UserScale(given_size(config.user_hand_scale))
        if "mirrored_input" in changed:
            self.reset()

    def reset(self) -> None:
        """Forgets the hands that were followed, and how large they seemed."""
        self._tracker.forget()
        self._search.reset()
        self.user_scale.reset()
        self._smoothers = {}
        self._last = (-np.inf, ())

    def estimate(self, frame: Frame, alone: bool = False) -> list[HandEstimate]:
        """The hands of the next image, at most `config.max_hands`, smoothed over the images before.

        A hand that was followed and is not seen is "predicted" for `config.predict_ms`; then it is lost: missing from the answer.
        An image older than the last one, 2 s younger, or of another size starts a new stream: hands are not followed into it.

        Args:
            frame: image and camera. With `config.mirrored_input` it is turned back first: the answer is of the turned-back image.
            alone: no other images will follow soon: this one is searched for hands of all sizes, however long it takes.
        """
        if self.config.mirrored_input:
            frame = frame.mirrored()
        started_s = time.perf_counter()
        if not 0 <= frame.stamp_s - self._last[0] <= _LONGEST_GAP_S or self._last[1] not in ((), frame.rgb.shape):
            self.reset()
        self._last = (frame.stamp_s, frame.rgb.shape)
        self.timings_ms = dict.fromkeys((*STAGES, "total"), 0.0)
        with self._timed("detect"):
            hands = self._tracker.update(self._detect(frame, alone), frame.stamp_s)
        self.sizes_seen = []
        seen = {hand.track_id: self.estimate_hand(hand, frame, state) for hand, state in hands if state != "predicted"}
        self.user_scale.step(self.sizes_seen, frame.stamp_s)
        with self._timed("track"):
            estimates = self._tracked([hand for hand, _ in hands], seen, frame)
        self.timings_ms["total"] = 1e3 * (time.perf_counter() - started_s)
        return estimates

    def _detect(self, frame: Frame, alone: bool) -> list[HandDetection]:
        """Hands of the next image that are beyond doubt; those followed have their ids."""
        following = self._tracker.following_at(frame.stamp_s)
        if alone:
            return self.detector.detect(frame, following)
        plan = self._search.plan(frame, following, self._tracker.missing)
        hands = self.detector.detect(frame, [*following, *self._search.waiting], plan.is_due, plan)
        return self._search.settle(plan, hands)

    def _tracked(self, hands: Sequence[HandDetection], seen: Mapping[str, HandEstimate], frame: Frame) -> list[HandEstimate]:
        """The answer in the order of `hands`: seen ones smoothed, no two in one place, the others predicted."""
        for track_id in duplicates(list(seen.values())):
            self._tracker.drop(track_id)
            hands = [hand for hand in hands if hand.track_id != track_id]
        # Whatever is not among the hands is lost, and with it its past.
        self._smoothers = {hand.track_id: self._smoothers.get(hand.track_id) or HandSmoother(self.config) for hand in hands}
        estimates = []
        for hand in hands:
            smoother, estimate = self._smoothers[hand.track_id], seen.get(hand.track_id)
            estimate = smoother.predict(hand, frame) if estimate is None else smoother.step(estimate, frame)
            estimates.append(replace(estimate, timings_ms=self.timings_ms))
        return estimates

    def estimate_hand(self, detection: HandDetection, frame: Frame, state: TrackState = "new") -> HandEstimate:
        """Everything after the detector, for one hand.

        Args:
            detection: the hand.
            frame: camera and depth; the image itself is only used by samplers that look at it.
            state: of its track.
        """
        hand, skeletons_m = self.aggregate_hand(detection, frame)
        with self._timed("locate"):
            stated = self._calibration.state(hand.spread, self.signs_of_error(hand, detection, frame))
            location = self.locate_hand(hand, stated, detection, frame)
        with self._timed("aggregate"):
            return to_estimate(detection, frame, hand, stated, location, skeletons_m, state, self.timings_ms)

    def signs_of_error(self, hand: Aggregate, detection: HandDetection, frame: Frame) -> np.ndarray:
        """`error_signs.signs` of a hand of known shape."""
        return error_signs.signs(detection, hand.joints_m, *by_rays.rays_of(detection, frame))

    def locate_hand(self, hand: Aggregate, stated: Stated, detection: HandDetection, frame: Frame) -> Location:
        """Place and size of a hand of known shape and doubt."""
        joint_std_m = np.sqrt(np.trace(stated.relative_m2, axis1=1, axis2=2) / 3)
        rays, certainty = by_rays.rays_of(detection, frame)
        gain, known = self._calibration.location_gain, self.user_scale.known
        if not frame.is_calibrated:
            known = replace(known, source="none")
        location = by_rays.locate(hand.joints_m, rays, certainty, joint_std_m, known, gain)
        if frame.depth_m is None or not frame.is_calibrated:
            return location
        shape = (hand.joints_m, hand.vertices_m, self.hand_model.faces)
        location = anchor(Evidence(*shape, rays, certainty, joint_std_m, stated.rotation, gain), location, frame)
        if location.size_seen:
            # No more than hands in an image, for callers that have no images in a row.
            self.sizes_seen = [*self.sizes_seen, location.size_seen][-self.config.max_hands :]
        return location

    def aggregate_hand(self, detection: HandDetection, frame: Frame) -> tuple[Aggregate, np.ndarray]:
        """The shape of one hand, and its hypotheses (K, 21, 3) each placed in the camera frame; both at average adult size."""
        with self._timed("joints"):
            hypotheses = self.sampler(detection, frame)
        with self._timed("mesh"):
            vertices_m = self._decode(hypotheses, detection)
        with self._timed("locate"):
            rays, certainty = by_rays.rays_of(detection, frame)
            translations_m, residuals = translate_onto_rays(hypotheses.joints_m, rays, certainty)
        with self._timed("aggregate"):
            weights = aggregate.weigh(hypotheses.log_weight, residuals, ray_extent(rays))
            hand = aggregate.aggregate(hypotheses, vertices_m, weights, detection.handedness)
        if self.fitter:
            with self._timed("fit"):
                hand = self.fitter(hand, detection, rays, certainty)
        return hand, hypotheses.joints_m + translations_m[:, None]

    def _decode(self, hypotheses: Hypotheses, detection: HandDetection) -> np.ndarray:
        """Meshes (K, V, 3) of the hypotheses; the decoder knows right hands only."""
        if detection.handedness == "right":
            return self.decoder(hypotheses.joints_m, hypotheses.sight)
        return mirror_points(self.decoder(mirror_points(hypotheses.joints_m), hypotheses.sight))

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        started_s = time.perf_counter()
        yield
        self.timings_ms[stage] = self.timings_ms.get(stage, 0.0) + 1e3 * (time.perf_counter() - started_s)
