"""Publishes the skeletons of the hands as annotations of the camera image, if foxglove_msgs is installed."""

from collections.abc import Iterable, Sequence

import numpy as np
from rclpy.publisher import Publisher
from std_msgs.msg import Header

from hand_mesh_ros.core.topology import BONES
from hand_mesh_ros.core.types import HandEstimate
from hand_mesh_ros.ros import qos
from hand_mesh_ros.ros.endpoints import Endpoints
from hand_mesh_ros.viewer.overlay import JOINT_COLOURS, SIDE_COLOURS

try:
    from foxglove_msgs.msg import Color, ImageAnnotations, Point2, PointsAnnotation, TextAnnotation
except ImportError:
    ImageAnnotations = None

# Foxglove counts pixels from the corner of the first pixel. We count from its centre.
_CORNER_PX = 0.5
_POINT_PX, _BONE_PX, _FONT_PX = 6.0, 3.0, 16.0
_TEXT_GAP_PX = 8.0  # between the highest keypoint and the text


class HandAnnotations:
    """Publishes `annotations`: points, bones and a text per hand. Without a subscriber the node builds nothing."""

    def __init__(self, endpoints: Endpoints) -> None:
        """Creates the publisher if foxglove_msgs is installed."""
        self._publisher: Publisher | None = None
        if ImageAnnotations is not None:
            self._publisher = endpoints.publisher(ImageAnnotations, "annotations", qos.RESULT)

    def publish(self, width_px: int, estimates: Sequence[HandEstimate], header: Header, is_mirrored: bool) -> None:
        """Publishes the hands of one image.

        Args:
            width_px: width of the image.
            estimates: hands in the frame of the camera.
            header: header of the image.
            is_mirrored: True if the estimates are hands of the mirrored image. The annotations belong to the image as it arrived.
        """
        if self._publisher is None or not self._publisher.get_subscription_count():
            return
        message = ImageAnnotations()
        for hand in estimates:
            pixels = np.array(hand.keypoints_px, float)
            if is_mirrored:
                pixels[:, 0] = width_px - 1 - pixels[:, 0]
            message.points += [_bones(pixels, header), _joints(pixels, header)]
            message.texts.append(_label(hand, pixels, header))
        self._publisher.publish(message)


def _bones(pixels: np.ndarray, header: Header) -> "PointsAnnotation":
    """Returns one line per bone, in the colour of its finger."""
    return PointsAnnotation(
        timestamp=header.stamp,
        type=PointsAnnotation.LINE_LIST,
        points=_points(pixels[np.array(BONES).ravel()]),
        outline_colors=[_colour(JOINT_COLOURS[child]) for _, child in BONES],
        thickness=_BONE_PX,
    )


def _joints(pixels: np.ndarray, header: Header) -> "PointsAnnotation":
    return PointsAnnotation(
        timestamp=header.stamp,
        type=PointsAnnotation.POINTS,
        points=_points(pixels),
        outline_colors=[_colour(rgb) for rgb in JOINT_COLOURS],
        thickness=_POINT_PX,
    )


def _label(hand: HandEstimate, pixels: np.ndarray, header: Header) -> "TextAnnotation":
    """Returns the side and the score, above the hand."""
    (position,) = _points(pixels.min(axis=0, keepdims=True) - [0, _TEXT_GAP_PX])
    return TextAnnotation(
        timestamp=header.stamp,
        position=position,
        text=f"{hand.handedness} {hand.score:.2f}",
        font_size=_FONT_PX,
        text_color=_colour(SIDE_COLOURS[hand.handedness]),
        background_color=Color(r=0.08, g=0.08, b=0.08, a=0.6),
    )


def _points(pixels: np.ndarray) -> "list[Point2]":
    return [Point2(x=x, y=y) for x, y in (np.asarray(pixels, float) + _CORNER_PX).tolist()]


def _colour(rgb: Iterable[int]) -> "Color":
    red, green, blue = (int(value) / 255 for value in rgb)
    return Color(r=red, g=green, b=blue, a=1.0)
