"""Writes docs/accuracy.md and its pictures: one command makes every published figure about accuracy.

    python -m benchmarks.accuracy.tables --data ../shared/data/real_dev

Measures the rendered test sets, and the folders of `--data`, in the format of `benchmarks.accuracy --data`. The detector searches
every image once. The varied settings affect only the stages after the detector.
"""

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import metrics, report
from benchmarks.accuracy import pictures
from benchmarks.measure import OF_ALL_HANDS, ROWS, Seen, look, measure
from benchmarks.report import Result, interval, number, table
from benchmarks.samples import TEST_COUNT, TEST_SEED, real_samples, rendered_samples, synthetic_samples
from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.viewer.overlay import OverlayLayers, draw_overlay

HYPOTHESES, STEPS = (1, 8, 16, 32), (1, 2, 4, 5, 10)
# Images per source for the table over hypotheses and steps, spread over the set. The table has twenty settings.
SWEEP_COUNT = 150
_SWEEP = ("PA-MPJPE best of K", "PA-MPJPE aggregate", "energy score")
_SWITCHED = ("PA-MPJPE aggregate", "PA-MPJPE best of K", "PA-MPVPE aggregate", "root-relative MPJPE aggregate", "energy score")
_GROUP_ERRORS = ("PA-MPJPE aggregate", "PA-MPVPE aggregate", "root-relative MPJPE aggregate")
_CONFIDENCES = (0.5, 0.7, 0.8, 0.9, 0.95)

_LAYERS = OverlayLayers(keypoints=False, label=False)

NATURAL, ANY_POSE, _RENDERED = "natural", "any pose", "{}, rendered"

Sources = Mapping[str, Sequence[Seen]]

_INTRODUCTION = """\
# Accuracy

`python -m benchmarks.accuracy.tables` writes this page with the models {model_id}. The pipeline uses {n_hypotheses} hypotheses
and {steps} steps, unless a table varies these numbers. `benchmarks/metrics.py` defines each figure. Alignment (PA) is a
similarity transform without reflection. Numbers in brackets are 95 % bootstrap intervals over images.

- **natural**: {count} rendered hands, seed {seed}, right and left in turn. Poses and views are as people show their hands to a
  camera, and a third of the hands grasp an object: the fingers close until the skin touches it. The training set does not contain
  their poses, builds, skin tones and backgrounds. Sizes vary like the sizes of adult hands.
- **any pose**: the same number of rendered hands, seed {seed}, in any pose and any view.
{photographs}
The detector searches the whole image for each hand, without a hint. Most figures are means over the detected hands. The bold rows
also count the missed hands. In these rows a missed hand has the error of the flat hand model, or is not below 10 mm.
"""
_PHOTOGRAPHS = """\
- **{name}**: {count} photographs, padded by 64 reflected pixels. Training and tuning did not use these photographs.
- **{name}, rendered**: our own hand in the poses of these photographs, seen by the same cameras. Its true joints have no
  annotation errors, and proportions and joint definition are those of the models. The difference to the photographs shows the
  effect of these errors and of the look of real pictures.
"""


