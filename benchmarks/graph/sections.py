"""The sections of docs/graph.md."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.graph import pictures as graph_pictures
from benchmarks.graph import sweep as graph_sweep
from benchmarks.graph.fitting import (
    DRAWS,
    FIT,
    GUIDED,
    KINDS,
    STEPS_FROM_NOISE,
    Method,
    baselines,
    cascade_and_fit,
    figures_table,
    gain_table,
    measured,
    methods,
)
from benchmarks.graph.generation import PCA_SHARE, RealHands, generation_table, generators, measure_generation
from benchmarks.graph.hypotheses import CASCADE, NUMBERS, best_of, best_of_table, cascade_draw, draws
from benchmarks.graph.inpainting import completed_by_diffusion, gaps, inpainting_table
from benchmarks.graph.timings import timings_table
from benchmarks.graph.views import View, found_hands, view_of
from benchmarks.measure import Seen
from benchmarks.samples import TEST_SEED, real_samples, synthetic_samples
from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.graph.diffusion import GraphDiffusion
from hand_mesh_ros.core.pipeline import HandMeshPipeline

# More images than these are not searched for the wanted number of hands.
_MOST_IMAGES = 2000
_DRAWN = 7  # hands a row in the picture of completions


@dataclass(frozen=True)
class Counts:
    """How much is measured."""

    training: int = 4000  # hands that PCA is fitted to
    generated: int = 96  # hands per seed
    seeds: int = 3
    completed: int = 6  # hands of which parts are given
    draws: int = 12  # of each
    steps_of_completion: int = 25
    views: int = 150  # rendered hands for the 2D fit
    views_of_draws: int = 16  # for the best of n
    hypotheses: int = max(NUMBERS)
    views_of_sweep: int = 60
    steps: tuple[int, ...] = (10, 25, 50)
    repeats: int = 7  # of what is timed


_INTRODUCTION = """\
# Graph diffusion

Written by `python -m benchmarks.graph`. One model of whole hand meshes makes hands from nothing, completes them, reconstructs
them from an image and fits them to keypoints (Li et al., CVPR 2024, "HHMR"; here the tables of its section 5, on our data). The
cascade beside it: models {model_id}. Images are those of the rendered test set of [accuracy](accuracy.md), seed {seed}: the first
{found} hands that were found, with their side, in {images} images.

PCA is fitted to {training} meshes like those of training. Of their variance {pca}; the first number is the least that holds
{share:.0f} %, the other is all of MANO's pose.
"""
_GENERATION = """\
## Generation

{n} hands from nothing, mean and standard deviation over {seeds} seeds. APD: mean distance of corresponding points over all pairs
of hands, in the palm frame, relative to the wrist. Self-intersecting: faces pierced by one that shares no vertex with them
(`benchmarks/self_intersection.py`). To the nearest real hand: mean joint distance to the nearest of {training} training hands;
real hands to it: from hands of training's kind to the nearest drawn one, large if some hands are never drawn. Diversity
alone is no merit: the nearer a row is to that of the real hands, the better.

{table}
Drawn with T = {steps}; faces that intersect others are red:

![Hands from nothing](images/graph_generated.png)

The same from PCA with {pca}:

![Hands from the principal components](images/graph_pca.png)
"""
_COMPLETION = """\
## Completion

{hands} hands of training's kind, {draws} draws each, T = {steps}. Given part: distance of its vertices, or joints, to where they
were given. APD and error of the rest: its vertices, in the palm frame. PCA draws from the Gaussian of its coefficients given the
part, with what it leaves out as noise.

{table}
On the left the true hand, then draws; grey is what was given of the mesh:

![Completions](images/graph_inpainting.png)
"""
_RECONSTRUCTION = """\
## Reconstruction: best of n

Smallest PA-MPJPE / PA-MPVPE [mm] of n draws, means over the first {views} test hands. Joints and vertices each have their own
best draw. The last column is the mean of all draws, which takes no knowledge of the truth.

{table}
![Best of n](images/graph_best_of_n.png)
"""
_FITTING = """\
## 2D fit

Rows without "PCA" or "cascade" are the mean of {draws} draws from noise, T = {steps}: "2D" and "image" say what the model is
told, "guidance" that its guesses are pulled to the keypoints. They and PCA start from the palm's rotation in the cascade's
answer, and all follow the keypoints by the same steps (`core/graph/likeliest_hand.py`), as if these erred by 3 % of its radius.
"cascade + fit" is the pipeline with its fit on; "turned and moved only" tells what of its gain in 2D takes no change of shape.
Root-relative: the wrists coincide, at the true size, which no image tells. 2D error: mean distance to the keypoints that were
given, in pixels of the image and relative to the hand's root mean square radius in it; then to the true joints. The settings
were chosen on other hands, see below.
"""
_KIND = """\
### {title}

{count} hands; the fit's settings are {settings}.

{table}
{gain}"""
_SETTINGS = """\
## Settings of the fit

