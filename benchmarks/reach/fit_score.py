"""Fits the weights of `core.detect.verify`: the probability that a proposal is a hand.

    python -m benchmarks.reach.fit_score

The palm model searches pictures without a hand, and the same pictures with a pasted rendered hand. The command examines each
proposal in the same way as the detector. A proposal on the rendered hand counts as a hand. The fit uses every second picture; the
other pictures are for measurements. The command prints the weights for `core.detect.verify`, and their calibration on a held-out
part.
"""

import argparse
import sys
from collections.abc import Iterator

import cv2
import numpy as np

from benchmarks.reach.pastes import Cutout, paste
from benchmarks.reach.pictures import made_pictures, package_pictures
from benchmarks.samples import PAD_PX, flipped, synthetic_samples
from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.detect import crop, verify
from hand_mesh_ros.core.detect.detector import HandDetector
from hand_mesh_ros.core.detect.look import look
from hand_mesh_ros.core.detect.search import whole_plan
from hand_mesh_ros.core.geometry.camera import project
from hand_mesh_ros.core.geometry.rays import ray_extent
from hand_mesh_ros.core.models.onnx_model import default_models_dir

# Lower than the thresholds of the detector, so that the training set contains enough false proposals.
_MIN_PALM_SCORE, _MIN_PRESENCE = 0.15, 0.1
# Mean keypoint error relative to the radius of the hand: a proposal below the first limit is on the hand, a proposal above the
# second limit is on another object.
_ON, _OFF = 0.5, 1.0
_SIZE, _KEPT_BACK, _RIDGE = (512, 384), 4, 1.0
# Shifts of a tracked hand between two images, relative to its radius, from slow to fast.
_SHIFTS = (0.02, 0.05, 0.1, 0.25)
_MOST_PARTS = 25


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hands", type=int, default=400, help="number of pictures with a rendered hand")
    parser.add_argument("--empty", type=int, default=300, help="number of pictures without a hand, rotated and scaled")
    args = parser.parse_args()
    detector = HandDetector(default_models_dir(), PipelineConfig(min_palm_score=_MIN_PALM_SCORE))
    first, followed = [], []
    for rgb, truth in pictures(args.hands, args.empty):
        for one, other in examples(detector, rgb, truth):
            first.append(one)
            followed += [other] if other else []
    for name, rows in (("FIRST_WEIGHTS", first), ("FOLLOWED_WEIGHTS", followed)):
        report(name, np.array([row for row, _ in rows]), np.array([is_hand for _, is_hand in rows]))


def pictures(n_hands: int, n_empty: int) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """Yields pictures (H, W, 3) with the keypoints (21, 2) of their hand, or None for a picture without a hand."""
    rng = np.random.default_rng(12)
    backgrounds = [picture for _, picture in [*package_pictures(), *made_pictures(np.random.default_rng(1000))]][::2]
    for index, sample in enumerate(synthetic_samples(n_hands, seed=77)):
        sample = flipped(sample) if rng.random() < 0.5 else sample
        padded = cv2.copyMakeBorder(sample.frame.rgb, *4 * [PAD_PX], cv2.BORDER_REFLECT_101)
        cutout = Cutout(str(index), padded, project(sample.joints_m, sample.frame.camera_matrix) + PAD_PX)
        pasted = paste(cutout, rng.uniform(50, 240), backgrounds[rng.integers(len(backgrounds))], _SIZE, rng)
        yield pasted.rgb, pasted.keypoints_px
    for index in range(n_empty):
        picture = np.rot90(backgrounds[index % len(backgrounds)], rng.integers(4))
        gain = rng.uniform(0.4, 1.6) * max(_SIZE) / max(picture.shape[:2])
        yield cv2.resize(np.ascontiguousarray(picture), None, fx=gain, fy=gain), None


Example = tuple[np.ndarray, bool]


def examples(detector: HandDetector, rgb: np.ndarray, truth: np.ndarray | None) -> Iterator[tuple[Example, Example | None]]:
    """Yields the features of each proposal in a picture, as a new hand and as a tracked hand, and whether each is a hand."""
    rng = np.random.default_rng(rgb.shape[0])
    lengths = detector.bone_lengths_m
    for tile in whole_plan(rgb, detector.config.min_hand_px).tiles[:_MOST_PARTS]:
        for palm in detector.propose(rgb, tile)[:4]:
            looks = detector.examine(rgb, palm, _MIN_PRESENCE)
            is_hand = None if looks is None else _is_hand(looks[1].keypoints_px, truth)
            if is_hand is None:
                continue
            keypoints = looks[1].keypoints_px
            expected = keypoints + rng.choice(_SHIFTS) * ray_extent(keypoints) * rng.normal(size=2)
            again = look(detector.landmarks, rgb, crop.around_keypoints(expected))
            still = _is_hand(again.keypoints_px, truth) if again.is_usable else None
            first = verify.first_features(palm, looks[0], looks[1], lengths), is_hand
            yield first, None if still is None else (verify.followed_features(expected, again, lengths), still)


def _is_hand(keypoints_px: np.ndarray, truth: np.ndarray | None) -> bool | None:
    """Returns whether keypoints (21, 2) lie on the true hand; None if this is not clear."""
    if truth is None:
        return False
    away = np.linalg.norm(keypoints_px - truth, axis=1).mean() / ray_extent(truth)
    return None if _ON < away < _OFF else bool(away <= _ON)


def fit(rows: np.ndarray, is_hand: np.ndarray) -> np.ndarray:
    """Returns weights (F,) of a logistic regression of features (N, F), by Newton's method. The two classes have equal weight."""
    weights, each = np.zeros(rows.shape[1]), np.where(is_hand, 0.5 / is_hand.mean(), 0.5 / (1 - is_hand.mean()))
    for _ in range(50):
        chance = 1 / (1 + np.exp(-np.clip(rows @ weights, -30, 30)))
        slope = rows.T @ (each * (is_hand - chance)) - _RIDGE * weights
        bend = (rows * (each * chance * (1 - chance))[:, None]).T @ rows + _RIDGE * np.eye(len(weights))
        weights = weights + np.linalg.solve(bend, slope)
    return weights


def report(name: str, rows: np.ndarray, is_hand: np.ndarray) -> None:
    """Prints the weights, and for the held-out part the share of hands per estimated probability and the errors per threshold."""
    kept = np.arange(len(rows)) % _KEPT_BACK == 0
    weights = fit(rows[~kept], is_hand[~kept])
    say(f"{name} = np.array([{', '.join(f'{weight:.2f}' for weight in weights)}])")
    chance = 1 / (1 + np.exp(-np.clip(rows[kept] @ weights, -30, 30)))
    say(f"  {is_hand.sum()} hands, {(~is_hand).sum()} others; held-out part:")
    for low, high in ((0, 0.1), (0.1, 0.5), (0.5, 0.8), (0.8, 0.95), (0.95, 1.01)):
        chosen = (chance >= low) & (chance < high)
        if chosen.any():
            hands = f"{is_hand[kept][chosen].mean():.0%} hands"
            say(f"  probability {low:.2f} to {min(high, 1):.2f}: {chosen.sum()} proposals, {hands}")
    for limit in (0.5, 0.8, 0.9):
        lost, wrong = (chance[is_hand[kept]] < limit).mean(), (chance[~is_hand[kept]] >= limit).mean()
        say(f"  threshold {limit}: rejects {lost:.1%} of the hands, accepts {wrong:.1%} of the others")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
