"""Measures the error of the estimates and the calibration of their uncertainty.

    python -m benchmarks.accuracy --data ../shared/data/real_dev
    python -m benchmarks.accuracy --data ../shared/data/real_dev --rendered
    python -m benchmarks.accuracy --synthetic --count 500
    python -m benchmarks.accuracy --synthetic --natural --count 500

`--data` names a folder with images/ and annotations.npz: image (N,) file names, camera_matrix (N, 3, 3), joints_m (N, 21, 3) in
the camera's optical frame, handedness (N,). The hands fill these images, so the benchmark adds a border of 64 reflected pixels.
With `--rendered` the benchmark renders our own hand in the poses of these images, through the same cameras.
`--synthetic` renders the test set, with right and left hands in turn. Its poses, builds, skin tones and backgrounds are held out
from training. These images have no border, and the truth includes the surface. With `--natural` most poses are recorded poses, a
third of the hands grasp an object, and most views show the palm or the back. `--flip` mirrors every image, camera and truth.

The detector gets no hint about the hand's position. Figures are means over the hands that the detector found; two rows also count
the missed hands. Intervals are 95 % bootstrap intervals over images. Images of one recording are similar, so judge gains by
`python -m benchmarks.accuracy.compare` of two files written with `--json`.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks import metrics, report
from benchmarks.measure import ROWS, look, measure
from benchmarks.report import Result, say
from benchmarks.samples import TEST_COUNT, TEST_SEED, flipped, real_samples, rendered_samples, synthetic_samples
from hand_mesh_ros.core.pipeline import HandMeshPipeline


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: see the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path, help="folder with images/ and annotations.npz")
    source.add_argument("--synthetic", action="store_true", help="the rendered test set")
    parser.add_argument("--count", type=int, default=TEST_COUNT, help="number of rendered hands")
    parser.add_argument("--seed", type=int, default=TEST_SEED, help="seed of the rendered hands")
    parser.add_argument("--depth", action="store_true", help="also give the rendered depth to the pipeline")
    parser.add_argument("--natural", action="store_true", help="natural poses, grasps and views of rendered hands")
    parser.add_argument("--rendered", action="store_true", help="render our own hand in the poses of --data")
    parser.add_argument("--flip", action="store_true", help="mirror the images")
    parser.add_argument("--models", default="", help="folder of the model files; default: the shipped models")
    parser.add_argument("--hypotheses", type=int, default=8)
    parser.add_argument("--steps", type=int, default=4, help="denoising steps of the joints")
    parser.add_argument("--json", type=Path, help="file for the figures of every image")
    args = parser.parse_args(arguments)
    if (args.depth or args.natural) and not args.synthetic:
        parser.error("--depth and --natural need --synthetic")
    if args.rendered and not args.data:
        parser.error("--rendered needs --data")
    pipeline = HandMeshPipeline.default(n_hypotheses=args.hypotheses, joint_steps=args.steps, models_dir=args.models)
    drawn = (args.count, args.seed, args.depth, args.natural)
    samples = synthetic_samples(*drawn) if args.synthetic else real_samples(args.data)
    if args.rendered:
        samples = rendered_samples(samples, args.seed)
    if args.flip:
        samples = map(flipped, samples)
    results = [measure(pipeline, seen) for seen in look(pipeline.detector, samples)]
    print_report(results, pipeline)
    if args.json:
        args.json.write_text(json.dumps({"model_id": pipeline.model_id, "images": results}, indent=1))


def print_report(results: Sequence[Result], pipeline: HandMeshPipeline) -> None:
    """Prints the figures."""
    config = pipeline.config
    say(f"models {pipeline.model_id}, {config.n_hypotheses} hypotheses x {config.joint_steps} steps, {len(results)} images")
    for name, factor, unit in ROWS:
        values = factor * report.column(results, name)
        if len(values):
            average, low, high = metrics.bootstrap_mean(values)
            say(f"{name:56s} {average:8.2f} {unit:2s}  [{low:.2f}, {high:.2f}]  median {np.median(values):.2f}")
    say(f"more than one hand reported in {np.mean([result['hands'] > 1 for result in results]):.1%}")
    if found := report.found_ones(results):
        _report_gain(found)
        _report_groups(results)
        _report_uncertainty(found)


def _report_gain(results: Sequence[Result]) -> None:
    columns = ("PA-MPJPE aggregate", "PA-MPJPE detector, image landmarks + z")
    average, low, high = metrics.paired_bootstrap(*(1e3 * report.column(results, name) for name in columns))
    say(f"{'aggregate - detector (image + z), paired':56s} {average:8.2f} mm  [{low:.2f}, {high:.2f}]")


def _report_groups(results: Sequence[Result]) -> None:
    for title, chosen in report.groups(results).items():
        found, error = report.mean(chosen, "found"), 1e3 * report.mean(chosen, "PA-MPJPE aggregate")
        say(f"{title:42s} {len(chosen):4d} images, found {found:.0%}, PA-MPJPE {error:.2f} mm")


def _report_uncertainty(results: Sequence[Result]) -> None:
    for part in report.PARTS:
        shares = (f"{level} {share:.0%}" for level, share in report.coverage_by_level(results, part).items())
        say(f"share of errors in the 90 % ellipsoids, {part}: {', '.join(shares)}")
    for part, correlation in report.uncertainty_ranking(results).items():
        say(f"rank correlation of estimated and true error, {part}: {correlation:.2f}")
    say("residual_std_m, the standard deviation per axis of the error after alignment, in the format of the model metadata:")
    say(",".join(f"{value:.5f}" for value in report.residual_std_m(results)))


if __name__ == "__main__":
    main()
