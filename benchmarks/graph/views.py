"""Detected hands as inputs of the graph diffusion, with the result of the cascade and the truth.

All data describe right hands. A hand that the detector calls left is mirrored, together with its truth.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks import metrics
from benchmarks.measure import Seen, look
from benchmarks.samples import Sample
from hand_mesh_ros.core.cascade.aggregate import Aggregate
from hand_mesh_ros.core.detect.detector import HandDetector
from hand_mesh_ros.core.detect.seen_hand import see
from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.geometry.rays import ray_extent, translate_onto_rays
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.stage_timer import StageTimer
from hand_mesh_ros.core.topology import N_JOINTS, WRIST
from hand_mesh_ros.core.types import Hypotheses, SeenHand

Figures = dict[str, float]


@dataclass(frozen=True)
class Keypoints:
    """2D keypoints of one hand, the target of a fit."""

    rays: np.ndarray  # (21, 2) undistorted x/z, y/z
    confidence: np.ndarray  # (21,) in 0..1


@dataclass(frozen=True)
class View:
    """One detected hand, in camera axes."""

    truth_joints_m: np.ndarray  # (21, 3) in the camera, true size
    truth_vertices_m: np.ndarray | None  # (V, 3), None if the surface is unknown
    true_2d: Keypoints
    detected_2d: Keypoints
    seen: SeenHand  # with the corrected keypoints of the detector and image features
    hypotheses: Hypotheses  # of the cascade
    hand: Aggregate  # result of the cascade
    px_per_ray: float  # pixels of the image per unit of `rays`


@dataclass(frozen=True)
class Answer:
    """The result of a method: a hand of average size, placed in the camera frame."""

    joints_m: np.ndarray  # (21, 3) in the camera
    vertices_m: np.ndarray  # (V, 3)


# Figures of a result: name, factor for printing, unit.
FIGURES = (
    ("PA-MPVPE", 1e3, "mm"),
    ("PA-MPJPE", 1e3, "mm"),
    ("root-relative MPVPE", 1e3, "mm"),
    ("root-relative MPJPE", 1e3, "mm"),
    ("2D error", 1.0, "px"),
    ("2D error relative to the radius", 1e2, "%"),
    ("2D error to the truth", 1e2, "%"),
)


def found_hands(detector: HandDetector, samples: Iterable[Sample], limit: int) -> tuple[list[Seen], int]:
    """Returns the first `limit` images with a detected hand of the correct side, and the number of searched images."""
    found, n_images = [], 0
    for sample in samples:
        n_images += 1
        (seen,) = look(detector, [sample])
        if seen.detection is not None and seen.detection.handedness == sample.side:
            found.append(seen)
        if len(found) == limit:
            break
    return found, n_images


def view_of(pipeline: HandMeshPipeline, seen: Seen) -> View:
    """Returns the view of a detected hand, as a right hand."""
    sample = seen.sample
    hand = see(pipeline.chain.corrector(seen.detection), sample.frame)
    turn = mirror_points if hand.is_mirrored else np.asarray
    truth = turn(sample.joints_m)
    return View(
        truth_joints_m=truth,
        truth_vertices_m=None if sample.vertices_m is None else turn(sample.vertices_m),
        true_2d=Keypoints(truth[:, :2] / truth[:, 2:], np.ones(N_JOINTS)),
        detected_2d=Keypoints(hand.rays, hand.confidence.astype(np.float64)),
        seen=hand,
        hypotheses=pipeline.chain.sampler(hand),
        hand=pipeline.chain.aggregate(hand, StageTimer()),
        px_per_ray=float(sample.frame.working_camera_matrix[0, 0]),
    )


def published(hand: Aggregate, given: Keypoints) -> Answer:
    """Returns an aggregate as an answer. The given keypoints determine its position, as in the pipeline."""
    translation = translate_onto_rays(hand.joints_m[None], given.rays, given.confidence)[0][0]
    return Answer(hand.joints_m + translation, hand.vertices_m + translation)


def answer_of(vertices_m: np.ndarray, hand: HandModel) -> Answer:
    """Returns a mesh (V, 3) in the camera frame as an answer."""
    return Answer(hand.joint_regressor @ vertices_m, vertices_m)


def judge(view: View, answer: Answer, given: Keypoints) -> Figures:
    """Returns the figures of `FIGURES`; NaN if the true surface is unknown."""
    truth, surface = view.truth_joints_m, view.truth_vertices_m
    figures = dict.fromkeys((name for name, _, _ in FIGURES), float("nan"))
    figures["PA-MPJPE"] = float(metrics.pa_error(answer.joints_m, truth))
    figures["root-relative MPJPE"] = float(metrics.root_relative_error(answer.joints_m, truth))
    if surface is not None:
        figures["PA-MPVPE"] = float(metrics.pa_error(answer.vertices_m, surface))
        offset = answer.joints_m[WRIST] - truth[WRIST]
        figures["root-relative MPVPE"] = float(metrics.point_errors(answer.vertices_m - offset, surface).mean())
    seen = answer.joints_m[:, :2] / answer.joints_m[:, 2:]
    apart = float(metrics.point_errors(seen, given.rays).mean())
    radius = ray_extent(view.true_2d.rays)
    figures["2D error"], figures["2D error relative to the radius"] = apart * view.px_per_ray, apart / radius
    figures["2D error to the truth"] = float(metrics.point_errors(seen, view.true_2d.rays).mean()) / radius
    return figures


def column(results: Sequence[Figures], name: str) -> np.ndarray:
    """Returns one figure of all hands, (n,)."""
    return np.array([result[name] for result in results])
