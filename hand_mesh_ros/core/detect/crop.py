"""The upright square crop that is the input of the landmark model: its position, its pixels, and the conversion of points.

`image_from_crop`, (2, 3), describes a crop: image pixel = A @ crop pixel + t. Pixel centres are at integers in image and crop.
The hand points up in the crop. For a left hand, the x axis of the crop is mirrored (det A < 0), so that the model always gets a
right hand.
"""

import math

import cv2
import numpy as np

from hand_mesh_ros.core.detect import palm as palms
from hand_mesh_ros.core.detect.palm import Palm
from hand_mesh_ros.core.topology import FINGER_BASES, MIDDLE_MCP, WRIST

SIZE_PX = 224
# From palm box to crop: the fingers are above the palm, so the square moves up by half a palm and grows (MediaPipe Hands).
_PALM_SHIFT, _PALM_GROWTH = -0.5, 2.6
# From the last landmarks to the crop: a square around the steady joints with space for fingertips and motion.
_TRACK_SHIFT, _TRACK_GROWTH = -0.1, 2.0
# A part of the image up to this size is copied before it is warped. A copy reads the memory in order. With a fourth channel,
# OpenCV warps a pixel at once. The two together save a third of the time, and the result is the same.
_COPIED_PX = 500_000
# Fingertips and the joints next to them are not used, because they move too fast.
STEADY_JOINTS = np.array([0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18])
_INDEX_MCP, _RING_MCP = FINGER_BASES[1], FINGER_BASES[3]


def around_palm(palm: Palm) -> np.ndarray:
    """image_from_crop, (2, 3), not mirrored, of the hand with this palm."""
    up = palm.keypoints_px[palms.MIDDLE_MCP] - palm.keypoints_px[palms.WRIST]
    size = palm.box_px[2:]
    axes = axes_from_up(up)
    centre = palm.box_px[:2] + 0.5 * size + axes[:, 1] * (_PALM_SHIFT * size[1])
    return affine(centre, axes, _PALM_GROWTH * size.max())


def around_keypoints(keypoints_px: np.ndarray) -> np.ndarray:
    """image_from_crop, (2, 3), not mirrored, of a hand with keypoints (21, 2) from the last image."""
    fingers = 0.25 * (keypoints_px[_INDEX_MCP] + keypoints_px[_RING_MCP]) + 0.5 * keypoints_px[MIDDLE_MCP]
    axes = axes_from_up(fingers - keypoints_px[WRIST])
    upright = keypoints_px[STEADY_JOINTS] @ axes
    low, high = upright.min(0), upright.max(0)
    size = high - low
    centre = axes @ (0.5 * (low + high) + np.array([0, _TRACK_SHIFT * size[1]]))
    return affine(centre, axes, _TRACK_GROWTH * size.max())


def axes_from_up(up: np.ndarray) -> np.ndarray:
    """Rotation, (2, 2), for a crop in which `up` (2,) points up. The columns are the x and y axes of the crop in the image."""
    length = np.linalg.norm(up)
    x, y = -up / length if length > 1e-6 else (0.0, 1.0)
    return np.array([[y, x], [-x, y]])


def affine(centre_px: np.ndarray, axes: np.ndarray, side_px: float) -> np.ndarray:
    """image_from_crop, (2, 3), of a square with centre (2,), axes (2, 2) and side length in image pixels."""
    linear = axes * (side_px / SIZE_PX)
    middle = np.full(2, 0.5 * (SIZE_PX - 1))
    return np.column_stack([linear, centre_px - linear @ middle])


def mirror(image_from_crop: np.ndarray) -> np.ndarray:
    """The same square with a reversed x axis. The function is its own inverse."""
    linear, origin = image_from_crop[:, :2], image_from_crop[:, 2]
    return np.column_stack([-linear[:, 0], linear[:, 1], origin + linear[:, 0] * (SIZE_PX - 1)])


def is_mirrored(image_from_crop: np.ndarray) -> bool:
    """True if the crop shows a mirrored hand, as for left hands."""
    return _determinant(image_from_crop) < 0


def scale(image_from_crop: np.ndarray) -> float:
    """Image pixels per crop pixel."""
    return math.sqrt(abs(_determinant(image_from_crop)))


def _determinant(affine_map: np.ndarray) -> float:
    (a, b), (c, d) = affine_map[:, :2].tolist()
    return a * d - b * c


def inverse(image_from_crop: np.ndarray) -> np.ndarray:
    """crop_from_image, (2, 3)."""
    linear = np.linalg.inv(image_from_crop[:, :2])
    return np.column_stack([linear, -linear @ image_from_crop[:, 2]])


def apply(affine_map: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (..., 2) after an affine map (2, 3)."""
    return points @ affine_map[:, :2].T + affine_map[:, 2]


def place_in(image_from_crop: np.ndarray, keypoints_px: np.ndarray) -> np.ndarray:
    """Positions in the crop of keypoints (21, 2) of the image, -1..1 from border to border."""
    return apply(inverse(image_from_crop), keypoints_px) / (0.5 * (SIZE_PX - 1)) - 1


def cut(rgb: np.ndarray, image_from_crop: np.ndarray) -> np.ndarray:
    """The crop, (224, 224, 3) uint8, bilinear. Outside the image, the crop repeats the edge pixels.

    Args:
        rgb: (H, W, 3) uint8; the function reads only the part under the crop, so that a large image is not copied.
        image_from_crop: (2, 3).
    """
    last = SIZE_PX - 1
    corners = apply(image_from_crop, np.array([[0, 0], [last, 0], [0, last], [last, last]]))
    limit = np.array([rgb.shape[1], rgb.shape[0]])
    low = np.clip(np.floor(corners.min(0)) - 1, 0, limit - 1).astype(int)
    high = np.clip(np.ceil(corners.max(0)) + 2, low + 1, limit).astype(int)
    part = rgb[low[1] : high[1], low[0] : high[0]]
    if part.shape[:2] == (1, 1):
        part = part.repeat(2, 0)  # OpenCV 4.5.4 (Ubuntu 22.04) refuses an image of one pixel
    part_from_crop = np.column_stack([image_from_crop[:, :2], image_from_crop[:, 2] - low])
    if part.shape[0] * part.shape[1] > _COPIED_PX:
        return _warped(part, part_from_crop)
    return cv2.cvtColor(_warped(cv2.cvtColor(part, cv2.COLOR_RGB2RGBA), part_from_crop), cv2.COLOR_RGBA2RGB)


def _warped(image: np.ndarray, image_from_crop: np.ndarray) -> np.ndarray:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, image_from_crop, (SIZE_PX, SIZE_PX), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def outside_px(points: np.ndarray, width: int, height: int) -> np.ndarray:
    """Distance, (...,), of points (..., 2) from the image; 0 for points in the image."""
    beyond = np.maximum(np.maximum(-0.5 - points, points - (np.array([width, height]) - 0.5)), 0)
    return np.linalg.norm(beyond, axis=-1)
