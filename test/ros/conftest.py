"""Records with known contents for the tests of the ROS side, and graphs that end with their test."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import numpy as np
import pytest
from graph import Graph
from std_msgs.msg import Header

from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.geometry.rotations import rotation_about
from hand_mesh_ros.core.hand.kinematics import pose
from hand_mesh_ros.core.hand.model import FILE_NAME, HandModel
from hand_mesh_ros.core.hand.wrist_frame import wrist_rotation
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.topology import N_JOINTS, mesh_digest
from hand_mesh_ros.core.types import HandEstimate

N_VERTICES, N_SAMPLES = 12, 3
# A loosely closed hand, as `kinematics.local_rotations` takes it.
_ANGLES = np.deg2rad([[15, 10, 20, 30], [8, 40, 50, 30], [0, 45, 55, 35], [-5, 50, 60, 40], [-9, 55, 65, 40]])


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def header() -> Header:
    message = Header(frame_id="some_optical_frame")
    message.stamp.sec, message.stamp.nanosec = 12, 345_678_901
    return message


@pytest.fixture
def make_graph() -> Iterator[Callable[[str], Graph]]:
    """Factory of graphs that are left at the end of the test."""
    graphs: list[Graph] = []

    def make(name: str) -> Graph:
        graphs.append(Graph(name))
        return graphs[-1]

    yield make
    for graph in graphs:
        graph.close()


@pytest.fixture
def make_estimate(rng: np.random.Generator) -> Callable[..., HandEstimate]:
    """Factory of estimates in which every number is distinct; keyword arguments replace fields."""

    def covariances(count: int) -> np.ndarray:
        factors = 0.01 * rng.normal(size=(count, 3, 3))
        return factors @ np.swapaxes(factors, -1, -2)

    def make(**replaced: object) -> HandEstimate:
        rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = rotation * np.linalg.det(rotation), rng.normal(size=3)
        fields = {
            "track_id": "5",
            "handedness": "right",
            "handedness_prob": 0.75,
            "score": 0.875,
            "state": "tracked",
            "joints_m": rng.normal(size=(N_JOINTS, 3)),
            "joint_covariance_m2": covariances(N_JOINTS),
            "articulation_covariance_m2": covariances(N_JOINTS),
            "joint_confidence": rng.uniform(size=N_JOINTS),
            "joint_flags": rng.integers(0, 32, N_JOINTS).astype(np.uint8),
            "hypotheses_m": rng.normal(size=(N_SAMPLES, N_JOINTS, 3)),
            "weights": np.array([0.5, 0.25, 0.25]),
            "mode": np.array([0, 0, 1]),
            "vertices_m": rng.normal(size=(N_VERTICES, 3)),
            "vertex_std_m": rng.uniform(size=N_VERTICES),
            "wrist_pose": pose,
            "wrist_covariance": rng.normal(size=(6, 6)),
            "keypoints_px": rng.uniform(0, 640, (N_JOINTS, 2)),
            "keypoint_conf": rng.uniform(size=N_JOINTS),
            "scale_source": "prior",
            "scale_rel_std": 0.0625,
            "reprojection_px": 2.5,
        }
        return HandEstimate(**(fields | replaced))

    return make


@pytest.fixture(scope="session")
def model() -> HandModel:
    """The shipped hand."""
    return HandModel.load(default_models_dir() / FILE_NAME)


@pytest.fixture
def make_hand(model: HandModel, make_estimate: Callable[..., HandEstimate]) -> Callable[..., HandEstimate]:
    """Factory of estimates that are exact hands half a metre away; keyword arguments replace fields."""

    def make(side: str = "right", angles: np.ndarray = _ANGLES, shift_m: object = 0.0, **replaced: object) -> HandEstimate:
        joints, vertices = pose(model, angles)
        turn = rotation_about(np.array([0.6, 0, 0.8]), np.array(2.0))
        joints, vertices = (points.astype(np.float64) @ turn.T + (0.1, 0.05, 0.5) for points in (joints, vertices))
        if side == "left":
            joints, vertices = mirror_points(joints), mirror_points(vertices)
        joints, vertices = joints + shift_m, vertices + shift_m
        camera_from_wrist = np.eye(4)
        camera_from_wrist[:3, :3], camera_from_wrist[:3, 3] = wrist_rotation(joints, side), joints[0]
        fields = {
            "handedness": side,
            "joints_m": joints,
            "vertices_m": vertices,
            "hypotheses_m": joints + 0.001 * np.random.default_rng(0).normal(size=(N_SAMPLES, N_JOINTS, 3)),
            "mode": np.zeros(N_SAMPLES, int),
            "wrist_pose": camera_from_wrist,
            "wrist_covariance": 1e-4 * np.eye(6),
            "joint_covariance_m2": np.tile(1e-4 * np.eye(3), (N_JOINTS, 1, 1)),
            "articulation_covariance_m2": np.tile(1e-5 * np.eye(3), (N_JOINTS, 1, 1)),
        }
        return make_estimate(**(fields | replaced))

    return make


@pytest.fixture
def surface() -> SimpleNamespace:
    """The part of a hand model that messages need: an open fan of triangles."""
    faces = np.array([[0, index, index + 1] for index in range(1, N_VERTICES - 1)], np.int32)
    return SimpleNamespace(
        template_m=np.zeros((N_VERTICES, 3), np.float32),
        faces=faces,
        digest=mesh_digest(N_VERTICES, faces),
        fingertip_vertices=np.array([3, 5, 7, 9, 11], np.int32),
        licence="CC0",
    )
