"""Pictures of docs/accuracy.md."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt

from benchmarks import report
from benchmarks.report import Result

SHEET_COLUMNS, SHEET_TILES = 3, 12
_CONFIDENCES = np.arange(0.10, 0.995, 0.01)
# The 90 % ellipsoids should hold a share of the errors in this range.
_HONEST = (0.85, 0.95)


def contact_sheet(path: Path, tiles: Sequence[np.ndarray]) -> None:
    """Writes a JPEG of images (H, W, 3) uint8 of one size, `SHEET_COLUMNS` per row. It omits an incomplete last row."""
    count = len(tiles) // SHEET_COLUMNS * SHEET_COLUMNS
    rows = [np.hstack(tiles[start : start + SHEET_COLUMNS]) for start in range(0, count, SHEET_COLUMNS)]
    if rows:
        cv2.imwrite(str(path), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])


def reliability(path: Path, found: Mapping[str, Sequence[Result]]) -> None:
    """Draws the share of errors inside the ellipsoids against the confidence of the ellipsoids.

    Args:
        path: path of the PNG file.
        found: figures of detected hands, by source.
    """
    figure, axes = plt.subplots(1, len(report.PARTS), figsize=(9, 4.4), sharey=True, layout="constrained")
    for axis, part in zip(axes, report.PARTS):
        axis.plot([0, 1], [0, 1], color="0.6", linewidth=1, label="calibrated")
        axis.plot([0.9, 0.9], _HONEST, color="0.6", linewidth=5, solid_capstyle="butt", label="target at 90 %")
        for source, results in found.items():
            axis.plot(_CONFIDENCES, report.reliability(results, part, _CONFIDENCES), label=f"{source}, {len(results)} hands")
        axis.set(title=part, xlabel="confidence", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes[0].set_ylabel("share of errors inside")
    axes[0].legend(loc="upper left", frameon=False)
    _save(figure, path)


def best_of(path: Path, swept: Mapping[str, Mapping[tuple[int, int], dict[str, float]]]) -> None:
    """Draws the error of the best hypothesis (full) and of the aggregate (dashed) against the number of hypotheses.

    Args:
        path: path of the PNG file.
        swept: PA-MPJPE in mm, by source, then by hypotheses and steps.
    """
    figure, axes = plt.subplots(1, len(swept), figsize=(4.2 * len(swept) + 1, 4), layout="constrained", squeeze=False)
    for axis, (source, figures) in zip(axes[0], swept.items()):
        numbers, steps = (sorted(set(values)) for values in zip(*figures))
        for colour, step in enumerate(steps):
            for name, style in (("PA-MPJPE best of K", "-"), ("PA-MPJPE aggregate", "--")):
                errors = [figures[n, step][name] for n in numbers]
                label = f"{step} step{'s' if step > 1 else ''}" if style == "-" else None
                axis.plot(numbers, errors, style, color=f"C{colour}", marker=".", label=label)
        axis.set(title=source, xlabel="hypotheses", ylabel="PA-MPJPE [mm]", xscale="log", xticks=numbers, xticklabels=numbers)
        axis.minorticks_off()
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False, title="best: full\naggregate: dashed")
    _save(figure, path)


def _save(figure: plt.Figure, path: Path) -> None:
    # The file contains no date, so the same figures give the same file.
    figure.savefig(path, dpi=120, metadata={"Software": None})
    plt.close(figure)
