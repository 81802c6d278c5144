"""Creates the messages of a camera: calibration, and the ground truth of the synthetic camera."""

from typing import TYPE_CHECKING

import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from hand_mesh_ros.core.geometry.camera import project
from hand_mesh_ros.core.topology import N_JOINTS
from hand_mesh_ros.core.types import OBSERVED, OUT_OF_IMAGE, HandEstimate, Side
from hand_mesh_ros.msg import HandArray
from hand_mesh_ros.ros.output import convert_hands

if TYPE_CHECKING:  # at run time this module would need the ray caster, which only the synthetic camera needs
    from hand_mesh_ros.synthetic.camera import SyntheticView


def to_stamp(seconds: float) -> Time:
    """Converts seconds to a stamp."""
    nanoseconds = round(seconds * 1e9)
    return Time(sec=nanoseconds // 1_000_000_000, nanosec=nanoseconds % 1_000_000_000)


def to_info(camera_matrix: np.ndarray, width: int, height: int, header: Header) -> CameraInfo:
    """Returns the calibration of a camera without distortion. An all-zero matrix (3, 3) means "not calibrated"."""
    matrix = camera_matrix.astype(float)
    return CameraInfo(
        header=header,
        width=width,
        height=height,
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=matrix.ravel(),
        r=np.eye(3).ravel(),
        p=np.hstack([matrix, np.zeros((3, 1))]).ravel(),
    )


def to_truth(view: "SyntheticView", camera_matrix: np.ndarray, side: Side, header: Header) -> HandArray:
    """Converts the true synthetic hand to an estimate without errors."""
    none = np.zeros((N_JOINTS, 3, 3))
    keypoints_px = project(view.joints_m, camera_matrix)
    height, width = view.depth_m.shape
    inside = np.all((keypoints_px >= -0.5) & (keypoints_px < (width - 0.5, height - 0.5)), axis=1)
    truth = HandEstimate(
        track_id="truth",
        handedness=side,
        handedness_prob=1.0,
        score=1.0,
        state="tracked",
        joints_m=view.joints_m,
        joint_covariance_m2=none,
        articulation_covariance_m2=none,
        joint_confidence=np.ones(N_JOINTS),
        joint_flags=np.where(inside, OBSERVED, OUT_OF_IMAGE).astype(np.uint8),
        hypotheses_m=view.joints_m[None],
        weights=np.ones(1),
        mode=np.zeros(1, int),
        vertices_m=view.vertices_m,
        vertex_std_m=np.zeros(len(view.vertices_m)),
        wrist_pose=view.camera_from_wrist,
        wrist_covariance=np.zeros((6, 6)),
        keypoints_px=keypoints_px,
        keypoint_conf=inside.astype(float),
        scale_source="user",
        scale_rel_std=0.0,
        reprojection_px=0.0,
    )
    return convert_hands.to_hands([truth], header, model_id="synthetic camera")
