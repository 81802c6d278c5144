"""The page of `benchmarks.reach`: a table for each question, and a plot."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.reach.streams import RATE_HZ, Sight


def summary(sights: Sequence[Sight]) -> dict[str, float]:
    """Figures of the pastes of one kind."""
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
    """A row of the table of small hands."""
    return (
        f"| {row['width']}x{row['height']} | {row['side_px']} | {row['found']:.0%} | {row['found in 12 images']:.0%} | "
        f"{row['first sight, median [s]']:.2f} / {row['first sight, 95 % [s]']:.2f} | {row['error at first sight']:.3f} | "
        f"{row['error 4 images later']:.3f} | {row['others']} | {row['longest image [ms]']:.0f} |"
    )
