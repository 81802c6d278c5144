"""Measures how the fit to depth changes the shape of hands. Depth gives the same hands only their position, or also their shape.

    python -m benchmarks.depth.shape --seed 202 --count 320

The images come from `benchmarks.depth.rgbd`, at alternating distances of 0.3 to 1 m. Differences are paired. Their intervals
contain 95 % of 2000 bootstrap samples. The settings of the fit were selected with the seeds 101 and 102.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from benchmarks import metrics
from benchmarks.depth.rgbd import RgbdScenes, Shot
from benchmarks.measure import look
from benchmarks.report import table
from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.topology import WRIST
from hand_mesh_ros.core.types import HandDetection, HandEstimate

DISTANCES_M = (0.3, 0.5, 0.7, 1.0)
FIGURES = ("joints [mm]", "wrist [mm]", "root-relative [mm]", "PA-MPJPE [mm]", "PA-MPVPE [mm]", "F@5 mm", "inside 90 % [%]")
_CHI2_90, _SAMPLES = 6.251, 2000


def main() -> None:
    """Command line: see the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=320)
    parser.add_argument("--seed", type=int, default=202)
    args = parser.parse_args()
    sys.stdout.write(report(HandMeshPipeline.default("cpu"), args.seed, args.count))


def report(pipeline: HandMeshPipeline, seed: int, count: int) -> str:
    """Returns the figures of the detected hands in Markdown."""
    scenes, rows = RgbdScenes(seed), []
    for index in range(count):
        shot = scenes.shot(DISTANCES_M[index % len(DISTANCES_M)])
        (seen,) = look(pipeline.detector, [shot.sample])
        if seen.detection is not None:
            # Without a time limit the figures do not depend on the machine.
            settings = (replace(pipeline.config, depth_fit=fit, depth_fit_ms=0.0) for fit in (False, True))
            rows.append((shot, [_answer(pipeline, each, shot, seen.detection) for each in settings]))
    groups = {"all": rows, "nothing in front": [row for row in rows if row[0].obstacle == "nothing"]}
    groups["an object in front"] = [row for row in rows if row[0].obstacle != "nothing"]
    groups |= {name: [row for row in rows if row[0].sample.side == name] for name in ("left", "right")}
    groups |= {f"{away_m:g} m": [row for row in rows if row[0].sample.name == f"{away_m:g} m"] for away_m in DISTANCES_M}
    cells = [
        [f"{name}, {len(chosen)}", *line]
        for name, chosen in groups.items()
        if chosen
        for line in _lines(np.array([figures for _, figures in chosen]))
    ]
    return table(["hands", "figure", "position only", "position and shape", "difference", "from", "to"], cells) + "\n"


def _answer(pipeline: HandMeshPipeline, settings: PipelineConfig, shot: Shot, detection: HandDetection) -> list[float]:
    pipeline.reconfigure(settings)
    return figures_of(pipeline.chain.answer(detection, shot.sample.frame).estimate, shot)


def figures_of(estimate: HandEstimate, shot: Shot) -> list[float]:
    """Returns the `FIGURES` of one hand."""
    truth_m, surface_m = shot.sample.joints_m, shot.sample.vertices_m
    error = metrics.point_errors(estimate.joints_m, truth_m)
    aligned = metrics.procrustes(estimate.vertices_m, surface_m)
    inside = metrics.mahalanobis2(estimate.joints_m - truth_m, estimate.joint_covariance_m2) < _CHI2_90
    lengths_m = (
        error.mean(),
        error[WRIST],
        metrics.root_relative_error(estimate.joints_m, truth_m),
        metrics.pa_error(estimate.joints_m, truth_m),
        metrics.point_errors(aligned, surface_m).mean(),
    )
    return [
        *(1e3 * float(each) for each in lengths_m),
        metrics.f_scores(aligned, surface_m, (0.005,))[0],
        100 * float(inside.mean()),
    ]


def _lines(figures: np.ndarray) -> Sequence[list[str]]:
    """Returns the means before and after the fit, and the paired difference with its interval, from figures (n, 2, figures)."""
    before, after = figures.mean(0)
    apart = figures[:, 1] - figures[:, 0]
    chosen = np.random.default_rng(0).integers(0, len(apart), (_SAMPLES, len(apart)))
    low, high = np.quantile(apart[chosen].mean(1), (0.025, 0.975), axis=0)
    columns = np.stack([before, after, after - before, low, high], -1)
    return [[name, *(f"{value:.2f}" for value in column)] for name, column in zip(FIGURES, columns)]


if __name__ == "__main__":
    main()
