"""Sweeps the settings of the fit of cascade meshes, on rendered hands from the distribution of the training set.

    python -m benchmarks.graph.sweep --models models --count 100

`benchmarks.graph.fitting.FIT` and `PipelineConfig` hold the best settings. The sweep uses no test set and no photographs.
"""

import argparse
import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks import metrics
from benchmarks.graph.fitting import KINDS, FitSettings, Results, cascade, cascade_and_fit, measured
from benchmarks.graph.views import View, column, found_hands, view_of
from benchmarks.report import table
from benchmarks.samples import Sample
from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.types import Frame

# Poses, builds, skins and rooms follow the training set. The hands are new.
SEED = 40_000
PULLS_MM, LOCALS_MM, TURNS_DEG = (0.0, 2.0, 8.0, 32.0), (0.0, 1.0, 2.0, 4.0), (0.0, 3.0, 30.0)
NOISES, STEPS = (30.0, 100.0, 300.0), (1, 2, 4)
_CASCADE = "cascade"
_BATCH = 10


def main() -> None:
    """Command line: see the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, default=default_models_dir(), help="folder of the model files")
    parser.add_argument("--count", type=int, default=100, help="number of hands")
    parser.add_argument("--pulls", type=float, nargs="+", default=PULLS_MM, help="fit_pull_mm")
    parser.add_argument("--locals", type=float, nargs="+", default=LOCALS_MM, help="fit_local_mm")
    parser.add_argument("--turns", type=float, nargs="+", default=TURNS_DEG, help="fit_turn_deg")
    parser.add_argument("--noises", type=float, nargs="+", default=NOISES, help="fit_noise")
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS, help="fit_steps")
    args = parser.parse_args()
    pipeline = HandMeshPipeline(PipelineConfig(models_dir=str(args.models)))
    views = training_like_views(pipeline, args.count)
    for kind in KINDS:
        results = sweep(args.models, views, kind, grid(args.pulls, args.locals, args.turns, args.noises, args.steps))
        sys.stdout.write(f"{kind}, {len(views)} hands\n{sweep_table(results)}\n")


def training_like_views(pipeline: HandMeshPipeline, count: int) -> list[View]:
    """Returns the views of `count` rendered hands that the detector found."""
    found, _ = found_hands(pipeline.detector, training_like_samples(), count)
    return [view_of(pipeline, seen) for seen in found]


def training_like_samples() -> Iterator[Sample]:
    """Yields rendered right hands without end."""
    from models_train.data.scenes import SceneMaker

    maker = SceneMaker(np.random.default_rng(SEED))
    for index in itertools.count():
        if index % _BATCH == 0:
            scenes = maker.scenes(_BATCH)
        scene = scenes[index % _BATCH]
        frame = Frame(scene.rgb, scene.camera_matrix)
        yield Sample(f"{SEED}-{index:04d}", frame, scene.joints_m, "right", scene.vertices_m)


def grid(*values: Sequence[float]) -> list[FitSettings]:
    """Returns all combinations of the field values, in the order of the fields."""
    return [FitSettings(*each) for each in itertools.product(*values)]


def around(settings: FitSettings) -> list[FitSettings]:
    """Returns these settings, and all settings that differ in one field."""
    varied = {"pull_mm": PULLS_MM, "local_mm": LOCALS_MM, "turn_deg": TURNS_DEG, "noise": NOISES, "steps": STEPS}
    found = {settings, *(settings._replace(**{name: value}) for name, values in varied.items() for value in values)}
    return sorted(found)


def title_of(settings: FitSettings) -> str:
    """Returns the title of the settings for the first column of the table."""
    return " / ".join(f"{value:g}" for value in settings)


def sweep(models_dir: Path, views: Sequence[View], kind: str, settings: Sequence[FitSettings]) -> Results:
    """Returns the figures of every hand by settings. The figures of the cascade come first."""
    results = measured(views, kind, {_CASCADE: cascade})
    for each in settings:
        # One method at a time, because every method loads the models.
        results |= measured(views, kind, {title_of(each): cascade_and_fit(models_dir, each)})
    return results


def sweep_table(results: Results) -> str:
    """Returns one row per setting: the 3D errors, the paired interval of their change, and the change of the 2D errors."""
    names = ("PA-MPVPE", "PA-MPJPE", "root-relative MPJPE")
    before = results[_CASCADE]
    rows = []
    for title, images in results.items():
        cells = [f"{1e3 * column(images, name).mean():.2f}" for name in names]
        _, low, high = metrics.paired_bootstrap(*(1e3 * column(each, names[0]) for each in (images, before)))
        left = [column(images, name).mean() / column(before, name).mean() for name in ("2D error", "2D error to the truth")]
        rows.append([title, *cells, f"[{low:+.2f}, {high:+.2f}]", *(f"{100 * share - 100:+.0f}" for share in left)])
    change = ["change of PA-MPVPE [mm]", "of 2D error [%]", "of 2D error to the truth [%]"]
    return table(["pull / local [mm] / turn [deg] / noise / steps", *(f"{name} [mm]" for name in names), *change], rows)


if __name__ == "__main__":
    main()
