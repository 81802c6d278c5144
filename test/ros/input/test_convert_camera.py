"""Intrinsics of images that are not what CameraInfo describes, against the closed form on rays: a pixel's ray must not change."""

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, RegionOfInterest

from hand_mesh_ros.core.geometry.lens import Fisheye
from hand_mesh_ros.ros.input.convert_camera import intrinsics, why_uncalibrated
from hand_mesh_ros.ros.input.convert_image import ConversionError

K = np.array([[610.0, 0, 318.5], [0, 605.0, 241.25], [0, 0, 1]])
D = [0.1, -0.2, 0.001, 0.002, 0.05]


def camera_info(**fields: object) -> CameraInfo:
    return CameraInfo(**({"width": 640, "height": 480, "k": K.ravel(), "distortion_model": "plumb_bob", "d": D} | fields))


def ray(matrix: np.ndarray, pixel: tuple[float, float]) -> np.ndarray:
    return np.linalg.solve(matrix, [*pixel, 1.0])


def test_the_image_that_camera_info_describes_keeps_k_and_d():
    matrix, distortion = intrinsics(camera_info(), 640, 480, rectified=False)
    np.testing.assert_allclose(matrix, K)
    np.testing.assert_allclose(distortion, D)


@pytest.mark.parametrize("factor", [0.5, 2.0, 1.5])
def test_a_scaled_image_sees_the_same_rays(factor):
    matrix, _ = intrinsics(camera_info(), round(640 * factor), round(480 * factor), rectified=False)
    # The top left corner of the image, half a pixel off the first centre, stays where it is.
    np.testing.assert_allclose(ray(matrix, (-0.5, -0.5)), ray(K, (-0.5, -0.5)))
    np.testing.assert_allclose(ray(matrix, (factor * 100.5 - 0.5, factor * 50.5 - 0.5)), ray(K, (100, 50)))


def test_binning_averages_whole_pixels():
    matrix, _ = intrinsics(camera_info(binning_x=2, binning_y=2), 320, 240, rectified=False)
    np.testing.assert_allclose(ray(matrix, (10, 20)), ray(K, (20.5, 40.5)))


def test_a_region_moves_the_centre_alone():
    region = RegionOfInterest(x_offset=100, y_offset=60, width=200, height=160)
    matrix, _ = intrinsics(camera_info(roi=region), 200, 160, rectified=False)
    np.testing.assert_allclose(ray(matrix, (10, 20)), ray(K, (110, 80)))
    np.testing.assert_allclose(np.diag(matrix), np.diag(K))


def test_a_binned_region():
    region = RegionOfInterest(x_offset=100, y_offset=60, width=200, height=160)
    matrix, _ = intrinsics(camera_info(roi=region, binning_x=4, binning_y=4), 50, 40, rectified=False)
    np.testing.assert_allclose(ray(matrix, (0, 0)), ray(K, (101.5, 61.5)))


def test_a_camera_info_without_size_means_this_image():
    matrix, _ = intrinsics(camera_info(width=0, height=0), 640, 480, rectified=False)
    np.testing.assert_allclose(matrix, K)


def test_a_rectified_image_has_p_and_no_distortion():
    projection = np.zeros((3, 4))
    projection[:, :3] = K + np.array([[5.0, 0, 3], [0, 6, 2], [0, 0, 0]])
    projection[0, 3] = -50.0  # baseline of a right camera: not ours
    matrix, distortion = intrinsics(camera_info(p=projection.ravel()), 640, 480, rectified=True)
    np.testing.assert_allclose(matrix, projection[:, :3])
    assert distortion is None
    unset, _ = intrinsics(camera_info(), 640, 480, rectified=True)
    np.testing.assert_allclose(unset, K)


@pytest.mark.parametrize("d", [[], [0.0] * 5])
def test_no_distortion_is_none(d):
    assert intrinsics(camera_info(d=d), 640, 480, rectified=False)[1] is None


def test_an_all_zero_k_stays_all_zero_at_every_size():
    matrix, distortion = intrinsics(camera_info(k=np.zeros(9)), 123, 45, rectified=False)
    assert not matrix.any()
    assert distortion is None


@pytest.mark.parametrize("d", [[0.1, -0.02, 0.01, 0.003], [0.0] * 4, []])
def test_equidistant_is_a_fisheye_also_without_distortion(d):
    matrix, distortion = intrinsics(camera_info(distortion_model="equidistant", d=d), 320, 240, rectified=False)
    assert isinstance(distortion, Fisheye)
    np.testing.assert_allclose(distortion.coefficients, d or np.zeros(4))
    assert matrix[0, 0] == pytest.approx(K[0, 0] / 2)
    assert intrinsics(camera_info(distortion_model="equidistant", d=d), 640, 480, rectified=True)[1] is None


@pytest.mark.parametrize("model", ["none", "brown_conrady", "inverse_brown_conrady", "rational_polynomial"])
def test_polynomial_models_without_coefficients_are_a_pinhole(model):
    info = camera_info(distortion_model=model, d=[0.0] * 5)
    assert not why_uncalibrated(info, rectified=False)
    np.testing.assert_allclose(intrinsics(info, 640, 480, rectified=False)[0], K)


@pytest.mark.parametrize(
    ("model", "d"),
    [
        ("brown_conrady", D),
        ("none", D),
        ("plumb_bob", [0.1] * 6),
        ("plumb_bob", [0.1] * 3),
        ("equidistant", [0.1] * 5),
        ("fisheye", [0.0] * 4),
        ("omnidirectional", [0.0] * 5),
    ],
)
def test_an_unknown_lens_counts_as_not_calibrated_and_names_the_model_and_the_cure(model, d):
    info = camera_info(distortion_model=model, d=d)
    matrix, distortion = intrinsics(info, 640, 480, rectified=False)
    assert not matrix.any()
    assert distortion is None
    reason = why_uncalibrated(info, rectified=False)
    for needle in (f"'{model}'", f"{len(d)} coefficients", "parameter rectified"):
        assert needle in reason
    # The cure works.
    assert not why_uncalibrated(info, rectified=True)
    np.testing.assert_allclose(intrinsics(info, 640, 480, rectified=True)[0], K)


@pytest.mark.parametrize(
    ("fields", "size", "needle"),
    [
        ({}, (640, 360), "640x360.*640x480"),
        ({"k": np.full(9, np.nan)}, (640, 480), "not finite"),
        ({"d": [np.nan] * 5}, (640, 480), "not finite"),
    ],
)
def test_what_cannot_be_right_is_refused_with_its_numbers(fields, size, needle):
    with pytest.raises(ConversionError, match=needle):
        intrinsics(camera_info(**fields), *size, rectified=False)
