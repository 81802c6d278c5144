"""Fits the weights of `core.detect.verify`: the probability that a proposal is a hand.

    python -m benchmarks.reach.fit_score

The palm model searches pictures without a hand, and the same pictures with a pasted rendered hand. The command examines each
proposal in the same way as the detector. A proposal on the rendered hand counts as a hand. In the fit and in the test, the
proposals on hands and the other proposals have equal weight in total. The test uses other pictures, hands and seeds than the fit.
The command prints the weights for `core.detect.verify`, and the share of hands by score for new, followed and agreed hands.
"""

import argparse
import pickle
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np

from benchmarks.reach.proposals import MIN_PALM_SCORE, Proposal, pictures, proposals
from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.detect import verify
from hand_mesh_ros.core.detect.detector import HandDetector
from hand_mesh_ros.core.models.onnx_model import default_models_dir

_RIDGE = 1.0
_BINS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0)
_THRESHOLDS = (0.5, 0.7, 0.8, 0.9)
# A followed hand counts from this image on, because its first images depend on the score of the new hand.
_SETTLED = 2


@dataclass(frozen=True)
class Cases:
    """Hands of one kind with their scores, and whether each is a hand."""

    scores: np.ndarray  # (N,)
    is_hand: np.ndarray  # (N,) bool
    weights: np.ndarray  # (N,)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hands", type=int, default=300, help="number of pictures with a rendered hand, for fit and test each")
    parser.add_argument("--empty", type=int, default=600, help="number of pictures without a hand, rotated and scaled, each")
    parser.add_argument("--store", type=Path, help="folder for the examined proposals, so that a second call needs less time")
    args = parser.parse_args()
    detector = HandDetector(default_models_dir(), PipelineConfig(min_palm_score=MIN_PALM_SCORE))
    to_fit, to_test = (examined(detector, is_test, args.hands, args.empty, args.store) for is_test in (False, True))
    say("shipped weights, test pictures:")
    report(to_test, verify.FIRST_WEIGHTS, verify.FOLLOWED_WEIGHTS)
    first = fit(np.array([each.first for each in to_fit]), np.array([each.is_hand for each in to_fit]), class_weights(to_fit))
    followed = fit(*followed_rows(to_fit, first))
    for name, weights in (("FIRST_WEIGHTS", first), ("FOLLOWED_WEIGHTS", followed)):
        say(f"{name} = np.array([{', '.join(f'{weight:.2f}' for weight in weights)}])")
    say("new weights, test pictures:")
    report(to_test, first, followed)


def examined(detector: HandDetector, is_test: bool, n_hands: int, n_empty: int, store: Path | None) -> list[Proposal]:
    """Returns the examined proposals of all pictures of the fit or of the test, from `store` if they are there."""
    path = store / f"{'test' if is_test else 'fit'}_{n_hands}_{n_empty}.pickle" if store else None
    if path and path.is_file():
        return pickle.loads(path.read_bytes())
    found = [
        replace(each, hand=replace(each.hand, features=None))
        for number, (rgb, truth) in enumerate(pictures(is_test, n_hands, n_empty))
        for each in proposals(detector, number, rgb, truth)
    ]
    if path:
        path.write_bytes(pickle.dumps(found))
    return found


def class_weights(cases: Sequence[Proposal]) -> np.ndarray:
    """Returns weights (N,) with which the proposals on hands and the other proposals count the same in total."""
    is_hand = np.array([each.is_hand for each in cases])
    return np.where(is_hand, 0.5 / is_hand.mean(), 0.5 / (1 - is_hand.mean()))


def new_scores(cases: Sequence[Proposal], weights: np.ndarray) -> np.ndarray:
    """Returns the scores (N,) of proposals as new hands."""
    return _probability(np.array([each.first for each in cases]) @ weights)


