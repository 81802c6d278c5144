"""Probability that a result of the landmark model is a hand, from presence, agreement of the looks and shape of the skeleton.

Also decides if two results are the same hand.

The weights are from two logistic regressions. `python -m benchmarks.reach.fit_score` fits them on rendered hands in pictures
without hands, and on false detections in these pictures.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hand_mesh_ros.core.config import DetectorConfig
from hand_mesh_ros.core.detect import crop
from hand_mesh_ros.core.detect.look import Look
from hand_mesh_ros.core.detect.palm import KEYPOINT_JOINTS, Palm, overlap
from hand_mesh_ros.core.geometry import rigid
from hand_mesh_ros.core.geometry.rotations import lengths
from hand_mesh_ros.core.hand.model import bone_lengths, palm_length
from hand_mesh_ros.core.types import HandDetection

# Probabilities are clipped to this distance from 0 and 1.
_LEAST_ODDS = 1e-3
# Added to distances [palm lengths], so that smaller distances make no difference.
_LEAST_DISTANCE = 0.02
# Smallest used length of a bone [palm lengths]. A shorter bone points at the camera, so its length has no information.
_LEAST_BONE = 0.02
# Two detections are the same hand if the mean distance of their keypoints is below this value [palm lengths].
SAME_HAND = 0.4
# The same for the mean distance from each keypoint to the nearest keypoint of the other detection. One hand with two poses has a
# smaller distance, two clasped hands have a larger one.
_SAME_OUTLINE = 0.12
# A smaller detection is a part of a larger hand if its relative size is below the first value, and if the share of its keypoints
# in the box of the larger hand is above the second value.
_PART_SIZE, _PART_WITHIN = 0.7, 0.6
# Doubtful hands of a single image: smallest combined score of detections that agree, and largest overlap of their box with a
# better hand (intersection over union).
_AGREED, _MOST_OVERLAP = 0.605, 0.3
# Share of the joint log odds of detections that agree. `benchmarks.reach.fit_score` measures the result.
_JOINT_ODDS = 0.5
# No second image can confirm a hand in a single image. A hand is certain only with a high score, or in a view of the whole image.
# The other hands need several parts or views that agree. For these hands, palms and hands with a lower score are examined too,
# down to these shares of `min_palm_score` and `min_score`.
ALONE_PALM, ALONE_PRESENCE, ALONE_SCORE, _SURE = 0.4, 0.8, 0.4, 0.8
# Weight of the newest image in the running log odds of a followed hand. After several bad images, the hand is dropped.
_RATE = 0.3
FIRST_FEATURES = ("presence", "presence again", "apart", "palm apart", "bones", "guesses apart", "palm score", "constant")
FOLLOWED_FEATURES = ("presence", "apart", "bones", "guesses apart", "constant")
FIRST_WEIGHTS = np.array([-0.05, 1.12, -0.95, -0.01, 0.08, -1.41, 0.64, -3.43])
FOLLOWED_WEIGHTS = np.array([1.19, -0.53, -0.60, -1.70, -2.13])


def probability(features: np.ndarray, weights: np.ndarray) -> float:
    """Probability that this is a hand, from features (F,) and weights (F,)."""
    return float(1 / (1 + np.exp(-np.clip(features @ weights, -30, 30))))


def followed_probability(last: float, features: np.ndarray, weights: np.ndarray = FOLLOWED_WEIGHTS) -> float:
    """Probability that a followed hand is a hand, from its probability in the last image and its features (5,)."""
    return probability(np.array([_log_odds(last), features @ weights]), np.array([1 - _RATE, _RATE]))


def first_features(palm: Palm, first: Look, again: Look, bone_lengths_m: np.ndarray) -> np.ndarray:
    """Features of a new hand, (8,), in the order of `FIRST_FEATURES`.

    Args:
        palm: output of the palm model.
        first: look at the crop around the palm.
        again: look at the crop around the keypoints of the first look.
        bone_lengths_m: (20,) of an average hand.
    """
    keypoints = again.keypoints_px
    size = palm_length(keypoints)
    palm_apart = np.linalg.norm(keypoints[KEYPOINT_JOINTS] - palm.keypoints_px, axis=1).mean() / size
    return np.array(
        [
            _log_odds(first.presence),
            _log_odds(again.presence),
            _log_distance(first.keypoints_px, keypoints),
            np.log(_LEAST_DISTANCE + palm_apart),
            *_shape(again, bone_lengths_m),
            _log_odds(palm.score),
            1.0,
        ]
    )


def followed_features(expected_px: np.ndarray, again: Look, bone_lengths_m: np.ndarray) -> np.ndarray:
    """Features of a followed hand with expected keypoints (21, 2), (5,), in the order of `FOLLOWED_FEATURES`."""
    apart = _log_distance(expected_px, again.keypoints_px)
    return np.array([_log_odds(again.presence), apart, *_shape(again, bone_lengths_m), 1.0])


def _shape(seen: Look, bone_lengths_m: np.ndarray) -> tuple[float, float]:
    """Deviation of the skeleton from usual proportions, and distance of the two skeletons that the model predicts."""
    skeleton = np.column_stack([seen.keypoints_px, seen.depth_px])
    size = max(palm_length(skeleton), 1e-6)
    ratios = np.sort(np.log(np.maximum(bone_lengths(skeleton) / size, _LEAST_BONE) / bone_lengths_m))
    median = 0.5 * (ratios[(len(ratios) - 1) // 2] + ratios[len(ratios) // 2])
    bones = np.abs(ratios - median).mean()
    # Crop axes, like the world landmarks.
    in_crop = np.column_stack([seen.keypoints_crop[:, :2], seen.depth_px / max(crop.scale(seen.image_from_crop), 1e-9)])
    aligned = rigid.transform(seen.world_m, *rigid.align(seen.world_m, in_crop, with_scale=True))
    radius = np.sqrt(((in_crop - in_crop.mean(0)) ** 2).sum(-1).mean())
    guesses = lengths(aligned - in_crop).mean() / max(radius, 1e-6)
    return float(bones), float(guesses)


def _log_odds(probability: float) -> float:
    clipped = np.clip(probability, _LEAST_ODDS, 1 - _LEAST_ODDS)
    return float(np.log(clipped / (1 - clipped)))


def _log_distance(one_px: np.ndarray, other_px: np.ndarray) -> float:
    """Log of the mean distance of keypoints (21, 2) in palm lengths."""
    apart = lengths(one_px - other_px).mean() / max(palm_length(other_px), 1e-6)
    return float(np.log(_LEAST_DISTANCE + apart))


def on_same_hand(one: HandDetection, other: HandDetection) -> bool:
    """True if two detections are the same hand: their keypoints are near, or one is on a part of the other."""
    sizes = palm_length(one.keypoints_px), palm_length(other.keypoints_px)
    distance = np.linalg.norm(one.keypoints_px - other.keypoints_px, axis=1).mean()
    if distance < SAME_HAND * max(sizes):
        return True
    if min(sizes) > _PART_SIZE * max(sizes):
        return False
    part, whole = (one, other) if sizes[0] < sizes[1] else (other, one)
    low, high = whole.keypoints_px.min(0), whole.keypoints_px.max(0)
    within = ((part.keypoints_px >= low) & (part.keypoints_px <= high)).all(1)
    return bool(within.mean() > _PART_WITHIN)


def is_covered(one: HandDetection, other: HandDetection) -> bool:
    """True if all keypoints of a detection are near any keypoints of the other. It may be the same hand with another pose."""
    apart = np.linalg.norm(one.keypoints_px[:, None] - other.keypoints_px, axis=-1)
    size = max(palm_length(one.keypoints_px), palm_length(other.keypoints_px))
    return bool(min(apart.min(0).mean(), apart.min(1).mean()) < _SAME_OUTLINE * size)


def certain_score(config: DetectorConfig, shows_all: bool, palm_score: float, presence: float) -> float:
    """Smallest score of a hand in a single image that needs no agreement of several parts or views.

    Args:
        config: settings of the detector.
        shows_all: True if the hand was found in a view of the whole image.
        palm_score: score of its palm.
        presence: presence of the hand in its looks.
    """
    is_clear = shows_all and palm_score >= config.min_palm_score and presence >= config.min_score
    return config.min_score if is_clear else max(_SURE, config.min_score)


def agreed(doubtful: Sequence[HandDetection], certain: Sequence[HandDetection], min_score: float) -> list[HandDetection]:
    """Hands that at least two detections of a single image show, best first, with their combined scores.

    A group is a detection and all weaker detections of the same hand. If the errors were independent, the probability that at
    least one detection is right would be 1 minus the product of their doubts. The detections see the same pixels, so the score
    has only a share of the log odds of this probability.
    """
    groups: list[list[HandDetection]] = []
    for hand in sorted(doubtful, key=lambda hand: -hand.score):
        group = next((group for group in groups if on_same_hand(group[0], hand)), None)
        if group is None:
            groups.append([hand])
        else:
            group.append(hand)
    scored = [replace(group[0], score=_joint_score([hand.score for hand in group])) for group in groups if len(group) > 1]
    kept: list[HandDetection] = []
    for hand in sorted(scored, key=lambda hand: -hand.score):
        is_another = not any(_may_be_same(hand, other) for other in (*certain, *kept))
        if is_another and hand.score >= max(_AGREED, min_score):
            kept.append(hand)
    return kept


def _joint_score(scores: Sequence[float]) -> float:
    doubt = float(np.prod([1 - score for score in scores]))
    return float(1 / (1 + (max(doubt, 1e-9) / max(1 - doubt, 1e-9)) ** _JOINT_ODDS))


def _may_be_same(one: HandDetection, other: HandDetection) -> bool:
    corners = [np.concatenate([hand.keypoints_px.min(0), hand.keypoints_px.max(0)]) for hand in (one, other)]
    overlaps = bool(overlap(corners[0], corners[1][None])[0] >= _MOST_OVERLAP)
    return overlaps or on_same_hand(one, other) or is_covered(one, other)
