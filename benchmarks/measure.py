"""Figures of one image: one run of the detector, the error of the estimate, and the calibration of its uncertainty."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import metrics
from benchmarks.samples import Sample
from benchmarks.self_intersection import intersecting_faces
from hand_mesh_ros.core.detect.detector import HandDetector
from hand_mesh_ros.core.geometry.camera import project
from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.geometry.rays import ray_extent
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.topology import FINGER_JOINTS, N_JOINTS, WRIST
from hand_mesh_ros.core.types import HandDetection, HandEstimate

# Keypoints with a larger mean error than this lie on another object. Unit: root mean square radius of the hand.
_ELSEWHERE = 1.0
_GOOD_M = 0.010
_F_DISTANCES_M = (0.005, 0.015)

# Figures: name, factor for printing, unit. NaN if the detector missed the hand or the truth is unknown.
ROWS = (
    ("found", 1e2, "%"),
    ("PA-MPJPE, a miss counts as the flat hand", 1e3, "mm"),
    ("below 10 mm PA-MPJPE, of all hands", 1e2, "%"),
    ("correct side", 1e2, "%"),
    ("keypoint error of the detector, of the hand's radius", 1e2, "%"),
    ("depth error of the detector, of the hand's radius", 1e2, "%"),
    ("PA-MPJPE aggregate", 1e3, "mm"),
    ("PA-MPJPE mean of all hypotheses", 1e3, "mm"),
    ("PA-MPJPE heaviest hypothesis", 1e3, "mm"),
    ("PA-MPJPE first hypothesis", 1e3, "mm"),
    ("PA-MPJPE medoid", 1e3, "mm"),
    ("PA-MPJPE joint-wise nearest to its keypoint", 1e3, "mm"),
    ("PA-MPJPE joints of the aggregate mesh", 1e3, "mm"),
    ("PA-MPJPE best of K", 1e3, "mm"),
    ("PA-MPJPE detector, world landmarks", 1e3, "mm"),
    ("PA-MPJPE detector, image landmarks + z", 1e3, "mm"),
    ("AUC of joints, 0 to 50 mm, aligned", 1.0, ""),
    ("PA-MPVPE aggregate", 1e3, "mm"),
    ("F@5 mm", 1.0, ""),
    ("F@15 mm", 1.0, ""),
    ("faces of the mesh that intersect others", 1e2, "%"),
    ("faces of the true mesh that intersect others", 1e2, "%"),
    ("root-relative MPJPE aggregate", 1e3, "mm"),
    ("camera-space MPJPE aggregate", 1e3, "mm"),
    ("camera-space wrist error", 1e3, "mm"),
    ("size error (sum of bones)", 1e2, "%"),
    ("pairwise distance of hypotheses", 1e3, "mm"),
    ("energy score", 1e3, "mm"),
    ("more than one mode", 1e2, "%"),
    ("rank correlation of weight and accuracy", 1.0, ""),
    ("rank correlation of weight and accuracy, root-relative", 1.0, ""),
    ("90 % coverage, articulation", 1e2, "%"),
    ("90 % coverage, absolute", 1e2, "%"),
    ("estimated error, articulation", 1e3, "mm"),
    ("estimated error, absolute", 1e3, "mm"),
    ("reprojection", 1.0, "px"),
)
# Rows that also have a value for missed hands.
OF_ALL_HANDS = tuple(name for name, _, _ in ROWS[:3])


@dataclass(frozen=True)
class Seen:
    """An image and its detection. The detection is None if the detector found no hand or another object."""

    sample: Sample
    detection: HandDetection | None
    n_hands: int


def look(detector: HandDetector, samples: Iterable[Sample]) -> list[Seen]:
    """Searches every image for hands, without any hint. If the detector finds several hands, the highest score counts."""
    seen = []
    for sample in samples:
        hands = detector.detect(sample.frame)
        best = max(hands, key=lambda hand: hand.score, default=None)
        seen.append(Seen(sample, best if best and _keypoint_error(best, sample) < _ELSEWHERE else None, len(hands)))
    return seen


def _keypoint_error(detection: HandDetection, sample: Sample) -> float:
    """Returns the mean distance to the true keypoints, divided by the root mean square radius of the hand in the image."""
    truth = project(sample.joints_m, sample.frame.camera_matrix)
    return metrics.keypoint_error(detection.keypoints_px, truth)


def _depth_error(detection: HandDetection, sample: Sample) -> float:
    """Returns the mean error of the detector's relative depths, divided by the radius of the hand in the image.

    The true depths are in pixels at the distance of the hand, relative to the mean of the joints, as the detector's depths are.
    """
    camera_matrix, depth_m = sample.frame.camera_matrix, sample.joints_m[:, 2]
    true_px = camera_matrix[0, 0] * (depth_m - depth_m.mean()) / depth_m.mean()
    reported_px = detection.keypoint_depth_px - detection.keypoint_depth_px.mean()
    return float(np.abs(reported_px - true_px).mean() / ray_extent(project(sample.joints_m, camera_matrix)))


def measure(pipeline: HandMeshPipeline, seen: Seen) -> dict[str, Any]:
    """Returns the figures of one image, without tracking.

    The keys are the names of `ROWS`, the name of the image, the number of detected hands, palm_angle_deg, distance_m, and
    hidden_share and has_objects (NaN if unknown). For a detected hand, more keys hold the error of each joint after alignment,
    (21, 3) metres, and the confidence levels, (21,). A level is the confidence of the smallest ellipsoid that holds the error.
    There are levels of the error after alignment and of the absolute error.
    """
    sample = seen.sample
    flat = pipeline.hand_model.joints_m if sample.side == "right" else mirror_points(pipeline.hand_model.joints_m)
    result: dict[str, Any] = dict.fromkeys((name for name, _, _ in ROWS), float("nan"))
    result |= {
        "name": sample.name,
        "hands": seen.n_hands,
        "palm_angle_deg": sample.palm_angle_deg,
        "distance_m": float(np.linalg.norm(sample.joints_m.mean(0))),
        "hidden_share": float("nan") if sample.hidden is None else float(sample.hidden.mean()),
        "has_objects": float("nan") if sample.has_objects is None else float(sample.has_objects),
        "found": float(seen.detection is not None),
        "PA-MPJPE, a miss counts as the flat hand": float(metrics.pa_error(flat, sample.joints_m)),
        "below 10 mm PA-MPJPE, of all hands": 0.0,
    }
    if seen.detection is None:
        return result
    estimate = pipeline.chain.answer(seen.detection, sample.frame).estimate
    result["correct side"] = float(seen.detection.handedness == sample.side)
    result["keypoint error of the detector, of the hand's radius"] = _keypoint_error(seen.detection, sample)
    result["depth error of the detector, of the hand's radius"] = _depth_error(seen.detection, sample)
    result |= _shape(pipeline, estimate, seen.detection, sample) | _surface(pipeline, estimate, sample)
    error = result["PA-MPJPE aggregate"]
    result |= {"PA-MPJPE, a miss counts as the flat hand": error, "below 10 mm PA-MPJPE, of all hands": float(error < _GOOD_M)}
    return result | _place(estimate, sample) | _hypotheses(estimate, sample) | _covariances(estimate, sample)


def _shape(pipeline: HandMeshPipeline, estimate: HandEstimate, detection: HandDetection, sample: Sample) -> dict[str, Any]:
    relative = _relative(estimate)
    apart = metrics.point_errors(relative[:, None], relative[None]).mean(-1)
    in_image = metrics.point_errors(project(estimate.hypotheses_m, sample.frame.camera_matrix), detection.keypoints_px)
    candidates = {
        "aggregate": estimate.joints_m,
        "mean of all hypotheses": np.tensordot(estimate.weights, relative, axes=1),
        "heaviest hypothesis": relative[np.argmax(estimate.weights)],
        "first hypothesis": relative[0],
        "medoid": relative[np.argmin(apart @ estimate.weights)],
        "joint-wise nearest to its keypoint": relative[in_image.argmin(0), np.arange(N_JOINTS)],
        "joints of the aggregate mesh": pipeline.hand_model.joint_regressor @ estimate.vertices_m,
        "detector, world landmarks": detection.world_landmarks_m,
        "detector, image landmarks + z": np.column_stack([detection.keypoints_px, detection.keypoint_depth_px]),
    }
    figures = {f"PA-MPJPE {name}": metrics.pa_error(joints, sample.joints_m) for name, joints in candidates.items()}
    figures["PA-MPJPE best of K"] = metrics.best_of(relative, sample.joints_m)
    aligned = metrics.procrustes(estimate.joints_m, sample.joints_m)
    figures["AUC of joints, 0 to 50 mm, aligned"] = metrics.auc(metrics.point_errors(aligned, sample.joints_m)[None])
    figures["root-relative MPJPE aggregate"] = metrics.root_relative_error(estimate.joints_m, sample.joints_m)
    return {name: float(figure) for name, figure in figures.items()}


def _surface(pipeline: HandMeshPipeline, estimate: HandEstimate, sample: Sample) -> dict[str, Any]:
    faces = pipeline.hand_model.faces
    crossing = {"faces of the mesh that intersect others": float(intersecting_faces(estimate.vertices_m, faces).mean())}
    if sample.vertices_m is None:
        return crossing
    crossing["faces of the true mesh that intersect others"] = float(intersecting_faces(sample.vertices_m, faces).mean())
    aligned = metrics.procrustes(estimate.vertices_m, sample.vertices_m)
    f_5, f_15 = metrics.f_scores(aligned, sample.vertices_m, _F_DISTANCES_M)
    error = float(metrics.point_errors(aligned, sample.vertices_m).mean())
    return {"PA-MPVPE aggregate": error, "F@5 mm": f_5, "F@15 mm": f_15, **crossing}


def _place(estimate: HandEstimate, sample: Sample) -> dict[str, Any]:
    apart = metrics.point_errors(estimate.joints_m, sample.joints_m)
    return {
        "camera-space MPJPE aggregate": float(apart.mean()),
        "camera-space wrist error": float(apart[WRIST]),
        "size error (sum of bones)": _bone_sum(estimate.joints_m) / _bone_sum(sample.joints_m) - 1,
        "reprojection": estimate.reprojection_px,
    }


def _hypotheses(estimate: HandEstimate, sample: Sample) -> dict[str, Any]:
    relative, truth = _relative(estimate), sample.joints_m - sample.joints_m[WRIST]
    accuracy, accuracy_with_turn = -metrics.pa_error(relative, truth), -metrics.root_relative_error(relative, truth)
    return {
        "pairwise distance of hypotheses": metrics.pairwise_distance(relative),
        "energy score": metrics.energy_score(relative, estimate.weights, truth),
        "more than one mode": float(estimate.n_modes > 1),
        "rank correlation of weight and accuracy": metrics.spearman(estimate.weights, accuracy),
        "rank correlation of weight and accuracy, root-relative": metrics.spearman(estimate.weights, accuracy_with_turn),
    }


def _covariances(estimate: HandEstimate, sample: Sample) -> dict[str, Any]:
    """The articulation part uses the error after alignment to the estimate."""
    articulation = metrics.procrustes(sample.joints_m, estimate.joints_m) - estimate.joints_m
    absolute = sample.joints_m - estimate.joints_m
    levels = {
        "articulation": metrics.confidence_level(articulation, estimate.articulation_covariance_m2),
        "absolute": metrics.confidence_level(absolute, estimate.joint_covariance_m2),
    }
    return {
        **{f"90 % coverage, {part}": float((level <= 0.9).mean()) for part, level in levels.items()},
        **{f"{part}_level": level.round(5).tolist() for part, level in levels.items()},
        "estimated error, articulation": _stated_error(estimate.articulation_covariance_m2),
        "estimated error, absolute": _stated_error(estimate.joint_covariance_m2),
        "articulation_error_m": articulation.tolist(),
    }


def _stated_error(covariance: np.ndarray) -> float:
    """Returns the expected root mean square distance of covariances (21, 3, 3) [m]."""
    return float(np.sqrt(np.trace(covariance, axis1=-2, axis2=-1).mean()))


def _relative(estimate: HandEstimate) -> np.ndarray:
    return estimate.hypotheses_m - estimate.hypotheses_m[:, [WRIST]]


def _bone_sum(joints: np.ndarray) -> float:
    """Returns the total length of wrist-to-base and finger bones [m]."""
    chains = joints[np.column_stack([np.full(len(FINGER_JOINTS), WRIST), FINGER_JOINTS])]
    return float(np.linalg.norm(np.diff(chains, axis=1), axis=-1).sum())
