"""The viewer draws into the image that hand_mesh_node looked at: rectified or not, mirrored or not."""

from array import array

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, Image

from hand_mesh_ros.core.types import Frame
from hand_mesh_ros.ros.input.convert_image import ConversionError
from hand_mesh_ros.ros.tools.viewer_node import ViewerConfig, picture

WIDTH, HEIGHT = 8, 6
K = [100.0, 0, 2.0, 0, 100, 3, 0, 0, 1]
P = [90.0, 0, 4.0, 0, 0, 90, 3, 0, 0, 0, 1, 0]


def message(rgb: np.ndarray) -> Image:
    return Image(width=WIDTH, height=HEIGHT, encoding="rgb8", step=3 * WIDTH, data=array("B", rgb.tobytes()))


def parts(frame: Frame) -> tuple:
    return frame.rgb, frame.camera_matrix, frame.distortion


def test_a_picture_has_the_camera_and_the_side_that_the_node_used():
    rgb = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    info = CameraInfo(width=WIDTH, height=HEIGHT, k=K, p=P, d=[0.1, 0, 0, 0.01, 0], distortion_model="plumb_bob")
    shown, matrix, distortion = parts(picture(message(rgb), info, None, ViewerConfig()))
    np.testing.assert_array_equal(shown, rgb)
    assert (matrix[0, 0], matrix[0, 2], distortion[3]) == (100, 2, 0.01)
    _, matrix, distortion = parts(picture(message(rgb), info, None, ViewerConfig(rectified=True)))
    assert (matrix[0, 0], matrix[0, 2], distortion) == (90, 4, None)
    shown, matrix, distortion = parts(picture(message(rgb), info, None, ViewerConfig(mirrored_input=True)))
    np.testing.assert_array_equal(shown, rgb[:, ::-1])
    assert (matrix[0, 2], distortion[3]) == (WIDTH - 1 - 2, -0.01)
    _, matrix, _ = parts(picture(message(rgb), None, None, ViewerConfig(mirrored_input=True)))
    assert not matrix.any()


def test_depth_belongs_to_its_pixels_also_in_a_mirrored_picture():
    rgb = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    depth_m = np.random.default_rng(0).uniform(0.3, 1.0, (HEIGHT, WIDTH)).astype(np.float32)
    depth = Image(width=WIDTH, height=HEIGHT, encoding="32FC1", step=4 * WIDTH, data=array("B", depth_m.tobytes()))
    np.testing.assert_array_equal(picture(message(rgb), None, depth, ViewerConfig()).depth_m, depth_m)
    np.testing.assert_array_equal(picture(message(rgb), None, depth, ViewerConfig(mirrored_input=True)).depth_m, depth_m[:, ::-1])
    depth.width = WIDTH // 2
    with pytest.raises(ConversionError, match=r"4x6 px, the image 8x6"):
        picture(message(rgb), None, depth, ViewerConfig())
