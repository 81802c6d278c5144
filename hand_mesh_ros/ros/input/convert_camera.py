"""Converts sensor_msgs/CameraInfo to image intrinsics. Handles binning, region of interest, scaling and distortion."""

import numpy as np
from sensor_msgs.msg import CameraInfo

from hand_mesh_ros.ros.input.convert_image import ConversionError

_DISTORTION_LENGTHS = (4, 5, 8, 12, 14)
# Scaling may round width and height to whole or even pixels. A larger difference means that the aspect ratio is wrong.
_SHAPE_TOLERANCE = 0.02


def intrinsics(info: CameraInfo, width: int, height: int, rectified: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns the camera matrix, (3, 3), and the distortion coefficients of an image of `width` x `height` px.

    The coefficients are None if the image has no distortion. The matrix is all zero if the camera is not calibrated.
    CameraInfo describes the full sensor. The image may be a region, binned, or resized without a change of CameraInfo.
    Pixel centres are integers, so the scale factor applies to u + 1/2, not to u.

    Args:
        info: calibration of the camera that took the image.
        width: image width in px.
        height: image height in px.
        rectified: if true, uses P without distortion; else uses K with D.

    Raises:
        ConversionError: if numbers are not finite, the aspect ratio differs from the camera's, or the lens model is unknown.
    """
    matrix = np.asarray(info.k, float).reshape(3, 3).copy()
    if rectified and info.p[0] > 0:
        matrix = np.asarray(info.p, float).reshape(3, 4)[:, :3].copy()
    if not np.isfinite(matrix).all():
        raise ConversionError(f"camera_info contains a camera matrix that is not finite: {matrix.tolist()}")
    if not (matrix[0, 0] > 0 and matrix[1, 1] > 0):
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


def _distortion(info: CameraInfo) -> np.ndarray | None:
    coefficients = np.asarray(info.d, float)
    if not coefficients.any():
        return None
    if not np.isfinite(coefficients).all():
        raise ConversionError(f"camera_info contains distortion coefficients that are not finite: {coefficients.tolist()}")
    if info.distortion_model not in ("", "plumb_bob", "rational_polynomial") or coefficients.size not in _DISTORTION_LENGTHS:
        raise ConversionError(
            f"distortion model '{info.distortion_model}' with {coefficients.size} coefficients is not supported; "
            "rectify the image and set the parameter rectified"
        )
    return coefficients