def followed_rows(cases: Sequence[Proposal], first: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns features (M, F), truth (M,) and weights (M,) of the images with a followed hand that was new with enough score."""
    min_score = PipelineConfig().min_score
    of_class, scores = class_weights(cases), new_scores(cases, first)
    chosen = [(each, weight) for each, weight, score in zip(cases, of_class, scores) if score >= min_score and len(each.tracked)]
    rows = np.concatenate([each.tracked for each, _ in chosen])
    still = np.concatenate([each.still for each, _ in chosen])
    return rows, still, np.concatenate([np.full(len(each.tracked), weight / len(each.tracked)) for each, weight in chosen])


def fit(rows: np.ndarray, is_hand: np.ndarray, each: np.ndarray) -> np.ndarray:
    """Returns weights (F,) of a logistic regression of features (N, F) with case weights `each` (N,), by Newton's method."""
    weights = np.zeros(rows.shape[1])
    for _ in range(50):
        chance = _probability(rows @ weights)
        slope = rows.T @ (each * (is_hand - chance)) - _RIDGE * weights
        bend = (rows * (each * chance * (1 - chance))[:, None]).T @ rows + _RIDGE * np.eye(len(weights))
        weights = weights + np.linalg.solve(bend, slope)
    return weights


def new_cases(cases: Sequence[Proposal], first: np.ndarray) -> Cases:
    """Returns the proposals as new hands."""
    return Cases(new_scores(cases, first), np.array([each.is_hand for each in cases]), class_weights(cases))


def followed_cases(cases: Sequence[Proposal], first: np.ndarray, followed: np.ndarray) -> Cases:
    """Returns the hands that are followed for some images: with enough score as a new hand and in each image since."""
    min_score, found = PipelineConfig().min_score, []
    for each, score, weight in zip(cases, new_scores(cases, first), class_weights(cases)):
        for image, (features, still) in enumerate(zip(each.tracked, each.still)):
            if score < min_score:
                break
            score = verify.followed_probability(score, features, followed)
            if image >= _SETTLED and score >= min_score:
                found.append((score, still, weight))
    return Cases(*(np.array(column) for column in zip(*found)))


def agreed_cases(cases: Sequence[Proposal], first: np.ndarray) -> Cases:
    """Returns the hands of single images that several doubtful proposals agree on.

    Few hands have only doubtful proposals. So clear proposals of the same hand are left out, as if no part had shown it clearly.
    """
    config, found = PipelineConfig(), []
    scored = zip(cases, new_scores(cases, first), class_weights(cases))
    for _, group in groupby(scored, key=lambda case: case[0].picture):
        doubtful, truth = [], {}
        for each, score, weight in group:
            least = verify.ALONE_SCORE * config.min_score, verify.ALONE_PRESENCE * config.min_score
            limit = verify.certain_score(config, each.shows_all, each.palm_score, each.presence)
            if least[0] <= score < limit and each.presence >= least[1]:
                hand = replace(each.hand, score=float(score))
                truth[id(hand.keypoints_px)] = each.is_hand, weight
                doubtful.append(hand)
        found += [(hand.score, *truth[id(hand.keypoints_px)]) for hand in verify.agreed(doubtful, [], config.min_score)]
    return Cases(*(np.array(column) for column in zip(*found)))


def report(cases: Sequence[Proposal], first: np.ndarray, followed: np.ndarray) -> None:
    """Prints the share of hands by score for each kind, and the errors of some thresholds."""
    kinds = {
        "new": new_cases(cases, first),
        "followed": followed_cases(cases, first, followed),
        "agreed": agreed_cases(cases, first),
    }
    say("| score | " + " | ".join(kinds) + " |")
    say("|---|" + len(kinds) * "---|")
    for low, high in pairwise(_BINS):
        say(f"| {low:g} to {high:g} | " + " | ".join(_share(of, low, high) for of in kinds.values()) + " |")
    for name, of in kinds.items():
        counts = f"{of.is_hand.sum():.0f} hands, {(~of.is_hand).sum():.0f} others"
        say(f"{name}: {counts}, calibration error {_calibration_error(of):.3f}")
    of = kinds["new"]
    for limit in _THRESHOLDS:
        lost, wrong = (of.scores[of.is_hand] < limit).mean(), (of.scores[~of.is_hand] >= limit).mean()
        say(f"  threshold {limit}: rejects {lost:.1%} of the proposals on hands, accepts {wrong:.1%} of the others")


def _share(of: Cases, low: float, high: float) -> str:
    chosen = (of.scores >= low) & ((of.scores < high) | (high == 1))
    if not chosen.any():
        return "-"
    mean = np.average(of.scores[chosen], weights=of.weights[chosen])
    share = np.average(of.is_hand[chosen], weights=of.weights[chosen])
    return f"{share:.0%} (mean score {mean:.2f}, {chosen.sum()} cases)"


def _calibration_error(of: Cases) -> float:
    """Returns the mean distance between score and share of hands over the bins of the table."""
    error, total = 0.0, of.weights.sum()
    for low, high in pairwise(_BINS):
        chosen = (of.scores >= low) & ((of.scores < high) | (high == 1))
        error += abs(float((of.weights * (of.is_hand - of.scores))[chosen].sum())) / total
    return error


def _probability(odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(odds, -30, 30)))


def say(line: str) -> None:
    """Prints one line without a delay."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
