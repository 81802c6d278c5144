"""Gains from one measurement to another on the same images, each with its paired 95 % bootstrap interval.

    python -m benchmarks.accuracy --data DIR --json before.json
    python -m benchmarks.accuracy --data DIR --json after.json
    python -m benchmarks.accuracy.compare before.json after.json

A row is marked where its interval does not hold 0. Except for the rows about all hands, a row compares the images in which both
found the hand. `--block 10` draws runs of ten neighbouring images instead of single ones, for recordings, in which neighbours are
alike: the honest interval is then wider.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks import metrics
from benchmarks.measure import ROWS
from benchmarks.report import Result


def main() -> None:
    """Command line: see the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path, help="written by benchmarks.accuracy --json")
    parser.add_argument("after", type=Path, help="the same images, measured with something else")
    parser.add_argument("--block", type=int, default=1, help="neighbouring images that are drawn together")
    args = parser.parse_args()
    stored = [json.loads(path.read_text()) for path in (args.before, args.after)]
    lines = compare(stored[0]["images"], stored[1]["images"], args.block)
    sys.stdout.write(f"models {stored[0]['model_id']} -> {stored[1]['model_id']}\n" + "\n".join(lines) + "\n")


def compare(before: Sequence[Result], after: Sequence[Result], block: int = 1) -> list[str]:
    """One line a row that both have: means, their difference, its interval, and a mark if 0 is outside.

    Raises:
        ValueError: if the two are not of the same images.
    """
    names = [[result["name"] for result in results] for results in (before, after)]
    if names[0] != names[1]:
        raise ValueError(
            f"{len(names[0])} images from {names[0][:1]} on, and {len(names[1])} from {names[1][:1]} on: not the same"
        )
    lines = []
    for name, factor, unit in ROWS:
        pair = factor * np.array([[result.get(name, np.nan) for result in results] for results in (before, after)], float)
        pair = pair[:, np.isfinite(pair).all(0)]
        if pair.shape[1]:
            gain, low, high = metrics.paired_bootstrap(pair[1], pair[0], block)
            mark = "  *" if low > 0 or high < 0 else ""
            means = f"{pair[0].mean():8.2f} -> {pair[1].mean():8.2f} {unit:2s}"
            lines.append(f"{name:56s} {means} {gain:+7.2f} [{low:+.2f}, {high:+.2f}] of {pair.shape[1]}{mark}")
    return lines


if __name__ == "__main__":
    main()
