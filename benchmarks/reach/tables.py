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
`--before FILE`, some tables also show the figures of an earlier version, "before". The command keeps the text from the first
heading of the page on.

![found share](images/reach.png)

| picture | side [px] | found in 30 | in 12 images | found after, median / 95 % [s] | first error | later | others | max. [ms] |
|---|---|---|---|---|---|---|---|---|"""
_WORSE = """
Single images: photographs at full size with reduced quality, and rendered hands of the held-out set without a border:
"""
_SPEEDS = """
A rendered hand swings through the image at 30 Hz, with motion blur. The speed is the greatest speed, in sides of the picture of
the hand per image. "Lost" is the share of images without the hand, after a slow start:
"""
_OTHERS = """
Pictures without a hand, each as a single image and as a stream of 30 images; a video of one hand; four copies of this video in
one image for 10 s, with delays, two of them mirrored ("crowd"); and two cameras with a detector in common, for 10 s:
"""
_CROSSINGS = """
Two rendered hands pass each other in front of the camera, or meet and part, within 1.3 s. A hand is visible if at least 80 % of
the joints that its first image shows are not hidden. "Found" is the share of the images with a visible hand. "Ids exchanged"
counts films in which a hand ends with the id of the other hand. "Found again" is the time until both hands are reported, after
both are visible again:
"""
_RETURNS = """
A rendered hand leaves the image for 0.7 s and comes back, alone or beside a second hand. "Found again" is the time from the first
image in which it is visible again:
"""
_MATERIALS = """
The same rendered hands at 0.4 to 0.9 m as bare hands, in gloves of one colour, and in the image of an infrared camera with a lamp
at its lens. "Alone" is a single image, "in 12" and "in 30 images" are streams of a still camera:
"""
_FILMS = {"crossings": _CROSSINGS, "returns": _RETURNS, "materials": _MATERIALS}


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
    kinds = {name: of for part in ("worse", "rendered") for name, of in figures[part].items()}
    earlier = {name: of for part in ("worse", "rendered") for name, of in before.get(part, {}).items()}
    singles = _table("kind", kinds, earlier, {"found": "{:.0%}", "error": "{:.3f}", "others": "{}"})
    moving, moved = ({f"{row['speed']:.2f}": row for row in of.get("speeds", [])} for of in (figures, before))
    speeds = _table("speed", moving, moved, {"lost": "{:.0%}", "new ids": "{}"})
    films = [line for part, text in _FILMS.items() if part in figures for line in (text, *_film_table(figures[part]))]
    parts = ("free", "video", "crowd", "two cameras")
    single, single_before = (
        {f"{part}: {name}": {"figure": value} for part in parts for name, value in of.get(part, {}).items()}
        for of in (figures, before)
    )
    others = _table("what", single, single_before, {"figure": ""})
    notes = _notes(path)
    path.write_text("\n".join([_TOP, *rows, _WORSE, *singles, _SPEEDS, *speeds, *films, _OTHERS, *others]) + "\n" + notes)


def _table(first: str, now: dict[str, Any], before: dict[str, Any], forms: dict[str, str]) -> list[str]:
    """Returns a table with a row per name. With figures of an earlier version, each figure has a column for it."""
    versions = {" before": before, "": now} if before else {"": now}
    heads = [f"{key}{suffix}" for key in forms for suffix in versions]
    rows = [
        [name, *(_cell(of.get(name, {}).get(key), form) for key, form in forms.items() for of in versions.values())]
        for name in now
    ]
    return _lines([first, *heads], rows)


def _film_table(figures: dict[str, dict[str, Any]]) -> list[str]:
    heads = list(next(iter(figures.values())))
    shares = {"found", "wrong side", "alone", "in 12 images", "in 30 images", "found again in 0.4 s"}
    rows = [
        [name, *(_cell(of[key], "{:.0%}" if key in shares and isinstance(of[key], float) else "") for key in heads)]
        for name, of in figures.items()
    ]
    return _lines(["film", *heads], rows)


def _lines(heads: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (heads, len(heads) * ["---"], *rows)]


def _cell(value: float | None, form: str = "") -> str:
    if value is None:
        return "-"
    if form:
        return form.format(value)
    if isinstance(value, int):
        return str(value)
    return f"{value:.2f}" if abs(value) < 5 else f"{value:.1f}"


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
