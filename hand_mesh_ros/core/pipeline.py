"""Runs the whole chain on a stream of images. This module and `track` store the state between images."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hand_mesh_ros.core.chain import HandChain
from hand_mesh_ros.core.config import PipelineConfig, live_changes
from hand_mesh_ros.core.detect.detector import HandDetector
from hand_mesh_ros.core.detect.example_view import example_view
from hand_mesh_ros.core.detect.search import Search
from hand_mesh_ros.core.geometry.camera import is_calibrated
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.place.depth_agreement import DepthAgreement
from hand_mesh_ros.core.place.user_size import SizeMeasure, UserScale, given_size
from hand_mesh_ros.core.stage_timer import StageTimer
from hand_mesh_ros.core.stream.load_control import LoadControl
from hand_mesh_ros.core.track.hand_tracks import HandTracks
from hand_mesh_ros.core.types import Frame, HandDetection, HandEstimate
from hand_mesh_ros.core.uncertainty.calibration import Calibration

# Stages of every result. The stage "fit" is added if the fit is enabled, "depth_fit" if depth changes the hand.
STAGES = ("detect", "joints", "mesh", "locate", "aggregate", "track")
# After a longer gap between images, a hand in the same place may be a different hand [s].
_LONGEST_GAP_S = 2.0
# A larger change of the camera matrix from one image to the next, relative to the focal length, means another camera.
_LARGEST_CHANGE_OF_K = 0.05


@dataclass(frozen=True)
class _View:
    """Time and camera of an image."""

    stamp_s: float
    shape: tuple[int, ...]
    frame_id: str
    camera_matrix: np.ndarray  # (3, 3), all zero if the camera is not calibrated

    def continues(self, last: "_View") -> bool:
        """True if this image is the next image of the same stream. A calibration may arrive later than the images."""
        if not 0 <= self.stamp_s - last.stamp_s <= _LONGEST_GAP_S:
            return False
        if (self.shape, self.frame_id) != (last.shape, last.frame_id):
            return False
        change = np.abs(self.camera_matrix - last.camera_matrix).max()
        are_calibrated = is_calibrated(self.camera_matrix) and is_calibrated(last.camera_matrix)
        return not are_calibrated or bool(change <= _LARGEST_CHANGE_OF_K * last.camera_matrix[0, 0])


class HandMeshPipeline:
    """Estimates the hands in a stream of images. Not thread-safe."""

    def __init__(self, config: PipelineConfig, calibration: Calibration | None = None) -> None:
        """Loads the models.

        Args:
            config: settings of the chain.
            calibration: calibration of the uncertainty; None for the file in the folder of the models.

        Raises:
            ModelError: if a model is missing, not a model of this package, or cannot run on `config.device`.
        """
        self.config, self._own_calibration = config, calibration
        self.load()
        self.timings_ms: dict[str, float] = {}  # stage times of the last image, also if the image has no hand
        self.sizes_seen: list[SizeMeasure] = []  # sizes from depth of the hands in the last image
        self.user_scale = UserScale(given_size(config.user_hand_scale))
        self.depth_agreement = DepthAgreement()
        self._tracks = HandTracks(config)
        self._search = Search(config)
        self._load = LoadControl()
        self._last: _View | None = None  # of the last image

    @classmethod
    def default(cls, device: str = "auto", **overrides: Any) -> "HandMeshPipeline":
        """The pipeline with the models of the package, after `warm_up`.

        Args:
            device: "auto", "cpu", "cuda" or "tensorrt".
            overrides: other fields of `PipelineConfig`.

        Raises:
            ModelError: if a model is missing, not a model of this package, or cannot run on `device`.
            ValueError: if a setting is outside its limits.
        """
        pipeline = cls(PipelineConfig(device=device, **overrides))
        pipeline.warm_up()
        return pipeline

    @property
    def is_loaded(self) -> bool:
        """True if the models are in memory."""
        return self._models is not None

    @property
    def detector(self) -> HandDetector:
        """The detector.

        Raises:
            RuntimeError: if `unload` has freed the models.
        """
        return self._loaded[0]

    @property
    def chain(self) -> HandChain:
        """The stages after the detector.

        Raises:
            RuntimeError: if `unload` has freed the models.
        """
        return self._loaded[1]

    @property
    def depth_fault(self) -> float | None:
        """Depth divided by the distance of the hands by their size, if no human hand explains the ratio; else None."""
        return self.depth_agreement.fault(self.user_scale.without_depth)

    @property
    def provider(self) -> str:
        """Name of ONNX Runtime's execution provider that runs the models."""
        return self.chain.sampler.provider

    @property
    def effort(self) -> str:
        """Current numbers of hypotheses and joint steps, as text. `latency_target_ms` may reduce these numbers."""
        full, used = self.config, self._load.applied_to(self.config)
        return f"{used.n_hypotheses} of {full.n_hypotheses} hypotheses, {used.joint_steps} of {full.joint_steps} steps"

    def load(self) -> None:
        """Loads the models from the current files, also after `unload`.

        Raises:
            ModelError: if a model is missing, not a model of this package, or cannot run on `config.device`.
        """
        models_dir = Path(self.config.models_dir) if self.config.models_dir else default_models_dir()
        chain = HandChain(models_dir, self.config, self._own_calibration)
        self._models: tuple[HandDetector, HandChain] | None = (HandDetector(models_dir, self.config), chain)
        self.hand_model: HandModel = chain.hand_model
        self.restrictions = chain.restrictions  # name and licence of each model file that is not free for commercial use
        self.model_id = chain.model_id

    def unload(self) -> None:
        """Frees the models and drops all tracks. The size from the settings stays. Ids are never used again."""
        self._models = None
        self.reset()

    def warm_up(self) -> None:
        """Runs every model once, so that the first image does not wait for the initialisation of the models."""
        frame, example = example_view(self.hand_model)
        settings = self.config
        # The batch size is the same as for real images. Only one step is used, because many steps may take a minute.
        self.reconfigure(replace(settings, joint_steps=1, mesh_steps=1, fit_steps=1))
        try:
            self.detector.detect(frame, [example])
            self.chain.answer(example, frame)
        finally:
            self.reconfigure(settings)

    def reconfigure(self, config: PipelineConfig) -> None:
        """Uses other settings from the next image on. Tracked hands keep their ids and their filter state.

        A new `user_hand_scale` replaces the current estimate of the size. A new `mirrored_input` drops all tracks.

        Raises:
            ValueError: if a field that is not `live` differs. Such a change needs the models to be loaded again.
        """
        changed, self.config = live_changes(self.config, config), config
        for stage in (*(self._models or ()), self._tracks, self._search):
            stage.reconfigure(self._load.applied_to(config))
        if "user_hand_scale" in changed:
            self.user_scale = UserScale(given_size(config.user_hand_scale))
        if "mirrored_input" in changed:
            self.reset()

    def reset(self) -> None:
        """Drops all tracks and the size of the hands from depth."""
        self._tracks.forget()
        self._search.reset()
        self.forget_depth()
        self._last = None

    def forget_depth(self) -> None:
        """Drops what earlier depth showed: the size of the hands, and the agreement of depth with the hands."""
        self.user_scale.reset()
        self.depth_agreement.reset()

    def estimate(self, frame: Frame, alone: bool = False) -> list[HandEstimate]:
        """The hands in the next image, at most `config.max_hands`, smoothed over the previous images.

        A tracked hand that is not detected is "predicted" for `config.predict_ms`. Then the hand is lost, and the result does not
        contain this hand any more. A new stream without tracks starts if the image is older than the last image, more than 2 s
        newer, of another size, or of another camera: another `frame_id`, or a camera matrix that differs by more than 5 %.

        Args:
            frame: image and camera. With `config.mirrored_input` the image is mirrored first. Then the result is in the mirrored
                image.
            alone: True if no other image follows soon. Then the image is searched for hands of all sizes without a time limit.
        """
        if self.config.mirrored_input:
            frame = frame.mirrored()
        started_s = time.perf_counter()
        view = _View(frame.stamp_s, frame.rgb.shape, frame.frame_id, frame.camera_matrix)
        if self._last is None or not view.continues(self._last):
            self.reset()
        self._last = view
        timer = StageTimer(STAGES)
        with timer.stage("detect"):
            hands = self._tracks.update(self._detect(frame, alone), frame.stamp_s)
        size = self.user_scale.known
        answers = [self.chain.answer(hand, frame, size, state, timer) for hand, state in hands if state != "predicted"]
        self.sizes_seen = [answer.size_seen for answer in answers if answer.size_seen]
        self.user_scale.step(self.sizes_seen, frame.stamp_s)
        self.depth_agreement.step([answer.depth_ratio for answer in answers if answer.depth_ratio], frame.stamp_s)
        with timer.stage("track"):
            seen = [answer.estimate for answer in answers]
            by_rays = {answer.estimate.track_id: answer.by_rays for answer in answers if answer.by_rays}
            estimates = self._tracks.smoothed([hand for hand, _ in hands], seen, frame, by_rays)
        self.timings_ms = {**timer.ms, "total": 1e3 * (time.perf_counter() - started_s)}
        # An image without a hand tells nothing about the time that the sampling takes.
        if answers and self._load.measure(self.timings_ms["total"], self.config.latency_target_ms):
            self.chain.reconfigure(self._load.applied_to(self.config))
        return [replace(estimate, timings_ms=dict(self.timings_ms)) for estimate in estimates]

    def _detect(self, frame: Frame, alone: bool) -> list[HandDetection]:
        """Hands of the next image that are certain enough to be reported; followed hands have their ids."""
        following = self._tracks.following_at(frame.stamp_s)
        if alone:
            return self.detector.detect(frame, following)
        plan = self._search.plan(frame, following, self._tracks.missing)
        hands = self.detector.detect(frame, [*following, *self._search.waiting], plan.is_due, plan)
        return self._search.settle(plan, hands)

    @property
    def _loaded(self) -> tuple[HandDetector, HandChain]:
        if self._models is None:
            raise RuntimeError("the models are not in memory: call load() first")
        return self._models