def main() -> None:
    """Command line: see the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, action="append", default=[], help="folder with images/ and annotations.npz")
    parser.add_argument("--count", type=int, default=TEST_COUNT, help="number of rendered hands")
    parser.add_argument("--sweep-count", type=int, default=SWEEP_COUNT, help="images per source in the table over steps")
    parser.add_argument("--models", default="", help="folder of the model files; default: the shipped models")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder for accuracy.md and images/")
    args = parser.parse_args()
    base = PipelineConfig(models_dir=args.models)
    pipeline = HandMeshPipeline(base)
    samples = {
        NATURAL: synthetic_samples(args.count, TEST_SEED, natural=True),
        ANY_POSE: synthetic_samples(args.count, TEST_SEED),
    }
    for folder in args.data:
        samples[folder.name] = real_samples(folder)
        samples[_RENDERED.format(folder.name)] = rendered_samples(real_samples(folder), TEST_SEED)
    sources = {name: look(pipeline.detector, images) for name, images in samples.items()}
    write(args.out, sources, pipeline, args.sweep_count)


def write(out: Path, sources: Sources, pipeline: HandMeshPipeline, sweep_count: int) -> None:
    """Writes accuracy.md and images/ into the folder `out`.

    Args:
        out: made if missing.
        sources: images by name; `NATURAL` and `ANY_POSE` come first, then folders of photographs, each with its renders.
        pipeline: pipeline with the default settings.
        sweep_count: images per source in the table over hypotheses and steps.
    """
    (out / "images").mkdir(parents=True, exist_ok=True)
    results = {name: [measure(pipeline, seen) for seen in images] for name, images in sources.items()}
    found = {name: found for name, images in results.items() if (found := report.found_ones(images))}
    swept = {name: sweep(pipeline.config, images, sweep_count) for name, images in sources.items()}
    pictures.contact_sheet(out / "images" / "test_set.jpg", _drawn(pipeline, sources[NATURAL]))
    pictures.reliability(out / "images" / "reliability.png", found)
    pictures.best_of(out / "images" / "best_of_n.png", swept)
    sections = [
        introduction(pipeline, sources) + "\n![The first detected hands of the test set](images/test_set.jpg)\n",
        "## Overall\n\n" + overall(results),
        "## By view, occlusion and detector error\n\n" + by_group(results),
        best_of(swept, sweep_count),
        *switched(pipeline.config, sources, results),
        uncertainty(found),
    ]
    (out / "accuracy.md").write_text("\n".join(sections))


def _drawn(pipeline: HandMeshPipeline, images: Sequence[Seen]) -> list[np.ndarray]:
    """Returns pictures of the first detected hands of a source, each beside its estimate."""
    tiles = []
    for seen in [seen for seen in images if seen.detection is not None][: pictures.SHEET_TILES]:
        frame = seen.sample.frame
        estimate = pipeline.chain.answer(seen.detection, frame).estimate
        tiles.append(np.hstack([frame.rgb, draw_overlay(frame.rgb, [estimate], frame.camera_matrix, layers=_LAYERS)]))
    return tiles


def introduction(pipeline: HandMeshPipeline, sources: Sources) -> str:
    """Returns the introduction: data, models and settings."""
    folders = [name for name in sources if _RENDERED.format(name) in sources]
    photographs = "".join(_PHOTOGRAPHS.format(name=name, count=len(sources[name])) for name in folders)
    return _INTRODUCTION.format(
        model_id=pipeline.model_id,
        n_hypotheses=pipeline.config.n_hypotheses,
        steps=pipeline.config.joint_steps,
        count=len(sources[NATURAL]),
        seed=TEST_SEED,
        photographs=photographs,
    )


def overall(results: Mapping[str, Sequence[Result]]) -> str:
    """Returns a table of every row of `ROWS`, one column per source."""
    rows = []
    for name, factor, unit in ROWS:
        cells = [interval(factor * report.column(images, name)) for images in results.values()]
        rows.append([f"**{name}**" if name in OF_ALL_HANDS else name, unit, *cells])
    return table(["", "", *results], rows)


def by_group(results: Mapping[str, Sequence[Result]]) -> str:
    """Returns a table of the detected share and the errors, for the groups of `report.groups`."""
    rows = []
    for source, images in results.items():
        for title, chosen in report.groups(images).items():
            errors = [1e3 * report.mean(chosen, name) for name in _GROUP_ERRORS]
            found, good = (100 * report.mean(chosen, name) for name in ("found", "below 10 mm PA-MPJPE, of all hands"))
            figures = (found, *errors, report.mean(chosen, "F@5 mm"), good)
            rows.append([source, title, str(len(chosen)), *(number(value) for value in figures)])
    errors = ["PA-MPJPE [mm]", "PA-MPVPE [mm]", "root-relative MPJPE [mm]"]
    header = ["", "", "images", "found [%]", *errors, "F@5 mm", "below 10 mm, of all hands [%]"]
    return table(header, rows)


def sweep(base: PipelineConfig, images: Sequence[Seen], count: int) -> dict[tuple[int, int], dict[str, float]]:
    """Returns the means of `_SWEEP` in mm by hypotheses and steps, over `count` evenly spread images with a detected hand."""
    found = [seen for seen in images if seen.detection is not None]
    chosen = [found[index] for index in np.linspace(0, len(found) - 1, min(count, len(found))).astype(int)]
    return {
        (n, steps): {name: 1e3 * report.mean(measured, name) for name in _SWEEP}
        for steps in STEPS
        for n in HYPOTHESES
        for measured in [_measured(base, chosen, n_hypotheses=n, joint_steps=steps)]
    }


def best_of(swept: Mapping[str, Mapping[tuple[int, int], dict[str, float]]], count: int) -> str:
    """Returns the section over hypotheses and steps."""
    rows = []
    for source, figures in swept.items():
        for steps in STEPS:
            cells = (" / ".join(number(figures[n, steps][name]) for name in _SWEEP) for n in HYPOTHESES)
            rows.append([source, str(steps), *cells])
    text = f"PA-MPJPE of the best hypothesis / of the aggregate / energy score [mm], over at most {count} images per source.\n\n"
    grid = table(["", "steps", *(f"n = {n}" for n in HYPOTHESES)], rows)
    return f"## Hypotheses and steps\n\n{text}{grid}\n![Best of n](images/best_of_n.png)\n"


def switched(base: PipelineConfig, sources: Sources, results: Mapping[str, Sequence[Result]]) -> list[str]:
    """Returns the section with and without image features, or nothing if the pipeline has no such switch."""
    if "image_features" not in {field.name for field in dataclasses.fields(PipelineConfig)}:
        return []
    rows = []
    for source, images in sources.items():
        found = [seen for seen in images if seen.detection is not None]
        if not found:
            continue
        measured = {on: _measured(base, found, image_features=on) for on in (True, False)}
        for name in _SWITCHED:
            with_them, without = (1e3 * report.column(measured[on], name) for on in (True, False))
            if len(with_them):
                gain, low, high = metrics.paired_bootstrap(with_them, without)
                change = f"{gain:+.2f} [{low:+.2f}, {high:+.2f}]"
                rows.append([source, name, number(with_them.mean()), number(without.mean()), change])
    grid = table(["", "[mm]", "with", "without", "paired difference"], rows)
    return [f"## With and without image features\n\n{grid}"]


def uncertainty(found: Mapping[str, Sequence[Result]]) -> str:
    """Returns the section on the calibration of the uncertainty."""
    rows = []
    for source, images in found.items():
        for part in report.PARTS:
            by_level = [report.coverage_by_level(images, part, confidence) for confidence in _CONFIDENCES]
            at_90 = report.coverage_by_level(images, part)
            cells = [f"{100 * shares['all joints']:.0f}" for shares in by_level]
            cells.append(" / ".join(f"{100 * at_90[level]:.0f}" for level in report.LEVELS))
            rows.append([source, part, *cells, number(report.uncertainty_ranking(images)[part])])
    levels = " / ".join(report.LEVELS)
    header = ["", "", *(f"{100 * confidence:.0f} %" for confidence in _CONFIDENCES), f"90 %: {levels}", "rank correlation"]
    text = (
        "The columns with a confidence show the share of joint errors [%] inside the ellipsoids of that confidence. The last\n"
        "column is the rank correlation of the estimated and the true error over images. Articulation: error after alignment\n"
        "of the hand. Absolute: error in the camera frame.\n\n"
    )
    return f"## Uncertainty\n\n{text}{table(header, rows)}\n![Reliability](images/reliability.png)\n"


def _measured(base: PipelineConfig, images: Sequence[Seen], **changes: Any) -> list[Result]:
    pipeline = HandMeshPipeline(dataclasses.replace(base, **changes))
    return [measure(pipeline, seen) for seen in images]


if __name__ == "__main__":
    main()
