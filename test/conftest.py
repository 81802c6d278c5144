"""An estimate with known contents for the tests of what draws and writes it."""

from collections.abc import Callable

import numpy as np
import pytest

from hand_mesh_ros.core.geometry.camera import project
from hand_mesh_ros.core.hand.model import FILE_NAME, HandModel
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.topology import N_JOINTS
from hand_mesh_ros.core.types import HandEstimate

K = np.array([[300.0, 0, 159.5], [0, 300.0, 119.5], [0, 0, 1]])


@pytest.fixture(scope="session")
def model() -> HandModel:
    return HandModel.load(default_models_dir() / FILE_NAME)


@pytest.fixture(scope="session")
def make_hand(model: HandModel) -> Callable[..., HandEstimate]:
    """Factory of a raised right hand half a metre in front of the camera; keyword arguments replace fields."""
    camera_from_wrist = np.eye(4)
    camera_from_wrist[:3] = [[0, 1, 0, 0.01], [0, 0, -1, 0.08], [-1, 0, 0, 0.5]]

    def placed(points: np.ndarray) -> np.ndarray:
        return points @ camera_from_wrist[:3, :3].T + camera_from_wrist[:3, 3]

    def make(**replaced: object) -> HandEstimate:
        joints_m = placed(model.joints_m.astype(float))
        fields = {
            "track_id": "1",
            "handedness": "right",
            "handedness_prob": 0.9,
            "score": 0.8,
            "state": "tracked",
            "joints_m": joints_m,
            "joint_covariance_m2": np.tile(np.diag([1e-5, 1e-5, 9e-4]), (N_JOINTS, 1, 1)),
            "articulation_covariance_m2": np.tile(np.diag([1e-6, 4e-6, 9e-6]), (N_JOINTS, 1, 1)),
            "joint_confidence": np.ones(N_JOINTS),
            "joint_flags": np.ones(N_JOINTS, np.uint8),
            "hypotheses_m": joints_m + np.array([0.0, 0.002, -0.004])[:, None, None],
            "weights": np.array([0.5, 0.3, 0.2]),
            "mode": np.zeros(3, int),
            "vertices_m": placed(model.template_m.astype(float)),
            "vertex_std_m": np.linspace(0, 0.01, len(model.template_m)),
            "wrist_pose": camera_from_wrist,
            "wrist_covariance": 1e-4 * np.eye(6),
            "keypoints_px": project(joints_m, K),
            "keypoint_conf": np.ones(N_JOINTS),
            "scale_source": "prior",
            "scale_rel_std": 0.08,
            "reprojection_px": 0.0,
        }
        return HandEstimate(**(fields | replaced))

    return make
