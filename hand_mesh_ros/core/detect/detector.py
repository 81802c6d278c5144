"""Image -> hands: palms where nothing is followed yet, then 21 landmarks in an upright crop around every hand.

A hand of the last image is looked for around its last keypoints, which is both cheaper and steadier than finding its palm again.
The detector keeps nothing between calls: what it knows of the past comes in with `previous`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hand_mesh_ros.core.config import DetectorConfig
from hand_mesh_ros.core.detect import crop
from hand_mesh_ros.core.detect.palm import KEYPOINT_JOINTS, Palm, PalmDetector
from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.hand.model import palm_length
from hand_mesh_ros.core.models.onnx_model import OnnxModel
from hand_mesh_ros.core.topology import WRIST, joint_order_digest
from hand_mesh_ros.core.types import Frame, HandDetection

# The landmark model's z is compressed: this brings it to the scale of its x and y (MediaPipe Hands, normalize_z).
_DEPTH_PER_Z = 1 / 0.4
# Weight of the newest image in the running probability of the side, and the value below which the side changes. Together they
# let a side stand five contrary images in a row.
SIDE_RATE, _SIDE_FLIP = 0.2, 0.35
# Two sets of keypoints nearer than this, on average and in palm lengths, are on the same hand.
_SAME_HAND = 0.4
# A keypoint just outside the image keeps this share of its confidence; a quarter of the crop farther out it has none left.
_OUTSIDE_SHARE, _OUTSIDE_REACH = 0.5, 0.25
_MIN_PALM_PX = 2.0


@dataclass(frozen=True)
class _Look:
    """What the landmark model says of one crop."""

    # (21, 3) crop pixels counted from the corner of the first one; z not yet to scale.
    keypoints_crop: np.ndarray
    world_m: np.ndarray  # (21, 3) in the axes of the crop
    presence: float
    right_prob: float  # that the hand *in the crop* is a right one
    image_from_crop: np.ndarray
    features: np.ndarray  # (192, 7, 7) of the crop


class HandDetector:
    """Finds and follows up to `config.max_hands` hands of either side."""

    def __init__(self, models_dir: Path, config: DetectorConfig) -> None:
        """Loads the palm and the landmark model.

        Raises:
            ModelError: if a file is missing, foreign or cannot run on `config.device`.
        """
        self.config = config
        self.palms = PalmDetector(models_dir, config.device, config.threads)
        expected = {"kind": "hand_landmark", "joint_order": joint_order_digest()}
        self.landmarks = OnnxModel(models_dir / "hand_landmark.onnx", expected, config.device, config.threads)

    def reconfigure(self, config: DetectorConfig) -> None:
        """Goes on with other scores."""
        self.config = config

    def detect(self, frame: Frame, previous: Sequence[HandDetection] = (), search: bool = True) -> list[HandDetection]:
        """Hands in an image: first those of `previous` that are still there, in their order, then new ones.

        Args:
            frame: only its image is used.
            previous: hands of the image before; each found again keeps its `track_id` and, barring lasting contrary evidence,
                its side.
            search: look for new hands too while fewer than `max_hands` are followed. False saves the palm model's time; with no
                hand to follow the search takes place anyway.

        Returns:
            At most `max_hands` detections, no two on the same hand; new ones have an empty `track_id`.
        """
        hands = self._follow(frame.rgb, previous)
        if len(hands) < self.config.max_hands and (search or not hands):
            hands += self._find(frame.rgb, hands)
        return hands

    def _follow(self, rgb: np.ndarray, previous: Sequence[HandDetection]) -> list[HandDetection]:
        """Hands of `previous` that are still there. Where two ended up on one hand, the one that moved less stays."""
        candidates = previous[: self.config.max_hands]
        found = [(hand, last) for last in candidates if (hand := self._found_again(rgb, last)) is not None]
        motion = [float(np.abs(hand.keypoints_px - last.keypoints_px).mean()) for hand, last in found]
        kept: dict[int, HandDetection] = {}
        for index in np.argsort(motion, kind="stable").tolist():
            if not any(_on_same_hand(found[index][0], other) for other in kept.values()):
                kept[index] = found[index][0]
        return [kept[index] for index in sorted(kept)]

    def _found_again(self, rgb: np.ndarray, last: HandDetection) -> HandDetection | None:
        square = crop.around_keypoints(last.keypoints_px.astype(np.float64))
        mirrored = crop.is_mirrored(last.image_from_crop)
        look = self._look(rgb, crop.mirror(square) if mirrored else square)
        if not self._shows_hand(look):
            return None
        # Both sides appear as right hands in their crops.
        side_prob = (1 - SIDE_RATE) * last.handedness_prob + SIDE_RATE * look.right_prob
        if side_prob < _SIDE_FLIP:
            look, side_prob = self._look(rgb, crop.mirror(look.image_from_crop)), 1 - side_prob
            if not self._shows_hand(look):
                return None
        return replace(self._detection(rgb, look, side_prob), track_id=last.track_id)

    def _find(self, rgb: np.ndarray, known: Sequence[HandDetection]) -> list[HandDetection]:
        """New hands, from their palms."""
        wanted = self.config.max_hands - len(known)
        new: list[HandDetection] = []
        palms = [palm for palm in self.palms(rgb, self.config.min_palm_score) if not _is_known(palm, known)]
        # Things that look like a palm and are none cost a landmark run each: do not go through many.
        for palm in palms[: 2 * self.config.max_hands]:
            hand = None if _is_known(palm, new) else self._first_sight(rgb, palm)
            if hand is not None and not any(_on_same_hand(hand, other) for other in (*known, *new)):
                new.append(hand)
            if len(new) == wanted:
                break
        return new

    def _first_sight(self, rgb: np.ndarray, palm: Palm) -> HandDetection | None:
        """The hand of a palm, seen as it is and mirrored.

        Which view is the right hand's is not known yet. The model answers a little differently to the two, so their mean is both
        better and the same for a hand and for its mirror image.
        """
        plain = self._look(rgb, crop.around_palm(palm))
        if not self._shows_hand(plain):
            return None
        mirrored = self._look(rgb, crop.mirror(plain.image_from_crop))
        if not self._shows_hand(mirrored):
            return None
        right_prob = 0.5 * (plain.right_prob + 1 - mirrored.right_prob)
        if right_prob >= 0.5:
            return self._detection(rgb, _mean(plain, mirrored), right_prob)
        return self._detection(rgb, _mean(mirrored, plain), 1 - right_prob)

    def _look(self, rgb: np.ndarray, image_from_crop: np.ndarray) -> _Look:
        answers = self.landmarks(image=crop.cut(rgb, image_from_crop))
        return _Look(
            answers["landmarks"].astype(np.float64),
            answers["world_landmarks_m"].astype(np.float64),
            float(answers["presence"]),
            float(answers["right_prob"]),
            image_from_crop,
            answers["features"],
        )

    def _shows_hand(self, look: _Look) -> bool:
        """Whether a crop holds a hand: present, finite, and not shrunk to a point."""
        if not look.presence >= self.config.min_score:  # also false for NaN
            return False
        finite = np.isfinite(look.right_prob) and np.isfinite(look.keypoints_crop).all() and np.isfinite(look.world_m).all()
        return bool(finite) and palm_length(look.keypoints_crop[:, :2]) * crop.scale(look.image_from_crop) >= _MIN_PALM_PX

    def _detection(self, rgb: np.ndarray, look: _Look, side_prob: float) -> HandDetection:
        """From crop to image: keypoints by the affine map, depths by its scale, world landmarks by its rotation."""
        scale = crop.scale(look.image_from_crop)
        # From pixel corners to pixel centres.
        keypoints = crop.apply(look.image_from_crop, look.keypoints_crop[:, :2] - 0.5)
        depth = (look.keypoints_crop[:, 2] - look.keypoints_crop[WRIST, 2]) * (_DEPTH_PER_Z * scale)
        world = look.world_m.copy()
        world[:, :2] = world[:, :2] @ (look.image_from_crop[:, :2] / scale).T
        away = crop.outside_px(keypoints, rgb.shape[1], rgb.shape[0]) / (_OUTSIDE_REACH * crop.SIZE_PX * scale)
        confidence = look.presence * np.where(away > 0, _OUTSIDE_SHARE * np.maximum(1 - away, 0), 1.0)
        return HandDetection(
            keypoints_px=keypoints.astype(np.float32),
            keypoint_depth_px=depth.astype(np.float32),
            keypoint_conf=confidence.astype(np.float32),
            world_landmarks_m=world.astype(np.float32),
            handedness="left" if crop.is_mirrored(look.image_from_crop) else "right",
            handedness_prob=side_prob,
            score=look.presence,
            image_from_crop=look.image_from_crop,
            features=look.features,
        )


def _mean(look: _Look, mirrored: _Look) -> _Look:
    """The mean of two answers to the same square, in the crop of the first; the second saw it mirrored."""
    keypoints, world = mirrored.keypoints_crop.copy(), mirror_points(mirrored.world_m)
    keypoints[:, 0] = crop.SIZE_PX - keypoints[:, 0]
    return replace(
        look,
        keypoints_crop=0.5 * (look.keypoints_crop + keypoints),
        world_m=0.5 * (look.world_m + world),
        presence=0.5 * (look.presence + mirrored.presence),
    )


def _is_known(palm: Palm, hands: Sequence[HandDetection]) -> bool:
    """Whether a palm is that of one of the hands."""
    return any(
        np.linalg.norm(hand.keypoints_px[KEYPOINT_JOINTS] - palm.keypoints_px, axis=1).mean()
        < _SAME_HAND * palm_length(hand.keypoints_px)
        for hand in hands
    )


def _on_same_hand(one: HandDetection, other: HandDetection) -> bool:
    distance = np.linalg.norm(one.keypoints_px - other.keypoints_px, axis=1).mean()
    return bool(distance < _SAME_HAND * max(palm_length(one.keypoints_px), palm_length(other.keypoints_px)))
