"""The views of the palm model: points map back to the image, normal images stay as they are, and views find more hands."""

import numpy as np
import pytest

from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.detect import palm_input
from hand_mesh_ros.core.detect.detector import HandDetector
from hand_mesh_ros.core.detect.palm_input import OTHER_VIEWS, InputView, letterbox, turned_back
from hand_mesh_ros.core.detect.search import one_look
from hand_mesh_ros.core.geometry.camera import project
from hand_mesh_ros.core.hand.model import FILE_NAME, HandModel
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.types import Frame
from hand_mesh_ros.synthetic.camera import SyntheticCamera


@pytest.mark.parametrize("view", [*OTHER_VIEWS, InputView(1.25, -30.0)])
@pytest.mark.parametrize("size", [(640, 480), (300, 500), (90, 60)])
def test_points_of_every_view_map_back_to_the_image(view: InputView, size: tuple[int, int]) -> None:
    rgb = np.full((size[1], size[0], 3), 40, np.uint8)
    middle, side = np.array([0.6 * size[0], 0.3 * size[1]]).astype(int), max(size) // 20
    rgb[middle[1] - side : middle[1] + side + 1, middle[0] - side : middle[0] + side + 1] = 220
    image, (gain, shift) = letterbox(rgb, view)
    spot = np.argwhere(image[..., 0] > 130)[:, ::-1].mean(0)
    boxes, points = turned_back(np.array([[*(spot - 5), *(spot + 5)]]), np.tile(spot, (1, 7, 1)), view)
    np.testing.assert_allclose(points[0, 0] * gain + shift, middle, atol=0.5 * gain.max() * view.zoom)
    np.testing.assert_allclose(0.5 * (boxes[0, :2] + boxes[0, 2:]), points[0, 0], atol=1e-6)


def test_only_a_dark_or_flat_image_is_stretched() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (192, 192, 3), dtype=np.uint8)
    np.testing.assert_array_equal(letterbox(rgb)[0], rgb)
    dark = letterbox((0.15 * rgb).astype(np.uint8))[0]
    assert np.ptp(dark) > 150
    single = np.full_like(rgb, 90)
    np.testing.assert_array_equal(letterbox(single)[0], single)


@pytest.fixture(scope="module")
def detector() -> HandDetector:
    return HandDetector(default_models_dir(), PipelineConfig(device="cpu"))


@pytest.fixture(scope="module")
def camera() -> SyntheticCamera:
    return SyntheticCamera(HandModel.load(default_models_dir() / FILE_NAME))


def dark_view(camera: SyntheticCamera, moment_s: float) -> tuple[np.ndarray, np.ndarray]:
    """A dark and noisy image (H, W, 3) and the keypoints (21, 2)."""
    view = camera.at(moment_s)
    noise = np.random.default_rng(0).normal(0, 2, view.rgb.shape)
    return np.clip(0.1 * view.rgb + noise, 0, 255).astype(np.uint8), project(view.joints_m, camera.camera_matrix)


def test_the_stretched_contrast_finds_a_palm_in_the_dark(detector: HandDetector, camera: SyntheticCamera, monkeypatch) -> None:
    rgb, _ = dark_view(camera, 1.6)
    assert detector.palms(rgb, 0.5)
    monkeypatch.setattr(palm_input, "_FLAT", 0)
    assert not detector.palms(rgb, 0.25)


def test_other_views_find_a_hand_that_the_plain_view_misses(detector: HandDetector, camera: SyntheticCamera) -> None:
    rgb, keypoints_px = dark_view(camera, 4.0)
    (hand,) = detector.detect(Frame(rgb, np.zeros((3, 3))))
    size = np.linalg.norm(keypoints_px[9] - keypoints_px[0])
    assert np.linalg.norm(hand.keypoints_px - keypoints_px, axis=1).mean() < 0.5 * size
    assert not detector.detect(Frame(rgb, np.zeros((3, 3))), plan=one_look(rgb))
