"""The page of `benchmarks.reach`: tables and a plot."""

from collections.abc import Sequence
from itertools import cycle
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
(root mean square) of the hand. "Others" counts reported hands that are not the pasted hand. Times are processor times. With
`--before FILE`, the tables also show the figures of an earlier version, "before". The command keeps the text from the first
heading of the page on.

![found share](images/reach.png)

| picture | side [px] | found in 30 | in 12 images | found after, median / 95 % [s] | first error | later | others | max. [ms] |
|---|---|---|---|---|---|---|---|---|"""
_WORSE = """
Single images: photographs at full size with reduced quality, and rendered hands of the held-out set without a border:

| kind | found before | found | error before | error | others before | others |
|---|---|---|---|---|---|---|"""
_SPEEDS = """
A rendered hand swings through the image at 30 Hz, with motion blur. The speed is the greatest speed, in sides of the picture of
the hand per image. "Lost" is the share of images without the hand, after a slow start:

| speed | lost before | lost | new ids before | new ids |
|---|---|---|---|---|"""
_OTHERS = """
Pictures without a hand, each as a single image and as a stream of 30 images; a video of one hand; four copies of this video in
one image for 10 s, with delays, two of them mirrored ("crowd"); and two cameras with a detector in common, for 10 s:

| what | before | figure |
|---|---|---|"""


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


def write(path: Path, figures: dict[str, Any], before: dict[str, Any]) -> None:
    """Writes a page with all tables to `path`, and the plot to images/ beside `path`. Text from the first heading on stays.

    Args:
        path: the page.
        figures: figures of this version.
        before: figures of an earlier version; parts may be missing.
    """
    (path.parent / "images").mkdir(exist_ok=True)
    plot(path.parent / "images/reach.png", figures["small"])
    rows = [line(row) for row in figures["small"]]
    kinds = [
        _row(name, of, before.get(part, {}).get(name, {}), {"found": "{:.0%}", "error": "{:.3f}", "others": "{}"})
        for part in ("worse", "rendered")
        for name, of in figures[part].items()
    ]
    earlier = {row["speed"]: row for row in before.get("speeds", [])}
    speeds = [
        _row(f"{row['speed']:.2f}", row, earlier.get(row["speed"], {}), {"lost": "{:.0%}", "new ids": "{}"})
        for row in figures["speeds"]
    ]
    others = [
        f"| {part}: {name} | {_figure(before.get(part, {}).get(name))} | {_figure(value)} |"
        for part in ("free", "video", "crowd", "two cameras")
        for name, value in figures.get(part, {}).items()
    ]
    notes = _notes(path)
    path.write_text("\n".join([_TOP, *rows, _WORSE, *kinds, _SPEEDS, *speeds, _OTHERS, *others]) + "\n" + notes)


def _row(name: str, now: dict[str, Any], before: dict[str, Any], forms: dict[str, str]) -> str:
    cells = [form.format(of[key]) if key in of else "-" for key, form in forms.items() for of in (before, now)]
    return f"| {' | '.join([name, *cells])} |"


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.1f}"


def _notes(path: Path) -> str:
    """Returns the text of a page from its first heading below the title on."""
    text = path.read_text() if path.is_file() else ""
    _, heading, rest = text.partition("\n## ")
    return heading + rest


def plot(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Draws the found share against the size of the hand, with one line per resolution."""
    figure, axis = plt.subplots(figsize=(5, 3.5), layout="constrained")
    # Lines with equal values stay visible with different dashes.
    sizes = dict.fromkeys((row["width"], row["height"]) for row in rows)
    for (width, height), dashes in zip(sizes, cycle(("-", "--", ":"))):
        chosen = [row for row in rows if row["width"] == width]
        sides, found = [row["side_px"] for row in chosen], [row["found"] for row in chosen]
        axis.plot(sides, found, linestyle=dashes, marker=".", label=f"{width}x{height}")
    axis.set(xlabel="side of the photograph [px]", ylabel="found within 30 images", ylim=(0, 1.05))
    axis.legend(frameon=False)
    figure.savefig(path, dpi=120, metadata={"Software": None})
    plt.close(figure)
