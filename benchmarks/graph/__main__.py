"""Writes docs/graph.md and its pictures: one command makes every published figure of the graph diffusion.

    python -m benchmarks.graph --data ../shared/data/real_dev
    python -m benchmarks.graph --models FOLDER --ablation FOLDER --quick --out /tmp/graph

The page repeats the tables of Li et al. 2024 ("HHMR"), section 5, on our data with our models: generation, completion,
reconstruction, 2D fit. `--ablation` names a second folder of models: a graph diffusion without graph convolutions.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.graph import sections
from benchmarks.graph.generation import RealHands
from benchmarks.graph.sections import Counts
from benchmarks.graph.views import view_of
from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.graph.diffusion import GraphDiffusion
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.pipeline import HandMeshPipeline

QUICK = Counts(
    training=500,
    generated=8,
    seeds=2,
    completed=1,
    draws=2,
    steps_of_completion=4,
    views=4,
    views_of_draws=2,
    hypotheses=4,
    views_of_sweep=3,
    steps=(2, 4),
    repeats=1,
)
_WITHOUT = ", without graph convolutions"


def main() -> None:
    """Command line: see the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, default=default_models_dir(), help="folder of the model files")
    parser.add_argument("--ablation", type=Path, help="folder of the models without graph convolutions")
    parser.add_argument("--data", type=Path, action="append", default=[], help="folder with images/ and annotations.npz")
    parser.add_argument("--quick", action="store_true", help="use a few hands and steps only, to check that all parts run")
    parser.add_argument("--views", type=int, help="rendered hands of each set for the 2D fit")
    parser.add_argument("--views-of-draws", type=int, help="rendered hands for the best of n")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder for graph.md and images/")
    args = parser.parse_args()
    asked = {name: value for name in ("views", "views_of_draws") if (value := getattr(args, name))}
    folders = {"": args.models} | ({_WITHOUT: args.ablation} if args.ablation else {})
    write(args.out, folders, args.data, replace(QUICK if args.quick else Counts(), **asked))


def write(out: Path, folders: Mapping[str, Path], photographs: Sequence[Path], counts: Counts) -> None:
    """Writes graph.md and images/ into the folder `out`.

    Args:
        out: made if missing.
        folders: folders of the models. The key is the suffix of their row titles; "" comes first.
        photographs: folders as `benchmarks.samples.real_samples` reads them.
        counts: sizes of the measurements.
    """
    (out / "images").mkdir(parents=True, exist_ok=True)
    base = PipelineConfig(models_dir=str(folders[""]))
    models = {name: GraphDiffusion(folder, base) for name, folder in folders.items()}
    real = RealHands.draw(models[""].hand, counts.training)
    pipeline = HandMeshPipeline(base)
    found, n_images = sections.test_hands(pipeline, counts)
    views = {title: [view_of(pipeline, seen) for seen in hands[: counts.views]] for title, hands in found.items()}
    of_draws = found[sections.NATURAL][: counts.views_of_draws]
    text = [
        sections.introduction(pipeline, real, counts, len(found[sections.NATURAL]), n_images),
        _reported("generation", lambda: sections.generation(out, real, models, counts)),
        _reported("completion", lambda: sections.completion(out, real, models, counts)),
        _reported("reconstruction", lambda: sections.reconstruction(out, base, models[""], of_draws, counts)),
        _reported("2D fit", lambda: sections.fitting(pipeline, folders, models, real, views, photographs)),
        _reported("settings of the fit", lambda: sections.settings_of_fit(pipeline, folders[""], counts)),
        _reported("timings", lambda: sections.timings(folders[""], models[""], views[sections.NATURAL][0], counts)),
    ]
    (out / "graph.md").write_text("\n".join(text))


def _reported(title: str, section: Callable[[], str]) -> str:
    """Returns the section and prints its duration, because all sections together take minutes."""
    started_s = time.perf_counter()
    text = section()
    sys.stdout.write(f"{title}: {time.perf_counter() - started_s:.0f} s\n")
    sys.stdout.flush()
    return text


if __name__ == "__main__":
    main()
