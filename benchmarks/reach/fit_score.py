"""Fits the weights of `core.detect.verify`: the probability that something is a hand.

    python -m benchmarks.reach.fit_score

What the palm model proposes in pictures without hands, with and without a rendered hand before them, is looked at as the detector
does. Hands are what lies on the rendered hand. Only every second picture takes part; the others
are for measuring. Prints the weights, to be copied, and how honest they are on a part that was kept back.
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
from hand_mesh_ros.core.detect.plan import whole_plan
from hand_mesh_ros.core.geometry.camera import project
from hand_mesh_ros.core.models.onnx_model import default_models_dir

# Both below what is used, so that there is something to tell apart.
_MIN_PALM_SCORE, _MIN_PRESENCE = 0.15, 0.1
# Keypoints within this of the true ones, in radii of the hand, are on it; farther than the second, on something else.
_ON, _OFF = 0.5, 1.0
_SIZE, _KEPT_BACK, _RIDGE = (512, 384), 4, 1.0
# Shifts from image to image of a hand that is followed, in radii: slow ones and fast ones.
_SHIFTS = (0.02, 0.05, 0.1, 0.25)
_MOST_PARTS = 25


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hands", type=int, default=400)
    parser.add_argument("--empty", type=int, default=300, help="pictures without a hand, turned and scaled")
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
    """Pictures (H, W, 3) with the keypoints (21, 2) of the one hand in them, or None."""
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
    """Features of everything proposed in a picture at first sight and when followed, each with whether it is a hand."""
    rng = np.random.default_rng(rgb.shape[0])
    lengths = detector.bone_lengths_m
    for tile in whole_plan(rgb, detector.config.min_hand_px).tiles[:_MOST_PARTS]:
        for palm in detector.propose(rgb, tile)[:4]:
            looks = detector.examine(rgb, palm, _MIN_PRESENCE)
            is_hand = None if looks is None else _is_hand(looks[1].keypoints_px, truth)
            if is_hand is None:
                continue
            keypoints = looks[1].keypoints_px
            expected = keypoints + rng.choice(_SHIFTS) * _radius(keypoints) * rng.normal(size=2)
            again = look(detector.landmarks, rgb, crop.around_keypoints(expected))
            still = _is_hand(again.keypoints_px, truth) if again.is_usable else None
            first = verify.first_features(palm, looks[0], looks[1], lengths), is_hand
            yield first, None if still is None else (verify.followed_features(expected, again, lengths), still)


def _is_hand(keypoints_px: np.ndarray, truth: np.ndarray | None) -> bool | None:
    """Whether keypoints (21, 2) lie on the true hand; None if that is open to doubt."""
    if truth is None:
        return False
    away = np.linalg.norm(keypoints_px - truth, axis=1).mean() / _radius(truth)
    return None if _ON < away < _OFF else bool(away <= _ON)


def _radius(keypoints_px: np.ndarray) -> float:
    return float(np.sqrt(((keypoints_px - keypoints_px.mean(0)) ** 2).sum(-1).mean()))


def fit(rows: np.ndarray, is_hand: np.ndarray) -> np.ndarray:
    """Weights (F,) of a logistic regression of features (N, F); Newton's method, both classes with the same total weight."""
    weights, each = np.zeros(rows.shape[1]), np.where(is_hand, 0.5 / is_hand.mean(), 0.5 / (1 - is_hand.mean()))
    for _ in range(50):
        chance = 1 / (1 + np.exp(-np.clip(rows @ weights, -30, 30)))
        slope = rows.T @ (each * (is_hand - chance)) - _RIDGE * weights
        bend = (rows * (each * chance * (1 - chance))[:, None]).T @ rows + _RIDGE * np.eye(len(weights))
        weights = weights + np.linalg.solve(bend, slope)
    return weights


def report(name: str, rows: np.ndarray, is_hand: np.ndarray) -> None:
    """Prints the weights, and on what was kept back: how often a stated probability comes true, what a threshold costs."""
    kept = np.arange(len(rows)) % _KEPT_BACK == 0
    weights = fit(rows[~kept], is_hand[~kept])
    say(f"{name} = np.array([{', '.join(f'{weight:.2f}' for weight in weights)}])")
    chance = 1 / (1 + np.exp(-np.clip(rows[kept] @ weights, -30, 30)))
    say(f"  {is_hand.sum()} hands, {(~is_hand).sum()} others; kept back:")
    for low, high in ((0, 0.1), (0.1, 0.5), (0.5, 0.8), (0.8, 0.95), (0.95, 1.01)):
        chosen = (chance >= low) & (chance < high)
        if chosen.any():
            say(f"  stated {low:.2f} to {min(high, 1):.2f}: {chosen.sum()}, of which hands {is_hand[kept][chosen].mean():.0%}")
    for limit in (0.5, 0.8, 0.9):
        lost, wrong = (chance[is_hand[kept]] < limit).mean(), (chance[~is_hand[kept]] >= limit).mean()
        say(f"  threshold {limit}: {lost:.1%} of the hands lost, {wrong:.1%} of the others kept")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
