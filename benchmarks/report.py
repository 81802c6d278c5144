"""Summaries of the figures of many images: lines, tables and groups that all benchmarks use."""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks import metrics
from hand_mesh_ros.core.topology import FINGER_JOINTS, WRIST

Result = dict[str, Any]  # of `measure.measure`

# Joints of one level of the fingers. The reports show the coverage of each level.
LEVELS = {"wrist": [WRIST], **dict(zip(("base", "second", "third", "tip"), FINGER_JOINTS.T.tolist()))}
PARTS = ("articulation", "absolute")
# Group: lower limit (inclusive) and upper limit (exclusive).
VIEWS = {"palm side, below 60 deg": (0, 60), "edge-on, 60 to 120 deg": (60, 120), "back side, above 120 deg": (120, 181)}
OCCLUSIONS = {"below 20 % of joints hidden": (0, 0.2), "20 to 40 % hidden": (0.2, 0.4), "more than 40 % hidden": (0.4, 1.01)}
KEYPOINTS = {
    "detector error below 10 % of the radius": (0, 0.1),
    "detector error 10 to 25 %": (0.1, 0.25),
    "detector error above 25 %": (0.25, np.inf),
}
OBJECTS = {"no object": (0, 0.5), "object in the hand or in front of it": (0.5, 2)}
DISTANCES = {"nearer than 0.4 m": (0, 0.4), "0.4 to 0.8 m": (0.4, 0.8), "0.8 to 1.5 m": (0.8, 1.5), "beyond 1.5 m": (1.5, np.inf)}
_GROUPED = {
    "palm_angle_deg": VIEWS,
    "hidden_share": OCCLUSIONS,
    "has_objects": OBJECTS,
    "distance_m": DISTANCES,
    "keypoint error of the detector, of the hand's radius": KEYPOINTS,
}


def column(results: Sequence[Result], name: str) -> np.ndarray:
    """Returns the finite values of one row of `measure.ROWS`, (n,)."""
    values = np.array([result[name] for result in results], float)
    return values[np.isfinite(values)]


def mean(results: Sequence[Result], name: str) -> float:
    """Returns the mean of `column`; NaN if there is no value."""
    values = column(results, name)
    return float(values.mean()) if len(values) else float("nan")


def found_ones(results: Sequence[Result]) -> list[Result]:
    """Returns the results with a detected hand."""
    return [result for result in results if result["found"]]


def groups(results: Sequence[Result]) -> dict[str, list[Result]]:
    """Groups images by the angle between the palm's normal and the line of sight, by hidden joints, by objects, and by distance.

    It also groups detected hands by the error of the detector's keypoints. Groups without an image are left out.
    """
    return {
        title: chosen
        for key, ranges in _GROUPED.items()
        for title, (low, high) in ranges.items()
        if (chosen := [result for result in results if low <= result[key] < high])
    }


def coverage_by_level(results: Sequence[Result], part: str, confidence: float = 0.9) -> dict[str, float]:
    """Returns the share of errors inside the ellipsoids of a confidence, per level of the fingers and over all joints.

    Args:
        results: results of detected hands.
        part: one of `PARTS`.
        confidence: confidence of the ellipsoids, in 0..1.
    """
    inside = np.array([result[f"{part}_level"] for result in results]) <= confidence
    return {"all joints": float(inside.mean()), **{name: float(inside[:, joints].mean()) for name, joints in LEVELS.items()}}


def reliability(results: Sequence[Result], part: str, confidences: np.ndarray) -> np.ndarray:
    """Returns the share of errors, (n,), inside the ellipsoids of each confidence (n,) in 0..1; equal if calibrated."""
    levels = np.array([result[f"{part}_level"] for result in results]).ravel()
    return (levels[None] <= confidences[:, None]).mean(1)


def uncertainty_ranking(results: Sequence[Result]) -> dict[str, float]:
    """Returns the rank correlation of the estimated and the true error, over detected hands."""
    truth = {"articulation": "PA-MPJPE aggregate", "absolute": "camera-space MPJPE aggregate"}
    return {part: metrics.spearman(column(results, f"estimated error, {part}"), column(results, truth[part])) for part in PARTS}


def residual_std_m(results: Sequence[Result]) -> np.ndarray:
    """Returns the standard deviation per axis of each joint's error after alignment, (21,) metres, over detected hands."""
    error = np.array([result["articulation_error_m"] for result in results])
    return np.sqrt((error**2).mean((0, 2)))


def say(line: str) -> None:
    """Prints one line on the standard output."""
    sys.stdout.write(line + "\n")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a Markdown table with a newline at the end."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def interval(values: np.ndarray) -> str:
    """Returns the mean of values (N,) with its 95 % bootstrap interval; empty if there is no value."""
    if not len(values):
        return ""
    return "{:.2f} [{:.2f}, {:.2f}]".format(*metrics.bootstrap_mean(values))


def number(value: float) -> str:
    """Returns the value with two decimals; empty if the value is not finite."""
    return f"{value:.2f}" if np.isfinite(value) else ""
