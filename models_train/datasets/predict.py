"""Estimates of the shipped chain for the samples of a data set: detector, then all stages, without tracking."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.detect.detector import HandDetector
from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.models.model_id import cascade_id
from hand_mesh_ros.core.models.onnx_model import ModelError, default_models_dir
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.types import Frame, HandDetection
from hand_mesh_ros.core.uncertainty.calibration import FILE_NAME as CALIBRATION_FILE
from hand_mesh_ros.core.uncertainty.calibration import Calibration, uncalibrated
from models_train.datasets.formats.sample import DatasetSample

_LOG = logging.getLogger(__name__)
# The palm model needs a margin around the hand. Only the pictures of FreiHAND are crops without a margin.
_PAD_PX = {"freihand": 64}
# Place of the hand that is reported for a missed hand [m].
_MISSED_DISTANCE_M = 0.6
# Rotation of a raised hand with the palm to the camera, from the wrist frame.
_RAISED = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]])


@dataclass(frozen=True)
class Prediction:
    """Estimate of one hand, in metres, in the camera's optical frame."""

    joints_m: np.ndarray  # (21, 3)
    vertices_m: np.ndarray  # (V, 3)
    is_found: bool  # False for the flat hand that stands for a missed hand
    is_side_right: bool  # the detector reports the true side


def load_pipeline(models: str = "") -> HandMeshPipeline:
    """Returns the chain with the models of a folder; empty for the shipped models.

    Models that were exported but not calibrated run with the spread of their hypotheses as the uncertainty. The scores use no
    uncertainty; only the place of the hand depends on it a little.

    Raises:
        ModelError: if a model is missing or foreign.
    """
    config = PipelineConfig(models_dir=models)
    folder = Path(models) if models else default_models_dir()
    try:
        Calibration.load(folder / CALIBRATION_FILE, cascade_id(folder))
    except (ModelError, OSError) as error:
        _LOG.warning("the uncertainty is not calibrated: %s", error)
        return HandMeshPipeline(config, uncalibrated())
    return HandMeshPipeline(config)


def predict(pipeline: HandMeshPipeline, sample: DatasetSample) -> Prediction:
    """Returns the estimate of the hand of a sample. A missed hand gives the flat hand of the hand model.

    The detector searches the whole picture without a hint. If it finds several hands, the place of the annotated box selects one.
    In a picture of both hands, only hands of the annotated side are considered.

    Raises:
        DatasetError: if the picture is missing or damaged.
    """
    frame = padded_frame(sample)
    detection = find(pipeline.detector, frame, sample)
    if detection is None:
        joints_m, vertices_m = (_raised(points, sample) for points in _template(pipeline.hand_model))
        return Prediction(joints_m, vertices_m, is_found=False, is_side_right=False)
    estimate = pipeline.chain.answer(detection, frame).estimate
    is_side_right = detection.handedness == sample.handedness
    return Prediction(estimate.joints_m, estimate.vertices_m, is_found=True, is_side_right=is_side_right)


def padded_frame(sample: DatasetSample) -> Frame:
    """Returns the picture, with a reflected margin where the detector needs a margin, and the camera of the padded picture.

    The margin moves the principal point. Points in the camera frame do not change.

    Raises:
        DatasetError: if the picture is missing or damaged.
    """
    frame, pad = sample.frame(), _PAD_PX.get(sample.dataset, 0)
    if not pad:
        return frame
    camera_matrix = frame.camera_matrix.copy()
    camera_matrix[:2, 2] += pad
    return Frame(cv2.copyMakeBorder(frame.rgb, pad, pad, pad, pad, cv2.BORDER_REFLECT_101), camera_matrix)


def find(detector: HandDetector, frame: Frame, sample: DatasetSample) -> HandDetection | None:
    """Returns the detection of the hand of a sample in its padded picture; None if there is none."""
    hands = detector.detect(frame)
    if sample.is_interacting:
        hands = [hand for hand in hands if hand.handedness == sample.handedness]
    return _chosen(hands, sample)


def _chosen(hands: Sequence[HandDetection], sample: DatasetSample) -> HandDetection | None:
    if sample.bbox_px is None:
        return max(hands, key=lambda hand: hand.score, default=None)
    centre = sample.bbox_px[:2] + 0.5 * sample.bbox_px[2:] + _PAD_PX.get(sample.dataset, 0)
    return min(hands, key=lambda hand: float(np.linalg.norm(hand.keypoints_px.mean(0) - centre)), default=None)


def _template(hand: HandModel) -> tuple[np.ndarray, np.ndarray]:
    return hand.joints_m.astype(np.float64), hand.template_m.astype(np.float64)


def _raised(points_m: np.ndarray, sample: DatasetSample) -> np.ndarray:
    """Points of the hand model, raised in front of the camera, where the box is if there is one, else on the optical axis."""
    raised = points_m @ _RAISED.T
    ray = np.array([0.0, 0.0, 1.0])
    if sample.bbox_px is not None:
        ray = np.linalg.solve(sample.camera_matrix, np.append(sample.bbox_px[:2] + 0.5 * sample.bbox_px[2:], 1.0))
    return (raised if sample.handedness == "right" else mirror_points(raised)) + _MISSED_DISTANCE_M * ray
