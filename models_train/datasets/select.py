"""The choice of a data set on the command line, the same for every command of this room."""

import argparse
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from models_train.datasets.formats import freihand, ho3d, interhand
from models_train.datasets.formats.mano import ManoHand
from models_train.datasets.formats.sample import DatasetSample

# Names of the splits of each data set: for training, for scores.
SPLITS = {
    "freihand": ("training", "evaluation"),
    "ho3d_v2": ("train", "evaluation"),
    "ho3d_v3": ("train", "evaluation"),
    "interhand": ("train", "test"),
}
DATASETS = tuple(SPLITS)


def add_options(parser: argparse.ArgumentParser, datasets: tuple[str, ...] = DATASETS) -> None:
    """Adds the options that `samples` reads."""
    parser.add_argument("--dataset", choices=datasets, required=True)
    parser.add_argument("--root", type=Path, required=True, help="folder of the data set")
    parser.add_argument("--split", default="", help="split of the data set; the usual one of this command if not given")
    parser.add_argument("--limit", type=int, default=0, help="use the first samples only; 0 for all")
    parser.add_argument("--fps", type=int, default=5, choices=(5, 30), help="release of InterHand2.6M")
    parser.add_argument("--mano", type=Path, help="your MANO_RIGHT.pkl: gives the vertices of the training split of HO-3D")


def samples(given: argparse.Namespace, is_training: bool, with_vertices: bool = True) -> Iterator[DatasetSample]:
    """Yields the chosen samples.

    Args:
        given: values of `add_options`.
        is_training: which split is the usual one.
        with_vertices: also read the vertices.

    Raises:
        DatasetError: if the data set is missing or has a wrong layout.
        ValueError: if there is no such split.
    """
    split = given.split or SPLITS[given.dataset][0 if is_training else 1]
    return islice(_all_samples(given, split, with_vertices), given.limit or None)


def _all_samples(given: argparse.Namespace, split: str, with_vertices: bool) -> Iterator[DatasetSample]:
    if given.dataset == freihand.KEY:
        return freihand.samples(given.root, split, with_vertices, freihand.BACKGROUNDS)
    if given.dataset == interhand.KEY:
        return interhand.samples(given.root, split, given.fps)
    mano = ManoHand.load(given.mano) if given.mano else None
    return ho3d.samples(given.root, split, given.dataset, with_vertices, mano)
