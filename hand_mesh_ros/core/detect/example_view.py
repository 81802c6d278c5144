"""An artificial view of a hand, to run the models before the first image arrives."""

import numpy as np

from hand_mesh_ros.core.detect import crop
from hand_mesh_ros.core.geometry import camera
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.types import Frame, HandDetection

_FOCAL_PX, _SIZE_PX = 500.0, 480


def example_view(hand: HandModel) -> tuple[Frame, HandDetection]:
    """A black image, and a detection of a right hand: distance 0.5 m, palm towards the camera, fingers up."""
    centre_px = _SIZE_PX / 2
    camera_matrix = np.array([[_FOCAL_PX, 0, centre_px], [0, _FOCAL_PX, centre_px], [0, 0, 1.0]])
    # In the template, x is out of the palm and z is along the fingers.
    joints_m = np.stack([hand.joints_m[:, axis] * sign for axis, sign in ((1, 1), (2, -1), (0, -1))], -1)
    keypoints_px = camera.project(joints_m + np.array([0.0, 0.08, 0.5]), camera_matrix)
    detection = HandDetection(
        keypoints_px=keypoints_px.astype(np.float32),
        keypoint_depth_px=np.zeros(len(joints_m), np.float32),
        keypoint_conf=np.ones(len(joints_m), np.float32),
        world_landmarks_m=joints_m.astype(np.float32),
        handedness="right",
        handedness_prob=1.0,
        score=1.0,
        image_from_crop=crop.around_keypoints(keypoints_px),
    )
    return Frame(np.zeros((_SIZE_PX, _SIZE_PX, 3), np.uint8), camera_matrix), detection
