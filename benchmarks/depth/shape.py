"""Measures what depth does to the shape of hands, for both sensors, every obstacle and distance.

    python -m benchmarks.depth.shape --seeds 202 203 --count 120 --out docs/depth_shape.md

The images are those of `benchmarks.depth.rgbd`. Every hand is estimated in several ways from one detection, so differences are
paired. The command prints Markdown.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from benchmarks import metrics
from benchmarks.depth.rgbd import Obstacle, RgbdScenes, Shot
from benchmarks.depth.variants import VARIANTS
from benchmarks.measure import look
from benchmarks.report import table
from hand_mesh_ros.core.geometry.camera import project
from hand_mesh_ros.core.models.model_id import model_id
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.topology import JOINT_NAMES, WRIST
from hand_mesh_ros.core.types import DEPTH_ANCHORED, HandEstimate
from hand_mesh_ros.synthetic.depth_sensors import SENSORS

DISTANCES_M = (0.3, 0.5, 0.7, 1.0, 1.5)
OBSTACLES: tuple[Obstacle, ...] = ("nothing", "in front", "held")
# Seeds 111 and 112 served to select the settings.
TEST_SEEDS, TEST_COUNT = (202, 203), 120
_PART = 40  # images of one job
FIGURES = ("joints [mm]", "wrist [mm]", "root-relative [mm]", "PA-MPJPE [mm]", "PA-MPVPE [mm]", "F@5 mm")
# Groups of joints by the distance of their keypoints from the truth [m].
_KEYPOINTS_M = {"below 5 mm": (0.0, 0.005), "5 to 10 mm": (0.005, 0.01), "10 to 20 mm": (0.01, 0.02), "above": (0.02, 1.0)}
_CHI2_90 = 6.251  # of three dimensions

_PAGE = """\
# Depth and shape

`python -m benchmarks.depth.shape` writes this page with the models {model_id}.

Rendered hands of adult size, seeds {seeds} with {count} images each. The distances 0.3 to 1.5 m, the two sensors of
`hand_mesh_ros.synthetic.depth_sensors`, and the obstacles alternate. Half of the hands have nothing in front, a quarter has a box
between hand and camera, and a quarter holds an object. Gestures and builds are held out from training. The settings were chosen
on other seeds. Each image is processed alone, with the real detector, and found in {found} of {all} images. There is no time
limit for the fit, so the figures do not depend on the machine.

![hands before and after the fit, with the measured points](images/depth_fit.png)

`python -m benchmarks.depth.pictures` draws a fist, a pinch and a hand with a cylinder, seen from the side. Green points are at
most 5 mm from the surface in this view, red points in front of the surface, blue points behind. Upper row: rigid. Lower row:
bent. The number is the mean error of the joints.

## Which step gives what

{ablation}
Each value is the mean of the seeds, with half of the difference between the seeds. The time is the median processor time beyond
the rigid estimate; it depends on the machine and its load. "Rigid" moves, turns and scales the hand only. Each row from "also
pairs at points" to "bent" adds one part to the row above. "Bent" is the fit of the pipeline: it adds the pairs of points beside
the skin. The last two rows change the shape before the fit. They take two to four times as long, for less than 0.2 mm, so the
pipeline does not use them.

## What did not help

The changes in this section are not part of the program. They were measured once, on about 220 hands of seeds 111 and 112, with
the fit before the pairs of points beside the skin. Each cell: without -> with the change.

| change | joints [mm] | PA-MPJPE [mm] |
| --- | --- | --- |
| weight of a ray decreases with its residual (Student) | 11.60 -> 11.61 | 10.08 -> 10.04 |
| rays of joints that are hidden in truth count one tenth | 11.60 -> 11.62 | 10.08 -> 10.04 |
| vertices in front of measured background are pulled to the nearest pixel of the hand | 11.61 -> 11.60 | 10.04 -> 10.08 |
| measured normals help to select the nearest vertex | 11.63 -> 11.62 | 10.06 -> 10.07 |
| only vertices that the own mesh does not hide have pairs with points | 11.63 -> 11.64 | 10.06 -> 10.07 |

On half of these hands, the fit started from the aggregate and from each of the 8 hypotheses. The mean of the fitted hands, and
the hand with the best agreement, have the same error as the aggregate alone (11.8 mm). Even the best of the 9 hands, selected
with the truth, has 11.2 mm. A covariance of the errors of the cascade along the components, estimated from 113 hands, reduced
the error of the joints by 0.15 mm and increased the error of the wrist by 0.16 mm. A linear regression of the remaining error,
trained on 251 hands of other gestures, reduced the error of the joints by 0.2 mm.

