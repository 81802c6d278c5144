"""Converts a detection to the input of the next stages: one right hand in front of a pinhole camera."""

import numpy as np

from hand_mesh_ros.core.detect import crop
from hand_mesh_ros.core.geometry import camera, lens
from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.geometry.rays import ray_extent
from hand_mesh_ros.core.types import Frame, HandDetection, SeenHand

# Smallest weight of a keypoint. If all weights were 0, the position of the hand could not be computed.
_LEAST_CONFIDENCE = 1e-3
# The position of a hand needs at least this number of keypoints that the lens model reaches.
_LEAST_IN_FIELD = 7


def see(detection: HandDetection, frame: Frame) -> SeenHand:
    """The hand as a right hand. A left hand is mirrored in the plane x = 0 of the camera.

    Args:
        detection: the hand in the image.
        frame: camera of the image. If the camera is not calibrated, an assumed camera is used.
    """
    camera_matrix = frame.working_camera_matrix
    is_mirrored = detection.handedness == "left"
    as_right = mirror_points if is_mirrored else np.asarray
    rays, in_field = camera.sights(detection.keypoints_px, camera_matrix, frame.distortion)
    return SeenHand(
        rays=as_right(rays),
        confidence=np.maximum(np.where(in_field, detection.keypoint_conf, 0.0), _LEAST_CONFIDENCE),
        depth=detection.keypoint_depth_px * _ray_per_px(rays, detection.keypoints_px, frame),
        world_landmarks_m=as_right(detection.world_landmarks_m),
        in_crop=crop.place_in(detection.image_from_crop, detection.keypoints_px),
        features=detection.features,
        is_mirrored=is_mirrored,
        log_errors=detection.log_errors,
        has_place=frame.is_calibrated and int(in_field.sum()) >= _LEAST_IN_FIELD,
    )


def _ray_per_px(rays: np.ndarray, keypoints_px: np.ndarray, frame: Frame) -> float:
    """Size of a pixel at the hand in the plane z = 1. Distortion makes the size of a pixel depend on its place."""
    if lens.is_plain(frame.distortion):
        return 1.0 / float(frame.working_camera_matrix[0, 0])
    return ray_extent(rays) / max(ray_extent(keypoints_px), 1e-9)
