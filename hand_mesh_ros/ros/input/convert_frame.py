"""Converts camera messages to the `Frame` record of the pipeline."""

import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from hand_mesh_ros.core.types import Frame
from hand_mesh_ros.ros.input.compressed_depth import decompress_depth
from hand_mesh_ros.ros.input.convert_camera import intrinsics
from hand_mesh_ros.ros.input.convert_image import ConversionError, decode_depth, decode_rgb
from hand_mesh_ros.ros.input.watch.brightness import Stretch
from hand_mesh_ros.ros.stamp import stamp_ns


def depth_of_image(depth: Image | CompressedImage, image: Image, scale: float = 1.0) -> np.ndarray:
    """Returns depth registered to the image, (H, W) float32 in metres, 0 where depth is missing.

    Args:
        depth: depth in any encoding of `decode_depth` or `decompress_depth`.
        image: the colours of the same time.
        scale: as in `decode_depth`.

    Raises:
        ConversionError: if the size differs from the image or the encoding is unknown. The image is still usable without depth.
    """
    if isinstance(depth, CompressedImage):
        depth = decompress_depth(depth)
    if (depth.width, depth.height) != (image.width, image.height):
        raise ConversionError(
            f"depth is {depth.width}x{depth.height} px, the image {image.width}x{image.height}: register the depth to the image"
        )
    return decode_depth(depth, scale)


def to_frame(
    image: Image, info: CameraInfo | None, depth_m: np.ndarray | None, rectified: bool, stretch: Stretch | None = None
) -> Frame:
    """Returns the input record of the pipeline.

    Args:
        image: colours in any encoding of `decode_rgb`.
        info: calibration of the same camera, or None if the camera is not calibrated.
        depth_m: (H, W) float32 registered to the image, or None.
        rectified: as in `intrinsics`.
        stretch: as in `decode_rgb`.

    Raises:
        ConversionError: if a value is invalid. The text contains the value.
    """
    rgb = decode_rgb(image, stretch)
    height, width = rgb.shape[:2]
    if depth_m is not None and depth_m.shape != (height, width):
        raise ConversionError(
            f"depth is {depth_m.shape[1]}x{depth_m.shape[0]} px, the image {width}x{height}: register the depth to the image"
        )
    matrix, distortion = (np.zeros((3, 3)), None) if info is None else intrinsics(info, width, height, rectified)
    return Frame(rgb, matrix, depth_m, distortion, stamp_ns(image.header) * 1e-9, image.header.frame_id)
