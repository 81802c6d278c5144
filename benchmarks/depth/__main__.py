"""Where hands are, with a depth camera and without, and how the size of a user's hands settles.

    python -m benchmarks.depth --data ../shared/data/real_dev --out docs/depth.md

The images are rendered and then seen through the model of a depth sensor (`benchmarks.depth.rgbd`). The whole pipeline answers,
with its detector. Prints Markdown. Photographs with annotated joints (`--data`) have no depth: they show what a known size is
worth.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.depth import rgbd
from benchmarks.depth.place_errors import PLACE, SIZE, Error, cells
from benchmarks.depth.rgbd import Shot
from benchmarks.depth.settling import settle, settling
from benchmarks.measure import Seen, look
from benchmarks.report import table
from benchmarks.samples import Sample, real_samples
from hand_mesh_ros.core.hand.model import bone_lengths
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.place.user_size import PRIOR, USER_REL_STD, Scale

DISTANCES_M = (0.3, 0.5, 0.7, 1.0)
# The settings were chosen on seed 1.
TEST_SEED, TEST_COUNT, TEST_USERS = 2, 100, 10
# What each row of the first table knows: the factor on the true size, None for an unknown one; only "depth" has depth.
_CONDITIONS = {"depth": None, "exact size": 1.0, "average size": None, "size 5 % wrong": 1.05}

_INTRODUCTION = """\
# Depth and scale

Written by `python -m benchmarks.depth` with the models {model_id}.

{count} rendered hands at each distance, seed {seed}, of adults' sizes, palm or back towards the camera within some 60 degrees, in
gestures and builds that were not trained on; a quarter have an object between hand and camera. Camera: 640 x 480 px, 60 degrees.

{sensor}
The detector finds hands by itself; a hand counts as found as in `benchmarks.measure`. Each image is on its own here, without
tracking or a settled size. Inside: share of the errors that the stated 90 % ellipsoid holds. Keypoints apart: how far the
detector's keypoints lie from each other, over the truth; where they are 4 % too close, a hand of known size seems 4 % too far.
"""


def main() -> None:
    """Command line: see the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=TEST_COUNT, help="hands per distance")
    parser.add_argument("--users", type=int, default=TEST_USERS, help="users whose size is to settle")
    parser.add_argument("--seed", type=int, default=TEST_SEED)
    parser.add_argument("--data", type=Path, action="append", default=[], help="folder with images/ and annotations.npz")
    parser.add_argument("--out", type=Path, help="file for the tables; they are printed either way")
    args = parser.parse_args()
    pipeline = HandMeshPipeline.default("cpu")
    text = report(pipeline, args.count, args.users, args.seed, args.data)
    sys.stdout.write(text)
    if args.out:
        args.out.write_text(text)


def report(pipeline: HandMeshPipeline, count: int, users: int, seed: int, folders: Sequence[Path]) -> str:
    """All of it, in Markdown."""
    scenes = rgbd.RgbdScenes(seed)
    rows: list[list[str]] = []
    with_depth: list[Error] = []
    for distance_m in DISTANCES_M:
        errors = measured(pipeline, [scenes.shot(distance_m) for _ in range(count)])
        with_depth += errors["depth"]
        rows += [[f"{distance_m:g} m", f"{len(found)} of {count}", name, *cells(found)] for name, found in errors.items()]
    for name, has_object in (("nothing in front", False), ("an object in front", True)):
        chosen = [error for error in with_depth if error.has_object == has_object]
        rows.append(["all", str(len(chosen)), f"depth, {name}", *cells(chosen)])
    for folder in folders:
        shots = [Shot(sample, _size(pipeline, sample), False) for sample in real_samples(folder)]
        away_m = np.median([shot.sample.joints_m[:, 2].mean() for shot in shots])
        errors = measured(pipeline, shots)
        del errors["depth"]
        title = f"{folder.name}, {away_m:.2f} m"
        rows += [[title, f"{len(found)} of {len(shots)}", name, *cells(found)] for name, found in errors.items()]
    return "\n".join(
        [
            _INTRODUCTION.format(model_id=pipeline.model_id, count=count, seed=seed, sensor=rgbd.__doc__.split("\n\n", 1)[1]),
            table(["distance", "found", "with", *PLACE, *SIZE], rows),
            settling([settle(pipeline, [seed, user]) for user in range(users)]),
        ]
    )


def _size(pipeline: HandMeshPipeline, sample: Sample) -> float:
    """Of annotated joints, relative to the average."""
    return float(bone_lengths(sample.joints_m).sum() / pipeline.hand_model.bone_lengths_m.sum())


def measured(pipeline: HandMeshPipeline, shots: Sequence[Shot]) -> dict[str, list[Error]]:
    """Errors of the hands that were found, by what was known of them."""
    seen = look(pipeline.detector, (shot.sample for shot in shots))
    return {name: list(errors_of(pipeline, shots, seen, name)) for name in _CONDITIONS}


def errors_of(pipeline: HandMeshPipeline, shots: Sequence[Shot], seen: Sequence[Seen], condition: str) -> Iterator[Error]:
    """Errors of the hands that were found."""
    factor = _CONDITIONS[condition]
    for shot, look_at in zip(shots, seen):
        if look_at.detection is None:
            continue
        size = Scale(factor * shot.size, USER_REL_STD, "user") if factor else PRIOR
        frame = shot.sample.frame if condition == "depth" else replace(shot.sample.frame, depth_m=None)
        estimate = pipeline.chain.answer(look_at.detection, frame, size).estimate
        yield Error.of(estimate, shot.sample.joints_m, frame.camera_matrix, shot.has_object)


if __name__ == "__main__":
    main()
