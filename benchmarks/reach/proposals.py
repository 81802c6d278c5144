"""Proposals of the palm model in pictures with and without a rendered hand, examined in the same way as the detector.

The fit of the score and its test use different pictures, hands and seeds.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from benchmarks.metrics import keypoint_error
from benchmarks.reach.pastes import Cutout, paste
from benchmarks.reach.pictures import made_pictures, package_pictures
from benchmarks.samples import PAD_PX, flipped, synthetic_samples
from hand_mesh_ros.core.detect import crop, verify
from hand_mesh_ros.core.detect.detector import HandDetector
from hand_mesh_ros.core.detect.look import look, to_detection
from hand_mesh_ros.core.detect.palm import Palm
from hand_mesh_ros.core.detect.search import whole_plan
from hand_mesh_ros.core.detect.tiles import Tile
from hand_mesh_ros.core.geometry.camera import project
from hand_mesh_ros.core.geometry.rays import ray_extent
from hand_mesh_ros.core.types import HandDetection

# Lower than the thresholds of the detector, so that the fit gets enough false proposals.
MIN_PALM_SCORE = 0.1
_MIN_PRESENCE = 0.1
# Mean keypoint error relative to the radius of the hand: a proposal below the first limit is on the hand, a proposal above the
# second limit is on another object.
_ON, _OFF = 0.5, 1.0
_SIZE = (512, 384)
# Shifts of a tracked hand between two images, relative to its radius, from slow to fast, and noise of the images [grey levels].
_SHIFTS, _NOISE_LEVELS = (0.02, 0.05, 0.1, 0.25), 3.0
_MOST_PARTS, _MOST_PALMS = 30, 4
TRACKED_IMAGES = 5


@dataclass(frozen=True)
class Proposal:
    """A proposal of the palm model after three looks, and as a tracked hand in the next images."""

    picture: int
    is_hand: bool
    shows_all: bool  # a view of the whole image
    palm_score: float
    presence: float
    first: np.ndarray  # features of a new hand
    tracked: np.ndarray  # (n, 5) features of a tracked hand, n up to `TRACKED_IMAGES`; less if the hand is lost
    still: np.ndarray  # (n,) bool: the tracked hand is on the true hand
    hand: HandDetection  # with score 0


def pictures(is_test: bool, n_hands: int, n_empty: int) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """Yields pictures (H, W, 3) with the keypoints (21, 2) of their hand, or None for a picture without a hand.

    The test uses every second picture of packages, the fit uses the other ones. Half of the hands are natural.
    """
    rng = np.random.default_rng(112 if is_test else 12)
    made = made_pictures(np.random.default_rng(2000 if is_test else 1000))
    backgrounds = [picture for _, picture in [*package_pictures()[is_test::2], *made]]
    for natural in (False, True):
        count = n_hands // 2
        for index, sample in enumerate(synthetic_samples(count, seed=77 + 100 * is_test, natural=natural)):
            sample = flipped(sample) if rng.random() < 0.5 else sample
            padded = cv2.copyMakeBorder(sample.frame.rgb, *4 * [PAD_PX], cv2.BORDER_REFLECT_101)
            cutout = Cutout(str(index), padded, project(sample.joints_m, sample.frame.camera_matrix) + PAD_PX)
            pasted = paste(cutout, rng.uniform(50, 240), backgrounds[rng.integers(len(backgrounds))], _SIZE, rng)
            yield pasted.rgb, pasted.keypoints_px
    for index in range(n_empty):
        picture = np.rot90(backgrounds[index % len(backgrounds)], rng.integers(4))
        gain = rng.uniform(0.4, 1.6) * max(_SIZE) / max(picture.shape[:2])
        yield cv2.resize(np.ascontiguousarray(picture), None, fx=gain, fy=gain), None


def proposals(detector: HandDetector, number: int, rgb: np.ndarray, truth: np.ndarray | None) -> Iterator[Proposal]:
    """Yields the proposals in all parts and views of a picture. Proposals that are partly on the hand are left out."""
    rng = np.random.default_rng(number)
    for tile in whole_plan(rgb, detector.config.min_hand_px).tiles[:_MOST_PARTS]:
        for palm in detector.propose(rgb, tile)[:_MOST_PALMS]:
            proposal = _examined(detector, number, rgb, truth, tile, palm, rng)
            if proposal is not None:
                yield proposal


def _examined(
    detector: HandDetector,
    number: int,
    rgb: np.ndarray,
    truth: np.ndarray | None,
    tile: Tile,
    palm: Palm,
    rng: np.random.Generator,
) -> Proposal | None:
    looks = detector.examine(rgb, palm, _MIN_PRESENCE)
    is_hand = None if looks is None else is_on(looks[1].keypoints_px, truth)
    if looks is None or is_hand is None:
        return None
    hand = to_detection(looks[1], rgb, looks[2], 0.0)
    tracked, still = _tracked(detector, rgb, truth, hand, rng)
    return Proposal(
        number,
        is_hand,
        rgb.shape[:2] == (tile.height, tile.width),
        palm.score,
        looks[1].presence,
        verify.first_features(palm, looks[0], looks[1], detector.bone_lengths_m),
        tracked,
        still,
        hand,
    )


def _tracked(
    detector: HandDetector, rgb: np.ndarray, truth: np.ndarray | None, hand: HandDetection, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Follows a hand with errors of its expected position, until it is lost."""
    keypoints, is_left = hand.keypoints_px.astype(np.float64), hand.handedness == "left"
    features, still = [], []
    shift = rng.choice(_SHIFTS)
    for _ in range(TRACKED_IMAGES):
        noisy = np.clip(rgb + rng.normal(0, _NOISE_LEVELS, rgb.shape), 0, 255).astype(np.uint8)
        expected = keypoints + shift * ray_extent(keypoints) * rng.normal(size=2)
        square = crop.around_keypoints(expected)
        again = look(detector.landmarks, noisy, crop.mirror(square) if is_left else square)
        on_it = is_on(again.keypoints_px, truth) if again.is_usable and again.presence >= detector.config.min_score else None
        if on_it is None:
            break
        features.append(verify.followed_features(expected, again, detector.bone_lengths_m))
        still.append(on_it)
        keypoints = again.keypoints_px
    return np.array(features).reshape(-1, len(verify.FOLLOWED_FEATURES)), np.array(still, bool)


def is_on(keypoints_px: np.ndarray, truth: np.ndarray | None) -> bool | None:
    """Returns whether keypoints (21, 2) lie on the true hand; None if this is not clear."""
    if truth is None:
        return False
    away = keypoint_error(keypoints_px, truth)
    return None if _ON < away < _OFF else bool(away <= _ON)