A network that measures the joints in the depth image (a crop of 64 x 64 px and the keypoints, 0.5 MB, trained on 45 000
rendered views with both sensors) was built and not kept. As more observations of the fit, it reduced the error of the joints
from 12.71 to 12.47 mm and PA-MPJPE from 10.65 to 10.49 mm on the hands of this page, for 1 ms more per hand. With a sensor that
it had not seen (structured light: disparity in steps of 1/8 px, wide holes) the changes were 14.57 to 14.32 mm and 22.61 to
22.40 mm with two other seeds. With four times the weight, it made this sensor worse. Measured depths of the keypoints instead
of the detector's depths, as a cue of the joint stage, left the error of the joints at 12.71 mm. They also made a hand at rest
step by 0.9 mm if depth comes only for some images. Even true depths of all keypoints reduce the error only from 13.2 to 12.3 mm
after the fit (38 hands).

The true hand does not agree better with depth and keypoints than the fitted hand. So a better search does not help, only better
measurements: with the true vertex for each measured point, the error falls from 11.6 to 9.7 mm (110 hands).

## Sensors, obstacles and distances

Each cell: rigid -> with bent fingers.

{conditions}
## Covariances

Share of errors inside the 90 % ellipsoids of the absolute positions. Measured: the joint has the flag DEPTH_ANCHORED. Hidden: in
truth, an object or another part of the hand is in front of the joint.

{coverage}
## Where the error is

Distance between joint and truth. Keypoint: distance between the keypoint of the detector and the true joint in the image, at the
depth of the joint.

{analysis}
"""


@dataclass(frozen=True)
class Result:
    """Figures of one hand."""

    seed: int
    sensor: str
    distance: str
    obstacle: Obstacle
    hidden: np.ndarray  # (21,) bool, in truth
    figures: dict[str, np.ndarray]  # variant: (figures,)
    times_ms: dict[str, float]  # variant: processor time of the whole estimate
    error_m: np.ndarray  # (21,) distance between joint and truth, rigid
    bent_error_m: np.ndarray  # (21,) with bent fingers
    keypoint_m: np.ndarray  # (21,)
    inside: np.ndarray  # (21,) bool
    measured: np.ndarray  # (21,) bool


def main() -> None:
    """Command line: see the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=TEST_COUNT, help="images per seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=TEST_SEEDS)
    parser.add_argument("--processes", type=int, default=2, help="number of processes that share the images")
    parser.add_argument("--out", type=Path, help="file for the tables; the command also prints the tables")
    args = parser.parse_args()
    text = report(args.seeds, args.count, args.processes)
    sys.stdout.write(text)
    if args.out:
        args.out.write_text(text)


def report(seeds: Sequence[int], count: int, processes: int = 1) -> str:
    """Returns the whole page in Markdown."""
    jobs = [(seed, part, min(_PART, count - start)) for seed in seeds for part, start in enumerate(range(0, count, _PART))]
    with get_context("spawn").Pool(processes) as pool:
        results = [result for of_job in pool.imap(_measured, jobs) for result in of_job]
    return (
        _PAGE.format(
            model_id=model_id(default_models_dir(), with_graph=True),
            seeds=" and ".join(map(str, seeds)),
            count=count,
            found=len(results),
            all=len(seeds) * count,
            ablation=_ablation(results),
            conditions=_conditions(results),
            coverage=_coverage(results),
            analysis=_analysis(results),
        ).rstrip("\n")
        + "\n"
    )


def _measured(job: tuple[int, int, int]) -> list[Result]:
    """Returns the results of one part of the images of a seed, in an own process."""
    return list(measured(HandMeshPipeline.default("cpu", fit_enabled=True, fit_budget_ms=0.0), *job))


def shots(seed: int, part: int, count: int) -> Iterator[tuple[str, Shot]]:
    """Yields names of sensors and shots of a part of a seed. Distances, sensors and obstacles alternate."""
    scenes = RgbdScenes([seed, part])
    obstacles: tuple[Obstacle, ...] = ("nothing", "in front", "held", "nothing")
    kinds = [(away_m, name, each) for away_m in DISTANCES_M for name in SENSORS for each in obstacles]
    for index in range(count):
        away_m, name, obstacle = kinds[index % len(kinds)]
        yield name, scenes.shot(away_m, SENSORS[name], obstacle)


