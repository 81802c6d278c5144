"""Runs the landmark model on one crop (a "look"), and combines several looks at the same hand."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from hand_mesh_ros.core.detect import crop
from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.hand.model import palm_length
from hand_mesh_ros.core.models.onnx_model import OnnxModel
from hand_mesh_ros.core.topology import WRIST
from hand_mesh_ros.core.types import HandDetection

# The z output of the landmark model is compressed. The factor converts z to the scale of x and y (MediaPipe Hands, normalize_z).
_DEPTH_PER_Z = 1 / 0.4
# A keypoint just outside the image keeps this share of its confidence. A quarter of the crop farther out, its confidence is 0.
_OUTSIDE_SHARE, _OUTSIDE_REACH = 0.5, 0.25
_MIN_PALM_PX = 2.0


@dataclass(frozen=True)
class Look:
    """Output of the landmark model for one crop."""

    # (21, 3) crop pixels, origin in the corner of the first pixel; z is not scaled yet.
    keypoints_crop: np.ndarray
    world_m: np.ndarray  # (21, 3) in crop axes
    presence: float
    right_prob: float  # probability that the hand *in the crop* is a right hand
    image_from_crop: np.ndarray
    features: np.ndarray  # (192, 7, 7) of the crop
    pooled_features: np.ndarray  # (1152,) of the crop

    @cached_property
    def keypoints_px(self) -> np.ndarray:
        """(21, 2) image pixels. Includes the shift from pixel corners to pixel centres."""
        return crop.apply(self.image_from_crop, self.keypoints_crop[:, :2] - 0.5)

    @cached_property
    def depth_px(self) -> np.ndarray:
        """(21,) depth relative to the wrist in image pixels, positive away from the camera."""
        z = self.keypoints_crop[:, 2] - self.keypoints_crop[WRIST, 2]
        return z * (_DEPTH_PER_Z * crop.scale(self.image_from_crop))

    @property
    def is_usable(self) -> bool:
        """True if all outputs are finite and the hand is not almost a point."""
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
        answers["pooled_features"],
    )


def mean(one: Look, mirrored: Look) -> Look:
    """Mean of two looks at the same square, in the crop of the first look. The crop of the second look is mirrored."""
    keypoints, world = mirrored.keypoints_crop.copy(), mirror_points(mirrored.world_m)
    keypoints[:, 0] = crop.SIZE_PX - keypoints[:, 0]
    return replace(
        one,
        keypoints_crop=0.5 * (one.keypoints_crop + keypoints),
        world_m=0.5 * (one.world_m + world),
        presence=0.5 * (one.presence + mirrored.presence),
    )


def to_detection(seen: Look, rgb: np.ndarray, side_prob: float, score: float) -> HandDetection:
    """Converts a look to image coordinates: keypoints by the affine map, depths by its scale, world landmarks by its rotation.

    Args:
        seen: the look; a mirrored crop shows a left hand.
        rgb: (H, W, 3) image; only its size is used.
        side_prob: probability that the side of the crop is the side of the hand.
        score: confidence that this is a hand.
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
        pooled_features=seen.pooled_features,
    )
