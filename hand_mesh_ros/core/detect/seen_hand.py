"""Converts a detection to the input of the next stages: one right hand in front of a pinhole camera."""

import numpy as np

from hand_mesh_ros.core.detect import crop
from hand_mesh_ros.core.geometry import camera
from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.types import Frame, HandDetection, SeenHand

# Smallest weight of a keypoint. If all weights were 0, the position of the hand could not be computed.
_LEAST_CONFIDENCE = 1e-3


def see(detection: HandDetection, frame: Frame) -> SeenHand:
    """The hand as a right hand. A left hand is mirrored in the plane x = 0 of the camera.

    Args:
        detection: the hand in the image.
        frame: camera of the image. If the camera is not calibrated, an assumed camera is used.
    """
    camera_matrix = frame.working_camera_matrix
    is_mirrored = detection.handedness == "left"
    as_right = mirror_points if is_mirrored else np.asarray
    return SeenHand(
        rays=as_right(camera.rays_from_pixels(detection.keypoints_px, camera_matrix, frame.distortion)),
        confidence=np.maximum(detection.keypoint_conf, _LEAST_CONFIDENCE),
        depth=detection.keypoint_depth_px / camera_matrix[0, 0],
        world_landmarks_m=as_right(detection.world_landmarks_m),
        in_crop=crop.place_in(detection.image_from_crop, detection.keypoints_px),
        features=detection.features,
        is_mirrored=is_mirrored,
    )
