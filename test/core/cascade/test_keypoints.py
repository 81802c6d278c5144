"""Corrected keypoints: coordinates of the crop and back, mirror images, and detections without the cues of the network."""

from dataclasses import replace

import numpy as np
import pytest

from hand_mesh_ros.core.cascade.keypoints import KeypointCorrector, in_crop, moved_to
from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.detect import crop
from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.types import HandDetection

WIDTH = 640


@pytest.fixture(scope="module")
def corrector() -> KeypointCorrector:
    return KeypointCorrector(default_models_dir(), PipelineConfig(device="cpu", threads=1))


@pytest.fixture
def detection() -> HandDetection:
    """A right hand in a turned crop, with cues of no meaning."""
    rng = np.random.default_rng(0)
    axes = crop.axes_from_up(np.array([0.6, -0.8]))
    image_from_crop = crop.affine(np.array([300.0, 200.0]), axes, 336.0)
    keypoints = crop.apply(image_from_crop, rng.uniform(40, 180, (21, 2)))
    depth = rng.normal(0, 20, 21)
    world = rng.normal(0, 0.04, (21, 3))
    pooled = np.abs(rng.normal(size=1152)).astype(np.float32)
    return HandDetection(
        keypoints, depth - depth[0], np.ones(21, np.float32), world, "right", 1.0, 1.0, image_from_crop, pooled_features=pooled
    )


def mirrored(hand: HandDetection) -> HandDetection:
    """The left hand in the mirrored image. Its crop shows the same pixels."""
    return replace(
        hand,
        keypoints_px=np.array([WIDTH - 1, 0]) + hand.keypoints_px * np.array([-1, 1]),
        world_landmarks_m=mirror_points(hand.world_landmarks_m),
        handedness="left",
        image_from_crop=hand.image_from_crop * np.array([[-1], [1]]) + np.array([[0, 0, WIDTH - 1], [0, 0, 0]]),
    )


def test_landmarks_in_the_crop_have_its_pixels_and_axes(detection: HandDetection) -> None:
    landmarks, world_m = in_crop(detection)
    assert landmarks[:, :2].min() > 39
    assert landmarks[:, :2].max() < 181
    scale = 336.0 / crop.SIZE_PX
    np.testing.assert_allclose(landmarks[:, 2] * scale, detection.keypoint_depth_px, atol=1e-6)
    up = np.array([0.6, -0.8])
    np.testing.assert_allclose(-world_m[:, 1], detection.world_landmarks_m[:, :2] @ up, atol=1e-9)
    np.testing.assert_allclose(world_m[:, 2], detection.world_landmarks_m[:, 2])


def test_unchanged_landmarks_give_the_same_detection(detection: HandDetection) -> None:
    for hand in (detection, mirrored(detection)):
        again = moved_to(hand, in_crop(hand)[0])
        np.testing.assert_allclose(again.keypoints_px, hand.keypoints_px, atol=1e-3)
        np.testing.assert_allclose(again.keypoint_depth_px, hand.keypoint_depth_px, atol=1e-4)


def test_a_mirrored_hand_gets_the_mirrored_correction(corrector: KeypointCorrector, detection: HandDetection) -> None:
    right, left = mirrored(corrector(detection)), corrector(mirrored(detection))
    assert np.abs(left.keypoints_px - mirrored(detection).keypoints_px).max() > 1  # the network changes something
    np.testing.assert_allclose(left.keypoints_px, right.keypoints_px, atol=0.01)
    np.testing.assert_allclose(left.keypoint_depth_px, right.keypoint_depth_px, atol=0.01)
    assert left.keypoint_depth_px[0] == 0


def test_a_detection_without_the_cues_stays_as_it_is(corrector: KeypointCorrector, detection: HandDetection) -> None:
    nothing = np.full((21, 3), np.nan)
    for hand in (
        replace(detection, pooled_features=None),
        replace(detection, keypoint_depth_px=nothing[:, 0]),
        replace(detection, world_landmarks_m=nothing),
    ):
        assert corrector(hand) is hand