def measured(pipeline: HandMeshPipeline, seed: int, part: int, count: int) -> Iterator[Result]:
    """Yields the results of the hands that the detector finds. The pipeline must have the graph diffusion."""
    for sensor, shot in shots(seed, part, count):
        (seen,) = look(pipeline.detector, [shot.sample])
        if seen.detection is None:
            continue
        answers, times_ms = {}, {}
        for name, variant in VARIANTS.items():
            started_s = time.thread_time()
            answers[name] = variant(pipeline, seen.detection, shot.sample.frame)
            times_ms[name] = 1e3 * (time.thread_time() - started_s)
        rigid, bent = (answers[name] for name in ("rigid", "bent"))
        sample = shot.sample
        pixels = metrics.point_errors(seen.detection.keypoints_px, project(sample.joints_m, sample.frame.camera_matrix))
        yield Result(
            seed,
            sensor,
            sample.name,
            shot.obstacle,
            sample.hidden,
            {name: figures_of(answer, shot) for name, answer in answers.items()},
            times_ms,
            metrics.point_errors(rigid.joints_m, sample.joints_m),
            metrics.point_errors(bent.joints_m, sample.joints_m),
            pixels / sample.frame.camera_matrix[0, 0] * sample.joints_m[:, 2],
            metrics.mahalanobis2(bent.joints_m - sample.joints_m, bent.joint_covariance_m2) < _CHI2_90,
            (bent.joint_flags & DEPTH_ANCHORED) > 0,
        )


def figures_of(estimate: HandEstimate, shot: Shot) -> np.ndarray:
    """The `FIGURES` of one hand."""
    truth_m, surface_m = shot.sample.joints_m, shot.sample.vertices_m
    error = metrics.point_errors(estimate.joints_m, truth_m)
    aligned = metrics.procrustes(estimate.vertices_m, surface_m)
    lengths_m = (
        error.mean(),
        error[WRIST],
        metrics.root_relative_error(estimate.joints_m, truth_m),
        metrics.pa_error(estimate.joints_m, truth_m),
        metrics.point_errors(aligned, surface_m).mean(),
    )
    return np.array([*(1e3 * float(each) for each in lengths_m), metrics.f_scores(aligned, surface_m, (0.005,))[0]])


def _ablation(results: Sequence[Result]) -> str:
    rows = []
    for name in VARIANTS:
        of_seeds = [
            np.mean([result.figures[name] for result in results if result.seed == seed], axis=0)
            for seed in sorted({result.seed for result in results})
        ]
        middle, spread = np.mean(of_seeds, axis=0), 0.5 * np.ptp(of_seeds, axis=0)
        cells = [f"{value:.2f} +- {half:.2f}" for value, half in zip(middle, spread)]
        more_ms = np.median([result.times_ms[name] - result.times_ms["rigid"] for result in results])
        rows.append([name, *cells, f"{more_ms:.1f}"])
    return table(["", *FIGURES, "more time [ms]"], rows)


def _conditions(results: Sequence[Result]) -> str:
    rows = []
    for sensor in SENSORS:
        of_sensor = [result for result in results if result.sensor == sensor]
        groups = {"all": of_sensor}
        groups |= {f"{each}": [one for one in of_sensor if one.obstacle == each] for each in OBSTACLES}
        groups |= {f"{away:g} m": [one for one in of_sensor if one.distance == f"{away:g} m"] for away in DISTANCES_M}
        for title, chosen in groups.items():
            if chosen:
                before, after = (np.mean([one.figures[name] for one in chosen], axis=0) for name in ("rigid", "bent"))
                cells = [f"{one:.2f} -> {other:.2f}" for one, other in zip(before, after)]
                rows.append([sensor.replace("_", " "), title, str(len(chosen)), *cells])
    return table(["sensor", "hands", "number", *FIGURES], rows)


def _coverage(results: Sequence[Result]) -> str:
    rows = []
    for title in ("all", *OBSTACLES):
        chosen = [result for result in results if title in ("all", result.obstacle)]
        if not chosen:
            continue
        inside, measured, hidden = (
            np.array(values) for values in zip(*((one.inside, one.measured, one.hidden) for one in chosen))
        )
        groups = (np.ones_like(hidden), measured, ~measured, ~hidden, hidden)
        rows.append([title, *(f"{100 * inside[group].mean():.0f}" for group in groups), f"{100 * measured.mean():.0f}"])
    return table(["hands", "all joints", "measured", "not measured", "visible", "hidden", "share of measured joints"], rows)


def _analysis(results: Sequence[Result]) -> str:
    keypoint, before, after, hidden = (
        np.array(values) for values in zip(*((one.keypoint_m, one.error_m, one.bent_error_m, one.hidden) for one in results))
    )
    names = np.array(JOINT_NAMES)[None].repeat(len(results), 0)
    is_tip = np.char.endswith(names, "tip")
    groups = {"visible": ~hidden, "hidden": hidden, "wrist": names == "wrist", "tips": is_tip}
    for title, (low, high) in _KEYPOINTS_M.items():
        groups[f"visible, keypoint {title}"] = ~hidden & (keypoint >= low) & (keypoint < high)
    rows = [
        [title, f"{100 * group.mean():.0f}", *(f"{1e3 * values[group].mean():.1f}" for values in (keypoint, before, after))]
        for title, group in groups.items()
        if group.any()
    ]
    return table(["joints", "share [%]", "keypoint [mm]", "rigid [mm]", "bent [mm]"], rows)


if __name__ == "__main__":
    main()
