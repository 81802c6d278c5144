"""One look of the landmark model at one crop, and what follows from several looks at the same hand."""

from dataclasses import dataclass, replace

import numpy as np

from hand_mesh_ros.core.detect import crop
from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.hand.model import palm_length
from hand_mesh_ros.core.models.onnx_model import OnnxModel
from hand_mesh_ros.core.topology import WRIST
from hand_mesh_ros.core.types import HandDetection

# The landmark model's z is compressed: this brings it to the scale of its x and y (MediaPipe Hands, normalize_z).
_DEPTH_PER_Z = 1 / 0.4
# A keypoint just outside the image keeps this share of its confidence; a quarter of the crop farther out it has none left.
_OUTSIDE_SHARE, _OUTSIDE_REACH = 0.5, 0.25
_MIN_PALM_PX = 2.0


@dataclass(frozen=True)
class Look:
    """What the landmark model says of one crop."""

    # (21, 3) crop pixels counted from the corner of the first one; z not yet to scale.
    keypoints_crop: np.ndarray
    world_m: np.ndarray  # (21, 3) in the axes of the crop
    presence: float
    right_prob: float  # that the hand *in the crop* is a right one
    image_from_crop: np.ndarray
    features: np.ndarray  # (192, 7, 7) of the crop

    @property
    def keypoints_px(self) -> np.ndarray:
        """(21, 2) pixels of the image; from pixel corners to pixel centres."""
        return crop.apply(self.image_from_crop, self.keypoints_crop[:, :2] - 0.5)

    @property
    def depth_px(self) -> np.ndarray:
        """(21,) image pixels from the wrist, positive away from the camera."""
        z = self.keypoints_crop[:, 2] - self.keypoints_crop[WRIST, 2]
        return z * (_DEPTH_PER_Z * crop.scale(self.image_from_crop))

    @property
    def is_usable(self) -> bool:
        """Whether all answers are finite, and the hand is not shrunk to a point."""
        finite = np.isfinite(self.presence) and np.isfinite(self.right_prob)
        if not (finite and np.isfinite(self.keypoints_crop).all() and np.isfinite(self.world_m).all()):
            return False
        return bool(palm_length(self.keypoints_crop[:, :2]) * crop.scale(self.image_from_crop) >= _MIN_PALM_PX)


def look(model: OnnxModel, rgb: np.ndarray, image_from_crop: np.ndarray) -> Look:
    """Runs the landmark model on a crop (2, 3) of an image (H, W, 3) uint8."""
    answers = model(image=crop.cut(rgb, image_from_crop))
    return Look(
        answers["landmarks"].astype(np.float64),
        answers["world_landmarks_m"].astype(np.float64),
        float(answers["presence"]),
        float(answers["right_prob"]),
        image_from_crop,
        answers["features"],
    )


def mean(one: Look, mirrored: Look) -> Look:
    """The mean of two answers to the same square, in the crop of the first; the second saw it mirrored."""
    keypoints, world = mirrored.keypoints_crop.copy(), mirror_points(mirrored.world_m)
    keypoints[:, 0] = crop.SIZE_PX - keypoints[:, 0]
    return replace(
        one,
        keypoints_crop=0.5 * (one.keypoints_crop + keypoints),
        world_m=0.5 * (one.world_m + world),
        presence=0.5 * (one.presence + mirrored.presence),
    )


def to_detection(seen: Look, rgb: np.ndarray, side_prob: float, score: float) -> HandDetection:
    """From crop to image: keypoints by the affine map, depths by its scale, world landmarks by its rotation.

    Args:
        seen: the look; a mirrored crop shows a left hand.
        rgb: (H, W, 3) the image, for its size.
        side_prob: that the side of the crop is that of the hand.
        score: that this is a hand.
    """
    scale, keypoints = crop.scale(seen.image_from_crop), seen.keypoints_px
    world = seen.world_m.copy()
    world[:, :2] = world[:, :2] @ (seen.image_from_crop[:, :2] / scale).T
    away = crop.outside_px(keypoints, rgb.shape[1], rgb.shape[0]) / (_OUTSIDE_REACH * crop.SIZE_PX * scale)
    confidence = seen.presence * np.where(away > 0, _OUTSIDE_SHARE * np.maximum(1 - away, 0), 1.0)
    return HandDetection(
        keypoints_px=keypoints.astype(np.float32),
        keypoint_depth_px=seen.depth_px.astype(np.float32),
        keypoint_conf=confidence.astype(np.float32),
        world_landmarks_m=world.astype(np.float32),
        handedness="left" if crop.is_mirrored(seen.image_from_crop) else "right",
        handedness_prob=side_prob,
        score=score,
        image_from_crop=seen.image_from_crop,
        features=seen.features,
    )
