"""Draws the estimates over their image."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from hand_mesh_ros.core.geometry.camera import is_calibrated, project
from hand_mesh_ros.core.geometry.lens import Distortion
from hand_mesh_ros.core.topology import BONES
from hand_mesh_ros.core.types import HandEstimate

# Display rgb of each side, in all views.
SIDE_COLOURS = {"left": (90, 158, 242), "right": (242, 168, 107)}
# Display rgb per finger, thumb first.
FINGER_COLOURS = np.array([[240, 98, 94], [245, 190, 66], [120, 205, 95], [80, 185, 230], [178, 122, 230]], np.uint8)
_WRIST_COLOUR = (235, 235, 235)
# Display rgb per joint, (21, 3).
JOINT_COLOURS = np.concatenate([[_WRIST_COLOUR], np.repeat(FINGER_COLOURS, 4, axis=0)]).astype(np.uint8)
# OpenCV draws at 1/16 pixel with this shift.
_SHIFT = 4


@dataclass(frozen=True)
class OverlayLayers:
    """Visible parts of the overlay."""

    keypoints: bool = True  # the detector's keypoints: dots and bones
    reprojection: bool = True  # the estimated skeleton: thin white lines
    hypotheses: bool = True  # the skeletons of all hypotheses: faint lines
    label: bool = True


_ALL = OverlayLayers()


def draw_overlay(
    rgb: np.ndarray,
    hands: Sequence[HandEstimate],
    camera_matrix: np.ndarray,
    distortion: Distortion = None,
    layers: OverlayLayers = _ALL,
) -> np.ndarray:
    """Returns a copy of the image, (H, W, 3) uint8, with the hands.

    Args:
        rgb: (H, W, 3) uint8.
        hands: estimates in this image.
        camera_matrix: (3, 3); if all zero, the overlay omits the parts that need a calibrated camera.
        distortion: of the lens, as in `Frame`.
        layers: visible parts.
    """
    image = np.ascontiguousarray(rgb).copy()
    unit = max(1, round(max(image.shape[:2]) / 400))  # line width for the size of the image
    for hand in hands:
        may_project = is_calibrated(camera_matrix) and hand.scale_source != "none"
        if layers.hypotheses and may_project and len(hand.hypotheses_m):
            _draw_hypotheses(image, hand, camera_matrix, distortion, unit)
        if layers.keypoints:
            _draw_skeleton(image, hand.keypoints_px, None, 2 * unit)
            _draw_joints(image, hand.keypoints_px, 2 * unit + 1)
        if layers.reprojection and may_project and _is_in_front(hand.joints_m):
            _draw_skeleton(image, project(hand.joints_m, camera_matrix, distortion), (255, 255, 255), unit)
        if layers.label:
            _draw_label(image, hand, unit)
    return image


def _draw_hypotheses(image: np.ndarray, hand: HandEstimate, camera_matrix: np.ndarray, distortion: Distortion, unit: int) -> None:
    lines = image.copy()
    for joints in hand.hypotheses_m:
        if _is_in_front(joints):
            _draw_skeleton(lines, project(joints, camera_matrix, distortion), SIDE_COLOURS[hand.handedness], unit)
    cv2.addWeighted(lines, 0.6, image, 0.4, 0, dst=image)


def _draw_skeleton(image: np.ndarray, points_px: np.ndarray, colour: tuple[int, int, int] | None, width: int) -> None:
    """Draws bones in one colour, or in the colours of the fingers if `colour` is None."""
    fixed = _fixed_point(points_px)
    for number, (parent, child) in enumerate(BONES):
        rgb = colour or FINGER_COLOURS[number // 4].tolist()
        cv2.line(image, fixed[parent], fixed[child], rgb, width, cv2.LINE_AA, _SHIFT)


def _draw_joints(image: np.ndarray, points_px: np.ndarray, radius: int) -> None:
    for joint, centre in enumerate(_fixed_point(points_px)):
        cv2.circle(image, centre, (radius + 1) << _SHIFT, (20, 20, 20), -1, cv2.LINE_AA, _SHIFT)
        cv2.circle(image, centre, radius << _SHIFT, JOINT_COLOURS[joint].tolist(), -1, cv2.LINE_AA, _SHIFT)


def _draw_label(image: np.ndarray, hand: HandEstimate, unit: int) -> None:
    text = f"{hand.handedness} {hand.handedness_prob:.2f}"
    x, y = hand.keypoints_px[:, 0].min(), hand.keypoints_px[:, 1].min() - 8 * unit
    origin = (int(np.clip(x, 2, image.shape[1] - 2)), int(np.clip(y, 14 * unit, image.shape[0] - 2)))
    draw_text(image, text, origin, SIDE_COLOURS[hand.handedness], unit)


def draw_text(image: np.ndarray, text: str, origin: tuple[int, int], colour: tuple[int, int, int], unit: int) -> None:
    """Writes text with a dark outline into an image, (H, W, 3) uint8.

    Args:
        image: rgb; changes.
        text: one line of ASCII.
        origin: lower left corner of the text in pixels.
        colour: rgb.
        unit: width of the lines in pixels. The size of the letters is proportional.
    """
    # OpenCV 5 writes thick letters wider apart than thin letters, so that a thick text is no outline of a thin one.
    outline = [((20, 20, 20), shift) for shift in ((-unit, -unit), (-unit, unit), (unit, -unit), (unit, unit))]
    for rgb, (right, down) in (*outline, (colour, (0, 0))):
        place = origin[0] + right, origin[1] + down
        cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45 * unit, rgb, unit, cv2.LINE_AA)


def _is_in_front(joints_m: np.ndarray) -> bool:
    return bool(np.isfinite(joints_m).all() and (joints_m[:, 2] > 1e-2).all())


def _fixed_point(points_px: np.ndarray) -> list[tuple[int, int]]:
    """Returns pixels as OpenCV's fixed-point integers, clipped far outside the image to prevent an overflow in OpenCV."""
    scaled = np.round(np.clip(points_px, -20000, 20000) * (1 << _SHIFT)).astype(int)
    return [(int(x), int(y)) for x, y in scaled]
