"""Where hands are, with a depth camera and without, and how the size of a user's hands settles.

    python -m benchmarks.depth --data ../shared/data/real_dev --out docs/depth.md

Everything is rendered and then seen through the model of a depth sensor (`benchmarks.rgbd`); the whole pipeline answers, detector
included. Prints Markdown. Photographs with annotated joints (`--data`) have no depth: they show what a known size is worth.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks import metrics, rgbd
from benchmarks.measure import Seen, look
from benchmarks.rgbd import Shot
from benchmarks.samples import Sample, real_samples
from benchmarks.tables import table
from hand_mesh_ros.apps.synthetic import SyntheticCamera
from hand_mesh_ros.core.hand_model import HandModel, bone_lengths
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.scale import PRIOR, USER_REL_STD, Scale, UserScale
from hand_mesh_ros.core.topology import N_JOINTS, WRIST
from hand_mesh_ros.core.types import Frame, HandEstimate
from models_train.data import shape
from models_train.data.hands import sample_build, sample_lengths, shipped_hand

DISTANCES_M = (0.3, 0.5, 0.7, 1.0)
# The settings were chosen on seed 1.
TEST_SEED, TEST_COUNT, TEST_USERS = 2, 100, 10
# What each row of the first table knows: the factor on the true size, None for an unknown one; only "depth" has depth.
_CONDITIONS = {"depth": None, "exact size": 1.0, "average size": None, "size 5 % wrong": 1.05}
_RATE_HZ, _WITH_DEPTH_S, _WITHOUT_S = 10, 10.0, 3.0
_TIMES_S = (0.0, 0.5, 1.0, 2.0, 5.0, 9.9)
_CHI2_90, _NORMAL_90 = 6.251, 1.645  # of three dimensions, of one

_PLACE = ("wrist, median [mm]", "wrist, 90 % [mm]", "joints, mean [mm]", "wrist inside [%]", "joints inside [%]")
_HEADER = ("distance", "found", "with", *_PLACE, "size error, median [%]", "stated [%]")

_INTRODUCTION = """\
# Depth and scale

Written by `python -m benchmarks.depth` with the models {model_id}.

{count} rendered hands at each distance, seed {seed}, of adults' sizes, palm or back towards the camera within some 60 degrees, in
gestures and builds that were not trained on; a quarter have an object between hand and camera. Camera: 640 x 480 px, 60 degrees.

{sensor}
The detector finds hands by itself; a hand counts as found as in `benchmarks.measure`. Each image is on its own here, without
tracking or a settled size. Inside: share of the errors that the stated 90 % ellipsoid holds.
"""
_SEQUENCES = """\
## How the size of a user settles

