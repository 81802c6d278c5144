"""Image messages: conversion from pixels, and the camera image with the hands drawn over it."""

from array import array
from collections.abc import Sequence

import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from hand_mesh_ros.core.types import Frame, HandEstimate
from hand_mesh_ros.ros import qos
from hand_mesh_ros.ros.endpoints import Endpoints
from hand_mesh_ros.viewer.overlay import draw_overlay


class OverlayImage:
    """Publishes `overlay`. Without a subscriber nothing is drawn."""

    def __init__(self, endpoints: Endpoints) -> None:
        """Creates the publisher."""
        self._publisher = endpoints.publisher(Image, "overlay", qos.RESULT)

    def publish(self, frame: Frame, estimates: Sequence[HandEstimate], header: Header, is_mirrored: bool) -> None:
        """Publishes one image with its hands.

        Args:
            frame: the image as it arrived.
            estimates: hands in the frame of the camera.
            header: header of the image.
            is_mirrored: True if the estimates are hands of the mirrored image.
        """
        if not self._publisher.get_subscription_count():
            return
        shown = frame.mirrored() if is_mirrored else frame
        drawn = draw_overlay(shown.rgb, estimates, shown.camera_matrix, shown.distortion)
        self._publisher.publish(to_image(drawn, "rgb8", header))


def to_image(pixels: np.ndarray, encoding: str, header: Header) -> Image:
    """Converts pixels, (H, W) or (H, W, C), to an image. The pixel type must match `encoding`."""
    return Image(
        header=header,
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        step=pixels[0].nbytes,
        # An array.array from a buffer is fast. rclpy copies a numpy array element by element.
        data=array("B", pixels.tobytes()),
    )
