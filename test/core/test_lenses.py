"""The chain on images of real lenses: a rendered hand is warped as the lens would show it, and found where it is."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from hand_mesh_ros.core.detect.seen_hand import see
from hand_mesh_ros.core.geometry import camera
from hand_mesh_ros.core.geometry.lens import Fisheye
from hand_mesh_ros.core.hand.model import FILE_NAME, HandModel
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.types import Frame, HandDetection
from hand_mesh_ros.synthetic.camera import SyntheticCamera

SIZE = (640, 480)
# Half of this image is 86 degrees wide.
LENS_MATRIX = np.array([[320.0, 0, 319.5], [0, 320.0, 239.5], [0, 0, 1]])
LENSES = {
    "fisheye": Fisheye(np.array([0.05, -0.02, 0.004, 0.0])),
    "fisheye without coefficients": Fisheye(np.zeros(4)),
    "rational_polynomial": np.array([0.45, -0.12, 0.0002, 0.0001, 0.003, 0.78, -0.05, 0.001]),
}


@pytest.fixture(scope="module")
def pipeline() -> HandMeshPipeline:
    return HandMeshPipeline.default("cpu")


@pytest.fixture(scope="module")
def pinhole() -> SimpleNamespace:
    """A rendered hand beside the centre of a wide image, and its truth."""
    scene = SyntheticCamera(HandModel.load(default_models_dir() / FILE_NAME), (800, 600), 60.0)
    view = scene.at(0.0)
    # Turning the camera moves the hand to the side of the image.
    turn = cv2.Rodrigues(np.array([0.0, np.deg2rad(32), 0.0]))[0]
    return SimpleNamespace(rgb=view.rgb, depth_m=view.depth_m, k=scene.camera_matrix, turn=turn, wrist_m=turn @ view.joints_m[0])


def seen_through(lens: object, pinhole: SimpleNamespace) -> Frame:
    """The rendered scene as a turned camera with this lens shows it; grey where the scene ends."""
    u, v = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    rays, _ = camera.sights(np.stack([u, v], -1).reshape(-1, 2), LENS_MATRIX, lens)
    directions = np.concatenate([rays, np.ones((len(rays), 1))], -1)
    scene = directions @ pinhole.turn
    at = scene @ pinhole.k.T / np.where(scene[:, 2:] > 0.05, scene[:, 2:], np.nan)
    x, y = (np.nan_to_num(at[:, axis], nan=-1).reshape(SIZE[::-1]).astype(np.float32) for axis in (0, 1))
    rgb = cv2.remap(pinhole.rgb, x, y, cv2.INTER_AREA, borderMode=cv2.BORDER_CONSTANT, borderValue=(90, 90, 90))
    # Depth is along the axis of the camera, and the camera has turned.
    depth = cv2.remap(pinhole.depth_m, x, y, cv2.INTER_NEAREST) / scene[:, 2].reshape(SIZE[::-1])
    return Frame(rgb, LENS_MATRIX, np.where(depth > 0, depth, 0).astype(np.float32), lens)


@pytest.mark.parametrize("name", LENSES)
def test_a_hand_at_the_side_of_a_wide_image_is_where_it_is(pipeline, pinhole, name):
    frame = seen_through(LENSES[name], pinhole)
    pipeline.reset()
    (hand,) = pipeline.estimate(frame, alone=True)
    assert hand.scale_source == "depth"
    assert np.linalg.norm(hand.wrist_pose[:3, 3] - pinhole.wrist_m) < 0.015
    assert hand.reprojection_px < 6


def test_without_depth_the_direction_of_the_hand_is_right(pipeline, pinhole):
    frame = seen_through(LENSES["fisheye without coefficients"], pinhole)
    pipeline.reset()
    (hand,) = pipeline.estimate(Frame(frame.rgb, frame.camera_matrix, distortion=frame.distortion), alone=True)
    found, truth = (wrist / np.linalg.norm(wrist) for wrist in (hand.wrist_pose[:3, 3], pinhole.wrist_m))
    assert np.degrees(np.arccos(found @ truth)) < 2
    pipeline.reset()
    (wrong,) = pipeline.estimate(Frame(frame.rgb, frame.camera_matrix), alone=True)
    as_pinhole = wrong.wrist_pose[:3, 3] / np.linalg.norm(wrong.wrist_pose[:3, 3])
    assert np.degrees(np.arccos(as_pinhole @ truth)) > 5, "the lens makes no difference in this test"


def detection_at(pixels: np.ndarray) -> HandDetection:
    joints = len(pixels)
    image_from_crop = np.array([[1.0, 0, pixels[0, 0]], [0, 1, pixels[0, 1]]])
    depth, world, sure = np.zeros(joints, np.float32), np.zeros((joints, 3), np.float32), np.ones(joints, np.float32)
    return HandDetection(pixels.astype(np.float32), depth, sure, world, "right", 1.0, 1.0, image_from_crop)


def test_keypoints_beyond_the_field_of_the_lens_count_almost_nothing():
    frame = Frame(np.zeros((480, 640, 3), np.uint8), LENS_MATRIX, distortion=np.array([-0.36, 0, 0, 0, 0]))
    reach_px = 320 * 0.6415  # here the polynomial turns back
    row = np.stack([319.5 + np.linspace(0.5, 1.5, 21) * reach_px, np.full(21, 239.5)], -1)
    seen = see(detection_at(row), frame)
    is_out = np.linspace(0.5, 1.5, 21) > 1
    assert np.all(seen.confidence[is_out] < 0.01)
    assert np.all(seen.confidence[:9] == 1)
    assert np.all(np.diff(seen.rays[:, 0]) > 0)
    assert seen.has_place


def test_a_hand_beyond_the_field_of_the_lens_has_no_position(pipeline, pinhole):
    frame = seen_through(LENSES["fisheye without coefficients"], pinhole)
    # The same image, of a lens that would show the hand 100 degrees from its axis.
    matrix = LENS_MATRIX.copy()
    matrix[0, 2] -= 390
    pipeline.reset()
    (hand,) = pipeline.estimate(Frame(frame.rgb, matrix, frame.depth_m, frame.distortion), alone=True)
    assert hand.scale_source == "none"
    assert np.isnan(hand.wrist_pose[:3, 3]).all()
    assert np.isfinite(hand.joints_m).all()
    np.testing.assert_allclose(hand.joints_m[0], 0, atol=1e-6)
