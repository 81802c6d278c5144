"""The viewer draws into the image that hand_mesh_node looked at: rectified or not, mirrored or not."""

from array import array

import numpy as np
from sensor_msgs.msg import CameraInfo, Image

from hand_mesh_ros.ros.tools.viewer_node import ViewerConfig, picture

WIDTH, HEIGHT = 8, 6
K = [100.0, 0, 2.0, 0, 100, 3, 0, 0, 1]
P = [90.0, 0, 4.0, 0, 0, 90, 3, 0, 0, 0, 1, 0]


def message(rgb: np.ndarray) -> Image:
    return Image(width=WIDTH, height=HEIGHT, encoding="rgb8", step=3 * WIDTH, data=array("B", rgb.tobytes()))


def test_a_picture_has_the_camera_and_the_side_that_the_node_used():
    rgb = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    info = CameraInfo(width=WIDTH, height=HEIGHT, k=K, p=P, d=[0.1, 0, 0, 0.01, 0], distortion_model="plumb_bob")
    shown, matrix, distortion = picture(message(rgb), info, ViewerConfig())
    np.testing.assert_array_equal(shown, rgb)
    assert (matrix[0, 0], matrix[0, 2], distortion[3]) == (100, 2, 0.01)
    _, matrix, distortion = picture(message(rgb), info, ViewerConfig(rectified=True))
    assert (matrix[0, 0], matrix[0, 2], distortion) == (90, 4, None)
    shown, matrix, distortion = picture(message(rgb), info, ViewerConfig(mirrored_input=True))
    np.testing.assert_array_equal(shown, rgb[:, ::-1])
    assert (matrix[0, 2], distortion[3]) == (WIDTH - 1 - 2, -0.01)
    _, matrix, _ = picture(message(rgb), None, ViewerConfig(mirrored_input=True))
    assert not matrix.any()
