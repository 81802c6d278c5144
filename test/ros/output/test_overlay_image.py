"""The topic `overlay`: the image with the hands on it, drawn only for a subscriber."""

from collections.abc import Callable

import numpy as np
import pytest
from camera import Camera, image_of
from graph import Graph
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

from hand_mesh_ros.core.types import Frame
from hand_mesh_ros.ros.endpoints import Endpoints
from hand_mesh_ros.ros.input.convert_image import decode_rgb
from hand_mesh_ros.ros.output import images
from hand_mesh_ros.ros.output.images import OverlayImage
from hand_mesh_ros.synthetic.camera import SyntheticCamera
from hand_mesh_ros.viewer.overlay import FINGER_COLOURS

SIZE = (320, 240)
ANSWER_S = 40.0


@pytest.fixture
def graph(make_graph: Callable[[str], Graph]) -> Graph:
    return make_graph("overlay")


@pytest.mark.parametrize("is_mirrored", [False, True])
def test_the_overlay_has_the_header_of_its_image_and_the_keypoints_of_its_hands(graph, model, is_mirrored):
    camera = SyntheticCamera(model, SIZE)
    image, k = image_of(camera.at(0.0).rgb), camera.camera_matrix
    eye = Camera(graph, SIZE, QoSProfile(depth=1))
    graph.collect("overlay", Image)
    graph.start(
        "hand_mesh_node", threads=1, device="cpu", image_qos="reliable", mirrored_input=str(is_mirrored).lower(), max_age_ms=0.0
    )
    eye.connect(image, k)
    graph.received["overlay"].clear()

    def pair() -> tuple | None:
        hands = {str(answer.header): answer for answer in eye.hands if answer.hands}
        return next(
            ((drawn, hands[str(drawn.header)]) for drawn in graph.received["overlay"] if str(drawn.header) in hands), None
        )

    eye.ask(image, k)
    found = graph.wait_for(pair, ANSWER_S)
    assert found, "no overlay with the header of the hands"
    drawn, answer = found
    assert (drawn.width, drawn.height, drawn.encoding) == (*SIZE, "rgb8")
    pixels, shown = decode_rgb(drawn).astype(int), decode_rgb(image).astype(int)
    if is_mirrored:
        shown = shown[:, ::-1]
    keypoints = np.reshape(answer.hands[0].keypoints_px, (21, 2))
    # The tips have one colour per finger. Other lines may cross a tip.
    found_fingers = [
        int(np.linalg.norm(FINGER_COLOURS.astype(int) - pixels[round(v), round(u)], axis=1).argmin()) for u, v in keypoints[4::4]
    ]
    assert sum(finger == number for number, finger in enumerate(found_fingers)) >= 4
    # Far from the hand the overlay is the image.
    corner = np.abs(pixels - shown)[:20, :20]
    assert corner.max() == 0


def test_without_a_subscriber_nothing_is_drawn(graph, header, monkeypatch):
    monkeypatch.setattr(images, "draw_overlay", lambda *_: pytest.fail("drawn for nobody"))
    endpoints = Endpoints(graph.node)
    try:
        frame = Frame(np.zeros((24, 32, 3), np.uint8), np.zeros((3, 3)))
        OverlayImage(endpoints).publish(frame, [], header, False)
    finally:
        endpoints.destroy()
