"""Builds the published record, metric and in the camera frame, from parts that are relative to the hand and at average size."""

from typing import Any

import numpy as np

from hand_mesh_ros.core.cascade.aggregate import Aggregate
from hand_mesh_ros.core.place.by_rays import Location, place_covariances, scale_covariances
from hand_mesh_ros.core.topology import N_JOINTS, WRIST
from hand_mesh_ros.core.types import (
    DEPTH_ANCHORED,
    FITTED,
    OBSERVED,
    OCCLUDED,
    OUT_OF_IMAGE,
    Frame,
    HandDetection,
    HandEstimate,
    TrackState,
)
from hand_mesh_ros.core.uncertainty.bent_gains import bent_gains
from hand_mesh_ros.core.uncertainty.calibration import HandCovariances
from hand_mesh_ros.core.uncertainty.occlusion import hidden_joints

# A joint inside the image is observed if its confidence is at least this value.
_OBSERVED_CONF = 0.5
# Share of the variance of the wrist rotation that comes from the palm relative to the hand. Depth rotates only the whole hand.
_WITHIN_HAND = 0.3


def to_estimate(
    detection: HandDetection,
    frame: Frame,
    hand: Aggregate,
    covariances: HandCovariances,
    location: Location,
    state: TrackState,
) -> HandEstimate:
    """The published record of one hand.

    Args:
        detection: detection of the hand.
        frame: the camera.
        hand: shape at average size.
        covariances: covariances of the errors of the hand.
        location: position and size; if the position is not known, the result is relative to the wrist.
        state: state of the track.
    """
    scale = location.scale
    joints, vertices, hypotheses = _placed(hand, location)
    of_place, of_shape = bent_gains(location.anchored) if location.is_bent else (np.ones(N_JOINTS), np.ones(N_JOINTS))
    covariance = of_place[:, None, None] * _joint_covariance(joints, covariances, location)
    if location.is_anchored:
        # A hand fits to depth in a wrong unit too. A wrong unit moves all joints by the same factor from the camera.
        covariance += scale.depth_std**2 * joints[:, :, None] * joints[:, None, :]
    return HandEstimate(
        **_as_detected(detection),
        state=state,
        joints_m=joints,
        joint_covariance_m2=covariance,
        articulation_covariance_m2=of_shape[:, None, None] * scale.factor**2 * covariances.articulation_m2,
        joint_flags=joint_flags(detection, frame, location.anchored, hand.is_fitted) | _occluded(joints, vertices, location),
        hypotheses_m=hypotheses,
        weights=hand.weights,
        mode=hand.mode,
        vertices_m=vertices,
        vertex_std_m=scale.factor * np.sqrt(covariances.vertices_m2),
        wrist_pose=_wrist_pose(joints[WRIST], location.turn @ hand.wrist_rotation, location),
        wrist_covariance=_wrist_covariance(covariance[WRIST], covariances, location),
        scale_source=scale.source,
        scale_rel_std=scale.rel_std,
        reprojection_px=frame.reprojection_px(joints - joints[WRIST] + location.translation_m, detection.keypoints_px),
    )


def _as_detected(detection: HandDetection) -> dict[str, Any]:
    """The fields of an estimate that come from the detector."""
    return {
        "track_id": detection.track_id,
        "handedness": detection.handedness,
        "handedness_prob": detection.handedness_prob,
        "score": detection.score,
        "joint_confidence": detection.keypoint_conf,
        "keypoints_px": detection.keypoints_px,
        "keypoint_conf": detection.keypoint_conf,
    }


def joint_flags(detection: HandDetection, frame: Frame, anchored: np.ndarray, is_fitted: bool) -> np.ndarray:
    """Bits per joint, (21,) uint8, of OBSERVED, OUT_OF_IMAGE, DEPTH_ANCHORED and FITTED."""
    height, width = frame.rgb.shape[:2]
    x, y = detection.keypoints_px.T
    # A pixel extends half a pixel from its centre.
    is_inside = (x >= -0.5) & (y >= -0.5) & (x <= width - 0.5) & (y <= height - 0.5)
    flags = np.where(is_inside & (detection.keypoint_conf >= _OBSERVED_CONF), OBSERVED, 0)
    flags |= np.where(is_inside, 0, OUT_OF_IMAGE) | np.where(anchored, DEPTH_ANCHORED, 0) | (FITTED if is_fitted else 0)
    return flags.astype(np.uint8)


def _occluded(joints: np.ndarray, vertices: np.ndarray, location: Location) -> np.ndarray:
    """Bits per joint, (21,) uint8: OCCLUDED if the skin of the same hand hides the joint."""
    # Without calibration the hand is relative to the wrist. The position from the assumed camera is accurate enough here.
    place = np.zeros(3) if location.is_known else location.translation_m - joints[WRIST]
    return np.where(hidden_joints(joints + place, vertices + place), OCCLUDED, 0).astype(np.uint8)


def _placed(hand: Aggregate, location: Location) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Joints (21, 3), vertices (V, 3) and hypotheses (K, 21, 3), metric; without calibration relative to the wrist."""
    # The hypotheses keep their positions relative to the hand.
    parts = (hand.joints_m, hand.vertices_m, hand.hypotheses_m - location.from_rays_m)
    joints, vertices, hypotheses = (location.scale.factor * points @ location.turn.T for points in parts)
    if not location.is_known:
        return joints, vertices, hypotheses - hypotheses[:, [WRIST]]
    return tuple(points + location.translation_m for points in (joints, vertices, hypotheses))


def _joint_covariance(joints: np.ndarray, covariances: HandCovariances, location: Location) -> np.ndarray:
    """Covariances (21, 3, 3) of metric joints: the part within the hand plus the part from the position of the hand."""
    factor2 = location.scale.factor**2
    if not location.is_known:
        # Relative to the wrist, only the size adds uncertainty. A size error moves a joint along the line from wrist to joint.
        return factor2 * covariances.relative_m2 + scale_covariances(joints, location.scale.rel_std)
    # With depth, the covariance of the location contains the rotation. Only the covariance within the hand must be added.
    within = covariances.articulation_m2 if location.is_anchored else covariances.relative_m2
    return factor2 * within + place_covariances(joints - joints.mean(0), location.covariance)


def _wrist_pose(position_m: np.ndarray, rotation: np.ndarray, location: Location) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3] = rotation
    pose[:3, 3] = position_m if location.is_known else np.nan
    return pose


def _wrist_covariance(position: np.ndarray, covariances: HandCovariances, location: Location) -> np.ndarray:
    rotation = location.covariance[4:, 4:] + _WITHIN_HAND * covariances.rotation if location.is_anchored else covariances.rotation
    covariance = np.zeros((6, 6))
    covariance[:3, :3] = position if location.is_known else np.nan
    covariance[3:, 3:] = rotation
    return covariance
