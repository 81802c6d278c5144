"""Signs of error on hands whose detection is exact, wrong, or incomplete."""

from dataclasses import replace

import numpy as np
import pytest

from hand_mesh_ros.core.detect import crop
from hand_mesh_ros.core.detect.seen_hand import see
from hand_mesh_ros.core.geometry import camera
from hand_mesh_ros.core.hand.model import FILE_NAME, HandModel
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.types import Frame, HandDetection
from hand_mesh_ros.core.uncertainty.error_signs import SIGNS, signs

CAMERA = np.array([[500.0, 0, 320], [0, 500.0, 240], [0, 0, 1]])
PLACE = np.array([0.05, 0.02, 0.5])
FRAME = Frame(np.zeros((480, 640, 3), np.uint8), CAMERA)


@pytest.fixture
def joints_m() -> np.ndarray:
    return HandModel.load(default_models_dir() / FILE_NAME).joints_m.astype(np.float64)


@pytest.fixture
def exact(joints_m) -> HandDetection:
    placed = joints_m + PLACE
    keypoints = camera.project(placed, CAMERA)
    return HandDetection(
        keypoints_px=keypoints.astype(np.float32),
        keypoint_depth_px=(500 * (placed[:, 2] - placed[0, 2]) / placed[0, 2]).astype(np.float32),
        keypoint_conf=np.full(21, 0.99, np.float32),
        world_landmarks_m=joints_m.astype(np.float32),
        handedness="right",
        handedness_prob=1.0,
        score=0.99,
        image_from_crop=crop.around_keypoints(keypoints),
        log_errors=np.array([-10.5, -9.5]),
    )


def told(detection: HandDetection, joints_m: np.ndarray) -> np.ndarray:
    return signs(see(detection, FRAME), joints_m)


def test_each_sign_rises_with_its_own_disagreement(exact, joints_m):
    rng = np.random.default_rng(0)
    plain = told(exact, joints_m)
    assert plain.shape == (len(SIGNS),)
    world = replace(exact, world_landmarks_m=(joints_m + rng.normal(0, 0.01, (21, 3))).astype(np.float32))
    depth = replace(exact, keypoint_depth_px=exact.keypoint_depth_px + rng.normal(0, 10, 21).astype(np.float32))
    unsure = replace(exact, keypoint_conf=0.6 * exact.keypoint_conf)
    expected = [replace(exact, log_errors=exact.log_errors + more) for more in ([1, 0], [0, 1])]
    for number, worse in ((0, world), (1, depth), (3, unsure), (4, expected[0]), (5, expected[1])):
        change = told(worse, joints_m) - plain
        assert change[number] > 0.5
        np.testing.assert_allclose(np.delete(change, number), 0, atol=1e-6)
    moved = replace(exact, keypoints_px=exact.keypoints_px + rng.normal(0, 8, (21, 2)).astype(np.float32))
    assert told(moved, joints_m)[2] > plain[2] + 0.5


def test_signs_do_not_depend_on_size_and_turn_of_the_detectors_guess(exact, joints_m):
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    guess = 1.3 * exact.world_landmarks_m @ turn.T.astype(np.float32) + 0.2
    np.testing.assert_allclose(told(replace(exact, world_landmarks_m=guess), joints_m), told(exact, joints_m), atol=1e-3)


def test_what_the_detector_does_not_say_is_no_sign(exact, joints_m):
    silent = replace(exact, world_landmarks_m=np.full((21, 3), np.nan, np.float32), log_errors=np.full(2, np.nan))
    values = told(silent, joints_m)
    assert np.all(np.isnan(values[[0, 4, 5]]))
    assert np.all(np.isfinite(values[1:4]))
