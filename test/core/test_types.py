"""Records check what they are given, and name the numbers."""

from dataclasses import replace

import numpy as np
import pytest

from hand_mesh_ros.core.geometry.camera import project
from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.types import Frame, HandDetection, Hypotheses, require_shape

K = np.array([[600.0, 0, 320], [0, 600, 240], [0, 0, 1]])
RGB = np.zeros((480, 640, 3), np.uint8)


def detection() -> HandDetection:
    keypoints = np.stack([np.linspace(100, 200, 21), np.linspace(50, 20, 21)], -1).astype(np.float32)
    flat = np.zeros(21, np.float32)
    return HandDetection(keypoints, flat, flat + 1, np.zeros((21, 3), np.float32), "left", 0.9, 0.8, np.eye(3)[:2])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rgb": RGB[..., 0]}, r"rgb has shape \(480, 640\)"),
        ({"rgb": RGB.astype(np.float32)}, "rgb has type float32"),
        ({"rgb": RGB[:0]}, "rgb is empty: 640x0"),
        ({"camera_matrix": K[:2]}, r"camera_matrix has shape \(2, 3\)"),
        ({"camera_matrix": K * np.nan}, "camera_matrix contains numbers that are not finite"),
        ({"depth_m": np.zeros((240, 320), np.float32)}, r"depth_m has shape \(240, 320\), expected \(480, 640\)"),
    ],
)
def test_a_frame_refuses_what_does_not_fit(changes, message):
    with pytest.raises(ValueError, match=message):
        Frame(**{"rgb": RGB, "camera_matrix": K, **changes})


def test_a_frame_takes_one_pixel_and_depth_without_measurements():
    frame = Frame(RGB[:1, :1], K, np.full((1, 1), np.nan, np.float32))
    assert frame.is_calibrated


def test_without_calibration_a_camera_is_assumed_but_said_to_be_none():
    frame = Frame(RGB, np.zeros((3, 3)))
    assert not frame.is_calibrated
    assert frame.working_camera_matrix[0, 0] == pytest.approx(320 / np.tan(np.deg2rad(30)))
    assert Frame(RGB, K).working_camera_matrix is K


def test_a_detection_refuses_keypoints_that_are_no_numbers():
    keypoints = detection().keypoints_px.copy()
    keypoints[3, 1] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        replace(detection(), keypoints_px=keypoints)
    with pytest.raises(ValueError, match="keypoint_conf has shape"):
        replace(detection(), keypoint_conf=np.ones(20, np.float32))


def test_the_box_is_tight():
    np.testing.assert_allclose(detection().box_px, [100, 20, 100, 30])


def test_hypotheses_need_a_weight_each():
    joints = np.zeros((4, 21, 3), np.float32)
    assert len(Hypotheses(joints, np.zeros(4, np.float32)).joints_m) == 4
    with pytest.raises(ValueError, match=r"log_weight has shape \(3,\), expected \(4,\)"):
        Hypotheses(joints, np.zeros(3, np.float32))


def test_any_length_is_called_any():
    with pytest.raises(ValueError, match=r"expected \('any', 3\)"):
        require_shape("points", np.zeros((5, 2)), (None, 3))


def test_a_mirrored_frame_sees_mirrored_points_at_mirrored_pixels():
    distortion = np.array([0.1, -0.05, 0.01, -0.02, 0.03])
    depth_m = np.arange(RGB[..., 0].size, dtype=np.float32).reshape(RGB.shape[:2])
    plain = Frame(RGB, K, depth_m, distortion)
    mirrored = plain.mirrored()
    points = np.random.default_rng(0).uniform((-0.3, -0.3, 0.8), (0.3, 0.3, 1.5), (10, 3))
    pixels = project(points, K, distortion)
    pixels[:, 0] = RGB.shape[1] - 1 - pixels[:, 0]
    np.testing.assert_allclose(project(mirror_points(points), mirrored.camera_matrix, mirrored.distortion), pixels, atol=1e-6)
    np.testing.assert_array_equal(mirrored.depth_m[:, 0], depth_m[:, -1])
    np.testing.assert_allclose(mirrored.mirrored().camera_matrix, K)


def test_a_mirrored_frame_of_an_unknown_camera_stays_unknown():
    assert not Frame(RGB, np.zeros((3, 3))).mirrored().is_calibrated
