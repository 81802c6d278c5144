"""Compares two measurements on the same images. Each gain has a paired 95 % bootstrap interval.

    python -m benchmarks.accuracy --data DIR --json before.json
    python -m benchmarks.accuracy --data DIR --json after.json
    python -m benchmarks.accuracy.compare before.json after.json

A star marks a row whose interval excludes 0. Most rows compare the images where both measurements found the hand; the rows about
all hands use all images. Neighbouring images of a recording are similar. For recordings, `--block 10` therefore draws blocks of
ten neighbouring images instead of single images. The interval is then wider and correct.
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
    parser.add_argument("after", type=Path, help="file of the second measurement, on the same images")
    parser.add_argument("--block", type=int, default=1, help="number of neighbouring images per bootstrap block")
    args = parser.parse_args()
    stored = [json.loads(path.read_text()) for path in (args.before, args.after)]
    lines = compare(stored[0]["images"], stored[1]["images"], args.block)
    sys.stdout.write(f"models {stored[0]['model_id']} -> {stored[1]['model_id']}\n" + "\n".join(lines) + "\n")


def compare(before: Sequence[Result], after: Sequence[Result], block: int = 1) -> list[str]:
    """Returns one line per row of both measurements: means, difference, interval, and a star if 0 is outside.

    Raises:
        ValueError: if the two measurements use different images.
    """
    names = [[result["name"] for result in results] for results in (before, after)]
    if names[0] != names[1]:
        raise ValueError(
            f"the files have different images: {len(names[0])} from {names[0][:1]} on, {len(names[1])} from {names[1][:1]} on"
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