{users} users of other sizes and proportions move a hand before the camera for {seconds:g} s at {rate} images a second (the
motion of `apps.synthetic`). The size stays afterwards, when there is no depth any more.
"""


@dataclass(frozen=True)
class Error:
    """Of one hand in one image."""

    joints_m: np.ndarray  # (21, 3) estimate minus truth
    inside: np.ndarray  # (21,) bool: in the stated 90 % ellipsoid
    log_size: float  # estimate over truth
    rel_std: float  # stated of the size
    has_object: bool

    @classmethod
    def of(cls, estimate: HandEstimate, joints_m: np.ndarray, has_object: bool = False) -> "Error":
        """Against true joints (21, 3)."""
        error = estimate.joints_m - joints_m
        inside = metrics.mahalanobis2(error, estimate.joint_covariance_m2) < _CHI2_90
        log_size = np.log(bone_lengths(estimate.joints_m).sum() / bone_lengths(joints_m).sum())
        return cls(error, inside, float(log_size), estimate.scale_rel_std, has_object)

    @property
    def wrist_m(self) -> float:
        """Distance of the wrist from the truth."""
        return float(np.linalg.norm(self.joints_m[WRIST]))


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
        rows += [[f"{distance_m:g} m", f"{len(found)} of {count}", name, *_cells(found)] for name, found in errors.items()]
    for name, has_object in (("nothing in front", False), ("an object in front", True)):
        chosen = [error for error in with_depth if error.has_object == has_object]
        rows.append(["all", str(len(chosen)), f"depth, {name}", *_cells(chosen)])
    for folder in folders:
        shots = [Shot(sample, _size(pipeline, sample), False) for sample in real_samples(folder)]
        away_m = np.median([shot.sample.joints_m[:, 2].mean() for shot in shots])
        errors = measured(pipeline, shots)
        del errors["depth"]
        title = f"{folder.name}, {away_m:.2f} m"
        rows += [[title, f"{len(found)} of {len(shots)}", name, *_cells(found)] for name, found in errors.items()]
    return "\n".join(
        [
            _INTRODUCTION.format(model_id=pipeline.model_id, count=count, seed=seed, sensor=rgbd.__doc__.split("\n\n", 1)[1]),
            table(_HEADER, rows),
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
        pipeline.user_scale = UserScale(Scale(factor * shot.size, USER_REL_STD, "user") if factor else PRIOR)
        frame = shot.sample.frame if condition == "depth" else replace(shot.sample.frame, depth_m=None)
        estimate = pipeline.estimate_hand(look_at.detection, frame)
        yield Error.of(estimate, shot.sample.joints_m, shot.has_object)
    pipeline.user_scale = UserScale()


def _cells(errors: Sequence[Error]) -> list[str]:
    """From the median of the wrist to the stated doubt about the size."""
    if not errors:
        return [""] * 7
    wrists = 1e3 * np.array([error.wrist_m for error in errors])
    joints = 1e3 * np.mean([np.linalg.norm(error.joints_m, axis=-1).mean() for error in errors])
    inside = 100 * np.array([error.inside for error in errors])
    size = 100 * np.median(np.abs([error.log_size for error in errors]))
    stated = 100 * np.median([error.rel_std for error in errors])
    lengths = (np.median(wrists), np.quantile(wrists, 0.9), joints)
    shares = (inside[:, WRIST].mean(), inside.mean())
    return [*(f"{value:.1f}" for value in lengths), *(f"{value:.0f}" for value in shares), f"{size:.1f}", f"{stated:.1f}"]


@dataclass(frozen=True)
class Settling:
    """One user before the camera."""

    known: list[tuple[float, float, float]]  # time [s], error of the logarithm of the size, its stated standard deviation
    with_depth: list[Error]
    afterwards: list[Error]  # when depth has ended
    never: list[Error]  # the same images for somebody who never had depth


def settle(pipeline: HandMeshPipeline, seed: list[int]) -> Settling:
    """Lets the pipeline watch a user with depth, then without."""
    rng = np.random.default_rng(seed)
    size, person = rgbd.adult_size(rng), _person(rng)
    source = SyntheticCamera(person, seed=seed[-1], side="left" if seed[-1] % 2 else "right")
    watched = Settling([], [], [], [])
    pipeline.reset()
    afterwards = []
    for index in range(round((_WITH_DEPTH_S + _WITHOUT_S) * _RATE_HZ)):
        time_s = index / _RATE_HZ
        view = source.at(time_s)
        # Scaling a scene about the optical centre changes no pixel.
        depth_m = np.where(view.depth_m > 0, size * view.depth_m, rgbd.WALL_M)
        sensed = rgbd.sense(depth_m, source.camera_matrix, rng) if time_s < _WITH_DEPTH_S else None
        frame, joints_m = Frame(view.rgb, source.camera_matrix, sensed, stamp_s=time_s), size * view.joints_m
        errors = [Error.of(hand, joints_m) for hand in pipeline.estimate(frame)[:1]]
        if sensed is None:
            watched.afterwards.extend(errors)
            afterwards.append((frame, joints_m))
        else:
            watched.with_depth.extend(errors)
            known = pipeline.user_scale.known
            watched.known.append((time_s, float(np.log(known.factor / size)), known.rel_std))
    pipeline.reset()
    for frame, joints_m in afterwards:
        watched.never.extend(Error.of(hand, joints_m) for hand in pipeline.estimate(frame)[:1])
    return watched


def _person(rng: np.random.Generator) -> HandModel:
    """The shipped hand with random proportions, of average size."""
    hand = shipped_hand()
    width, thickness = sample_build(rng, 1)
    rest = shape.rest_joints(hand.joints_m, sample_lengths(rng, 1, hand), width)
    flat = shape.stretch(hand.template_m, hand.joints_m, hand.skin_weights, rest, np.repeat(thickness[:, None], N_JOINTS, 1))
    return replace(hand, joints_m=rest[0].astype(np.float32), template_m=flat[0].astype(np.float32))


def settling(users: Sequence[Settling]) -> str:
    """The section on `settle`."""
    rows = []
    for time_s in _TIMES_S:
        moments = [min(user.known, key=lambda moment: abs(moment[0] - time_s)) for user in users]
        _, error, stated = (np.array(values) for values in zip(*moments))
        inside = np.abs(error) < _NORMAL_90 * stated
        rows.append(
            [
                f"{time_s:g}",
                *(f"{100 * value:.1f}" for value in (np.median(np.abs(error)), np.median(stated))),
                f"{100 * inside.mean():.0f}",
            ]
        )
    sizes = table(["after [s]", "size error, median [%]", "stated [%]", "inside 90 % [%]"], rows)
    places = [
        [title, str(len(errors)), *_cells(errors)[:5]]
        for title, errors in (
            ("with depth", [error for user in users for error in user.with_depth]),
            ("depth has ended", [error for user in users for error in user.afterwards]),
            ("the same images, never any depth", [error for user in users for error in user.never]),
        )
    ]
    text = _SEQUENCES.format(users=len(users), seconds=_WITH_DEPTH_S, rate=_RATE_HZ)
    return f"{text}\n{sizes}\n{table(['', 'images', *_PLACE], places)}"


if __name__ == "__main__":
    main()
