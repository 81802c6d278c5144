"""Converts sensor_msgs/CameraInfo to image intrinsics. Handles binning, region of interest, scaling and distortion."""

import numpy as np
from sensor_msgs.msg import CameraInfo

from hand_mesh_ros.core.geometry.lens import Distortion, Fisheye
from hand_mesh_ros.ros.input.convert_image import ConversionError

# Lens models of sensor_msgs. An empty name is an old driver's plumb_bob.
_POLYNOMIALS, _POLYNOMIAL_LENGTHS = ("", "plumb_bob", "rational_polynomial"), (4, 5, 8, 12, 14)
_FISHEYE, _FISHEYE_LENGTH = "equidistant", 4
# With all coefficients zero, these models are a camera without distortion too. Other models are not, for example a fisheye.
_PLAIN_IF_ZERO = (*_POLYNOMIALS, "none", "pinhole", "brown_conrady", "inverse_brown_conrady", "modified_brown_conrady")
# Scaling may round width and height to whole or even pixels. A larger difference means that the aspect ratio is wrong.
_SHAPE_TOLERANCE = 0.02


def why_uncalibrated(info: CameraInfo | None, rectified: bool, topic: str = "camera_info") -> str:
    """Returns why the camera counts as not calibrated, and the cure; an empty text for a calibrated camera.

    Args:
        info: calibration, or None if there is none.
        rectified: as in `intrinsics`.
        topic: name of the calibration in the text.
    """
    if info is None:
        return f"no {topic} received"
    matrix = _matrix(info, rectified)
    if np.isfinite(matrix).all() and not (matrix[0, 0] > 0 and matrix[1, 1] > 0):
        return f"{topic} has an all-zero K"
    if not rectified and not _has_known_lens(info):
        return (
            f"{topic} has the distortion model '{info.distortion_model}' with {len(info.d)} coefficients, which is not "
            "supported, rectify the image (image_proc) and set the parameter rectified"
        )
    return ""


def intrinsics(info: CameraInfo, width: int, height: int, rectified: bool) -> tuple[np.ndarray, Distortion]:
    """Returns the camera matrix, (3, 3), and the distortion of an image of `width` x `height` px.

    The distortion is None if the image has no distortion. The matrix is all zero if the camera is not calibrated, which includes
    an unknown lens model; `why_uncalibrated` gives the reason.
    CameraInfo describes the full sensor. The image may be a region, binned, or resized without a change of CameraInfo.
    Pixel centres are integers, so the scale factor applies to u + 1/2, not to u.

    Args:
        info: calibration of the camera that took the image.
        width: image width in px.
        height: image height in px.
        rectified: if true, uses P without distortion; else uses K with D.

    Raises:
        ConversionError: if numbers are not finite, or the aspect ratio differs from the camera's.
    """
    matrix = _matrix(info, rectified)
    if not np.isfinite(matrix).all():
        raise ConversionError(f"camera_info contains a camera matrix that is not finite: {matrix.tolist()}")
    if why_uncalibrated(info, rectified):
        return np.zeros((3, 3)), None
    x_offset, y_offset, region_width, region_height = _region(info, width, height)
    scale_x, scale_y = width / region_width, height / region_height
    if abs(scale_x / scale_y - 1) > _SHAPE_TOLERANCE:
        raise ConversionError(
            f"image is {width}x{height} px, camera_info describes {region_width}x{region_height} px with another aspect "
            "ratio: publish the camera_info of this image, or its roi"
        )
    matrix[0, 2] -= x_offset
    matrix[1, 2] -= y_offset
    half_pixel = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    matrix = np.linalg.inv(half_pixel) @ np.diag([scale_x, scale_y, 1.0]) @ half_pixel @ matrix
    return matrix, None if rectified else _distortion(info)


def _matrix(info: CameraInfo, rectified: bool) -> np.ndarray:
    """Returns the camera matrix (3, 3) of the full sensor."""
    if rectified and info.p[0] > 0:
        return np.asarray(info.p, float).reshape(3, 4)[:, :3].copy()
    return np.asarray(info.k, float).reshape(3, 3).copy()


def _region(info: CameraInfo, width: int, height: int) -> tuple[int, int, int, int]:
    """Returns x, y, width and height of the visible sensor region, in full-resolution pixels."""
    region = info.roi
    if region.width and region.height:
        return region.x_offset, region.y_offset, region.width, region.height
    # Some drivers set the size to zero. Then the matrix describes this image. The binning fields are not needed, because the
    # ratio between image size and region size includes the binning.
    full_width = info.width or width * max(info.binning_x, 1)
    full_height = info.height or height * max(info.binning_y, 1)
    return 0, 0, full_width, full_height


def _has_known_lens(info: CameraInfo) -> bool:
    if info.distortion_model == _FISHEYE:
        return len(info.d) in (0, _FISHEYE_LENGTH)
    if not np.any(info.d):
        return info.distortion_model in _PLAIN_IF_ZERO
    return info.distortion_model in _POLYNOMIALS and len(info.d) in _POLYNOMIAL_LENGTHS


def _distortion(info: CameraInfo) -> Distortion:
    """Returns the distortion of a known lens model."""
    coefficients = np.asarray(info.d, float)
    if not np.isfinite(coefficients).all():
        raise ConversionError(f"camera_info contains distortion coefficients that are not finite: {coefficients.tolist()}")
    if info.distortion_model == _FISHEYE:
        return Fisheye(coefficients if len(coefficients) else np.zeros(_FISHEYE_LENGTH))
    return coefficients if coefficients.any() else None
