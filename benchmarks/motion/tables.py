"""The tables of `benchmarks.motion`, made from recorded scenes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from benchmarks.motion.losses import Losses
from benchmarks.motion.measures import QUANTITIES, Comparison, compare, jitter, lasting_turn, signals
from benchmarks.motion.sequences import RATE_HZ, Moment, smoothed, stillest
from benchmarks.report import table
from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.topology import FINGER_JOINTS

# Length of a passage of the video in images, and number of passages.
_PASSAGE, _PASSAGES = 20, 6
_CUTOFFS_HZ, _BETAS = (0.75, 1.5, 3.0), (20.0, 40.0, 80.0)
_SWEPT = ("wrist across the view", "wrist orientation", "fingertips from the wrist")

_VIDEO = """
The video has {images} images of one real hand. The passages are the {count} times {length} images with the smallest change of
pixels. This hand is never completely at rest, so its jitter contains motion.
"""


@dataclass(frozen=True)
class Scenes:
    """Unfiltered results; one list per rendered hand."""

    still: list[list[Moment]]
    moving: dict[str, list[list[Moment]]]  # by speed
    lost: dict[str, list[dict[float, Losses]]]  # by speed, then by predict_ms
    video: list[Moment]  # empty without a video


def at_rest(scenes: Scenes, config: PipelineConfig, model: HandModel) -> str:
    """Returns the section on jitter, with and without filters."""
    passages = _passages(scenes)
    parts = {
        "rendered": [(moments, slice(None)) for moments in scenes.still],
        "video": [(scenes.video, part) for part in passages],
    }
    header, columns = ["jitter"], []
    for name, chosen in parts.items():
        for state, setting in _states(config).items():
            if chosen:
                header.append(f"{name}, filter {state}")
                columns.append([_jitters(moments, part, setting, model) for moments, part in chosen])
    rows = [
        [f"{name} [{unit}]", *(_spread([one[name] for one in column], ".2f") for column in columns)]
        for name, unit in QUANTITIES.items()
    ]
    told = _VIDEO.format(images=len(scenes.video), count=len(passages), length=_PASSAGE) if passages else ""
    return f"## At rest\n{told}\n{table(header, rows)}"


def in_motion(scenes: Scenes, config: PipelineConfig, model: HandModel) -> str:
    """Returns the section on lag and error, with and without filters."""
    states = _states(config)
    header = [
        "motion",
        "of",
        *(f"{what}, filter {state}" for what in ("lag [ms]", "error", "error without lag") for state in states),
    ]
    rows = []
    for speed, hands in scenes.moving.items():
        found = [[comparisons(moments, setting, model) for moments in hands] for setting in states.values()]
        for name, unit in QUANTITIES.items():
            ones = [[one[name] for one in state] for state in found]
            rows.append(
                [
                    *(speed, f"{name} [{unit}]"),
                    *(_spread([1e3 * one.lag_s for one in state], ".0f") for state in ones),
                    *(_spread([one.error for one in state], ".1f") for state in ones),
                    *(_spread([one.remaining for one in state], ".1f") for state in ones),
                ]
            )
    speeds = ", ".join(f"{name} {np.mean([_tip_speed(hand) for hand in hands]):.2f} m/s" for name, hands in scenes.moving.items())
    return f"## In motion\n\nSpeed of the fingertips, root mean square: {speeds}.\n\n{table(header, rows)}"


def sweep(scenes: Scenes, config: PipelineConfig, model: HandModel) -> str:
    """Returns the section on other values of the two filter parameters."""
    passages = _passages(scenes)
    figures = ["jitter, rendered", *["jitter, video"][: len(passages)], *(f"lag [ms], {name}" for name in scenes.moving)]
    rows = []
    for cutoff_hz, beta in product(_CUTOFFS_HZ, _BETAS):
        setting = replace(config, smooth_cutoff_hz=cutoff_hz, smooth_beta=beta)
        jitters = [[_jitters(moments, slice(None), setting, model) for moments in scenes.still]]
        if passages:
            jitters.append([_jitters(scenes.video, part, setting, model) for part in passages])
        found = [[comparisons(moments, setting, model) for moments in hands] for hands in scenes.moving.values()]
        for name in _SWEPT:
            row = [f"{cutoff_hz:g}", f"{beta:g}", f"{name} [{QUANTITIES[name]}]"]
            row += [f"{np.mean([one[name] for one in still]):.3f}" for still in jitters]
            row += [f"{1e3 * np.mean([one[name].lag_s for one in hands]):.0f}" for hands in found]
            rows.append(row)
    rows.sort(key=lambda row: [_SWEPT.index(row[2].split(" [")[0]), float(row[0]), float(row[1])])
    told = "## Other settings of the filter\n\nMeans over hands and over passages."
    return f"{told}\n\n{table(['smooth_cutoff_hz', 'smooth_beta', 'of', *figures], rows)}"


def comparisons(moments: Sequence[Moment], config: PipelineConfig, model: HandModel) -> dict[str, Comparison]:
    """Compares the results of a scene, smoothed with `config`, with the truth."""
    side, times_s = moments[0].found.handedness, np.array([moment.frame.stamp_s for moment in moments])
    truth_m = [moment.truth_m for moment in moments]
    found_m = [hand.joints_m for hand in smoothed(moments, config)]
    found, truth = signals(model, found_m, side, lasting_turn(found_m, truth_m, side)), signals(model, truth_m, side)
    return {name: compare(found[name], truth[name], times_s) for name in QUANTITIES}


def _jitters(moments: Sequence[Moment], part: slice, config: PipelineConfig, model: HandModel) -> dict[str, float]:
    found_m = [hand.joints_m for hand in smoothed(moments, config)[part]]
    return {name: jitter(signal) for name, signal in signals(model, found_m, moments[0].found.handedness).items()}


def _passages(scenes: Scenes) -> list[slice]:
    return stillest(scenes.video, _PASSAGE, _PASSAGES) if scenes.video else []


def _states(config: PipelineConfig) -> dict[str, PipelineConfig]:
    return {"off": replace(config, smooth_cutoff_hz=0.0), "on": config}


def _tip_speed(moments: Sequence[Moment]) -> float:
    """Returns the root mean square speed of the fingertips in metres per second."""
    steps_m = np.diff([moment.truth_m[FINGER_JOINTS[:, -1]] for moment in moments], axis=0)
    return float(np.sqrt(np.mean(np.sum(steps_m**2, axis=-1)))) * RATE_HZ


def _spread(values: Sequence[float], form: str) -> str:
    return f"{np.mean(values):{form}} ± {np.std(values):{form}}"