{views} rendered hands of the kind that was trained on, but none of those. Before its fit a vertex may be off by `fit_pull_mm` as
part of a hand and, about each joint, by `fit_local_mm` by itself, the rotation by `fit_turn_deg`; the mesh gets the noise
`fit_noise` and `fit_steps` steps: pull / local / turn / noise / steps. `python -m benchmarks.graph.sweep` tries more.
"""
_TIMINGS = "## Time\n\nOn one thread, n hands in one batch.\n\n{table}"


def test_hands(pipeline: HandMeshPipeline, counts: Counts) -> tuple[list[Seen], int]:
    """As many rendered test hands as the sections need, and of how many images they are those that were found."""
    needed = max(counts.views, counts.views_of_draws)
    return found_hands(pipeline.detector, synthetic_samples(_MOST_IMAGES, TEST_SEED), needed)


def introduction(pipeline: HandMeshPipeline, real: RealHands, counts: Counts, n_found: int, n_images: int) -> str:
    """What is measured."""
    pca = ", ".join(f"{title} hold {100 * each.explained:.2f} %" for title, each in real.pca.items())
    facts = {"training": counts.training, "pca": pca, "share": 100 * PCA_SHARE, "seed": TEST_SEED}
    return _INTRODUCTION.format(model_id=pipeline.model_id, found=n_found, images=n_images, **facts)


def generation(out: Path, real: RealHands, models: Mapping[str, GraphDiffusion], counts: Counts) -> str:
    """Hands from nothing, with two sheets."""
    found = measure_generation(real, generators(real, models, counts.steps), counts.generated, counts.seeds)
    (title, pca), steps = next(iter(real.pca.items())), max(counts.steps)
    shown = min(graph_pictures.SHEET_COUNT, counts.generated)
    graph_pictures.hands_sheet(out / "images" / "graph_generated.png", models[""].generate(shown, 0, steps), real.hand)
    graph_pictures.hands_sheet(out / "images" / "graph_pca.png", pca.sample(shown, 0), real.hand)
    facts = {"n": counts.generated, "seeds": counts.seeds, "training": counts.training, "steps": steps, "pca": title}
    return _GENERATION.format(table=generation_table(found), **facts)


def completion(out: Path, real: RealHands, models: Mapping[str, GraphDiffusion], counts: Counts) -> str:
    """Hands of which part is given, with a sheet."""
    truth_m, steps = real.others(1, 0)[0], counts.steps_of_completion
    drawn_m = [(gap, completed_by_diffusion(models[""], "mesh", steps, truth_m, gap, _DRAWN, 0)) for gap in gaps(real.hand)]
    graph_pictures.gaps_sheet(out / "images" / "graph_inpainting.png", truth_m, drawn_m, real.hand)
    found = inpainting_table(real, models, counts.completed, counts.draws, steps)
    return _COMPLETION.format(hands=counts.completed, draws=counts.draws, steps=steps, table=found)


def reconstruction(out: Path, base: PipelineConfig, model: GraphDiffusion, found: Sequence[Seen], counts: Counts) -> str:
    """The best of n, with a plot."""
    pipeline = HandMeshPipeline(replace(base, n_hypotheses=counts.hypotheses))
    views = [view_of(pipeline, seen) for seen in found]
    rows = {(CASCADE, base.joint_steps): cascade_draw(pipeline)} | draws(model, counts.steps, counts.hypotheses)
    results = {title: best_of(views, draw) for title, draw in rows.items()}
    graph_pictures.best_of(out / "images" / "graph_best_of_n.png", results)
    return _RECONSTRUCTION.format(views=len(views), table=best_of_table(results))


def fitting(
    pipeline: HandMeshPipeline,
    folders: Mapping[str, Path],
    models: Mapping[str, GraphDiffusion],
    real: RealHands,
    views: Sequence[View],
    photographs: Sequence[Path],
) -> str:
    """The fit to keypoints: of rendered hands to the true and to the detector's ones, then of photographs to the detector's."""
    parts = [_FITTING.format(steps=STEPS_FROM_NOISE, draws=DRAWS)]
    for kind in KINDS:
        rows = baselines(real.hand, real.pca)
        for name, model in models.items():
            rows |= methods(folders[name], model, kind, name)
        parts.append(_kind(f"To the {kind} of rendered hands", views, kind, rows))
    for folder in photographs:
        found, _ = found_hands(pipeline.detector, real_samples(folder), _MOST_IMAGES)
        taken = [view_of(pipeline, seen) for seen in found]
        for kind in KINDS:
            rows = baselines(real.hand, {}) | {"cascade + fit": cascade_and_fit(folders[""], FIT[kind])}
            parts.append(_kind(f"To the {kind} of the photographs {folder.name}", taken, kind, rows))
    return "\n".join(parts)


def _kind(title: str, views: Sequence[View], kind: str, rows: Mapping[str, Method]) -> str:
    results = measured(views, kind, rows)
    gains = [gain_table(results, "cascade + fit", "cascade")]
    if GUIDED in results:
        gains += [gain_table(results, GUIDED, name) for name in results if name.startswith("PCA")]
    settings = graph_sweep.title_of(FIT[kind])
    return _KIND.format(title=title, count=len(views), settings=settings, table=figures_table(results), gain="\n".join(gains))


def settings_of_fit(pipeline: HandMeshPipeline, folder: Path, counts: Counts) -> str:
    """The sweep around the chosen settings: each of them varied by itself."""
    views = graph_sweep.training_like_views(pipeline, counts.views_of_sweep)
    parts = [_SETTINGS.format(views=len(views))]
    for kind in KINDS:
        results = graph_sweep.sweep(folder, views, kind, graph_sweep.around(FIT[kind]))
        parts.append(f"### To the {kind}: {graph_sweep.title_of(FIT[kind])}\n\n{graph_sweep.sweep_table(results)}")
    return "\n".join(parts)


def timings(folder: Path, model: GraphDiffusion, view: View, counts: Counts) -> str:
    """How long each task takes."""
    return _TIMINGS.format(table=timings_table(folder, model, view, counts.steps, counts.repeats))
