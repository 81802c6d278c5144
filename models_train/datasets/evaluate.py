"""Runs the shipped chain on a data set and prints the figures of its official protocol.

    python -m models_train.datasets.evaluate --dataset freihand --root FreiHAND_pub_v2
    python -m models_train.datasets.evaluate --dataset ho3d_v3 --root HO3D_v3 --models runs/models --json figures.json
    python -m models_train.datasets.evaluate --dataset freihand --root FreiHAND_pub_v2 --predictions pred.zip

The first column counts all hands, as the official scorers do; a missed hand counts as the flat hand. The second column counts the
hands that the detector found. `--predictions` scores a submission file of any method instead of the chain.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hand_mesh_ros.core.models.onnx_model import ModelError
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from models_train.datasets import scores, select, submission
from models_train.datasets.formats.sample import DatasetSample
from models_train.datasets.formats.sources import DatasetError
from models_train.datasets.predict import Prediction, load_pipeline, predict
from models_train.datasets.scores import Surfaces


def score(samples: Sequence[DatasetSample], hands: Surfaces) -> dict[str, float]:
    """Returns the figures of the protocol of the data set of the samples.

    Args:
        samples: of one data set, with their truth.
        hands: one estimate for each sample.

    Raises:
        ValueError: if there is no sample, or the truth of a sample is unknown.
    """
    if not samples:
        raise ValueError("no samples to score")
    if unknown := [sample.name for sample in samples if sample.joints_m is None]:
        raise ValueError(f"the truth of {len(unknown)} samples is unknown, first of {unknown[0]}; put the truth beside the split")
    true_m = np.stack([sample.joints_m for sample in samples if sample.joints_m is not None])
    if samples[0].dataset == "interhand":
        sides, interacting = [sample.handedness for sample in samples], np.array([sample.is_interacting for sample in samples])
        return scores.interhand_scores(hands.joints_m, true_m, sides, interacting, [str(sample.image_path) for sample in samples])
    surfaces = [sample.vertices_m for sample in samples if sample.vertices_m is not None]
    truth = Surfaces(true_m, surfaces if len(surfaces) == len(samples) else ())
    return (scores.freihand_scores if samples[0].dataset == "freihand" else scores.ho3d_scores)(hands, truth)


def evaluate(pipeline: HandMeshPipeline, samples: Sequence[DatasetSample]) -> dict[str, dict[str, float]]:
    """Runs the chain on the samples and returns the figures "of all hands" and "of found hands".

    Raises:
        ValueError: as `score`.
    """
    found = [predict(pipeline, sample) for sample in samples]
    rows = [number for number, hand in enumerate(found) if hand.is_found]
    figures = {
        "found": len(rows) / max(len(found), 1),
        "side right, of found hands": sum(hand.is_side_right for hand in found) / max(len(rows), 1),
    }
    result = {"of all hands": figures | score(samples, _surfaces(found))}
    if rows:
        result["of found hands"] = score([samples[row] for row in rows], _surfaces([found[row] for row in rows]))
    return result


def _surfaces(found: Sequence[Prediction]) -> Surfaces:
    return Surfaces(np.array([hand.joints_m for hand in found]), [hand.vertices_m for hand in found])


def _print(result: dict[str, dict[str, float]]) -> None:
    print(f"{'':56s} " + " ".join(f"{name:>16s}" for name in result))
    for name in next(iter(result.values())):
        print(f"{name:56s} " + " ".join(f"{figures[name]:16.3f}" if name in figures else 16 * " " for figures in result.values()))


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line. Returns 0, or 2 for input that cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    select.add_options(parser)
    parser.add_argument("--models", default="", help="folder of the model files; the shipped ones if not given")
    parser.add_argument("--predictions", type=Path, help="score this submission file instead of the chain")
    parser.add_argument("--json", type=Path, help="write the figures here")
    given = parser.parse_args(arguments)
    try:
        samples = list(select.samples(given, is_training=False))
        if given.predictions:
            result = {"of all hands": score(samples, submission.read(given.predictions, given.dataset))}
        else:
            result = evaluate(load_pipeline(given.models), samples)
    except (DatasetError, ModelError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{given.dataset}, {len(samples)} hands")
    _print(result)
    if given.json:
        given.json.write_text(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
