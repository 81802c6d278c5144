"""The page of `benchmarks.reach`: tables and a plot."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt

from benchmarks.reach.streams import RATE_HZ, Sight

_TOP = """# Reach

This page shows which small, dark or covered hands the detector finds, how long this takes, and how often the detector reports a
false hand. `python -m benchmarks.reach --data FOLDER --video FILE --out docs/reach.md` writes the page. The benchmark shrinks
photographs of hands (256 px wide) and pastes them with soft borders at random places into pictures without a hand. A still
camera sees each picture 30 times with mild noise, at 30 Hz. Errors are mean distances of the keypoints, relative to the radius
(root mean square) of the hand. "Others" counts reported hands that are not the pasted hand. Times are processor times.

![found share](images/reach.png)

| picture | side [px] | found in 30 | in 12 images | found after, median / 95 % [s] | first error | later | others | max. [ms] |
|---|---|---|---|---|---|---|---|---|"""
_WORSE = """
Photographs at full size with reduced quality, each as a single image:

| kind | found | error | others |
|---|---|---|---|"""
_OTHERS = """
Pictures without a hand, each as a single image and as a stream of 30 images; and a video of one hand:

| what | figure |
|---|---|"""


def summary(sights: Sequence[Sight]) -> dict[str, float]:
    """Returns the figures of the pastes of one kind."""
    after = np.array([sight.found_after for sight in sights])
    found = after > 0
    waited = after[found] if found.any() else np.array([np.nan])
    return {
        "found": float(found.mean()),
        "found in 12 images": float((found & (after <= 12)).mean()),
        "first sight, median [s]": float(np.median(waited) / RATE_HZ),
        "first sight, 95 % [s]": float(np.percentile(waited, 95) / RATE_HZ),
        "error at first sight": float(np.nanmean([sight.error for sight in sights])),
        "error 4 images later": float(np.nanmean([sight.settled_error for sight in sights])),
        "others": int(sum(sight.others for sight in sights)),
        "longest image [ms]": float(np.max([sight.longest_ms for sight in sights])),
    }


def line(row: dict[str, Any]) -> str:
    """Returns a row of the table of small hands."""
    return (
        f"| {row['width']}x{row['height']} | {row['side_px']} | {row['found']:.0%} | {row['found in 12 images']:.0%} | "
        f"{row['first sight, median [s]']:.2f} / {row['first sight, 95 % [s]']:.2f} | {row['error at first sight']:.3f} | "
        f"{row['error 4 images later']:.3f} | {row['others']} | {row['longest image [ms]']:.0f} |"
    )


def write(path: Path, figures: dict[str, Any]) -> None:
    """Writes a page with all tables to `path`, and the plot to images/ beside `path`."""
    (path.parent / "images").mkdir(exist_ok=True)
    plot(path.parent / "images/reach.png", figures["small"])
    rows = [line(row) for row in figures["small"]]
    worse = [f"| {name} | {of['found']:.0%} | {of['error']:.3f} | {of['others']} |" for name, of in figures["worse"].items()]
    others = [
        f"| {title} | {figure if isinstance(figure, int) else f'{figure:.1f}'} |"
        for part in ("free", "video")
        for title, figure in ((f"{part}: {name}", value) for name, value in figures.get(part, {}).items())
    ]
    path.write_text("\n".join([_TOP, *rows, _WORSE, *worse, _OTHERS, *others]) + "\n")


def plot(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Draws the found share against the size of the hand, with one line per resolution."""
    figure, axis = plt.subplots(figsize=(5, 3.5), layout="constrained")
    for width, height in dict.fromkeys((row["width"], row["height"]) for row in rows):
        chosen = [row for row in rows if row["width"] == width]
        axis.plot([row["side_px"] for row in chosen], [row["found"] for row in chosen], marker=".", label=f"{width}x{height}")
    axis.set(xlabel="side of the photograph [px]", ylabel="found within 30 images", ylim=(0, 1.05))
    axis.legend(frameon=False)
    figure.savefig(path, dpi=120, metadata={"Software": None})
    plt.close(figure)
