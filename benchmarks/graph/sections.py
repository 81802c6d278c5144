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

# The search for hands stops after this number of images.
_MOST_IMAGES = 2000
_DRAWN = 7  # hands per row in the picture of completions
# The sets of rendered test hands.
NATURAL, ANY_POSE = "natural rendered hands", "rendered hands in any pose"


@dataclass(frozen=True)
class Counts:
    """Sizes of the measurements."""

    training: int = 4000  # hands for the fit of PCA
    generated: int = 96  # hands per seed
    seeds: int = 3
    completed: int = 6  # hands to complete
    draws: int = 12  # per hand
    steps_of_completion: int = 25
    views: int = 100  # rendered hands of each set for the 2D fit
    views_of_draws: int = 16  # for the best of n
    hypotheses: int = max(NUMBERS)
    views_of_sweep: int = 60
    steps: tuple[int, ...] = (10, 25, 50)
    repeats: int = 7  # of each timed task


_INTRODUCTION = """\
# Graph diffusion

`python -m benchmarks.graph` writes this page. One model of whole hand meshes generates hands, completes hands, reconstructs hands
from an image and fits hands to keypoints (Li et al., CVPR 2024, "HHMR"). The tables follow section 5 of that paper, on our data.
The cascade for comparison uses the models {model_id}. The images come from the two rendered test sets of [accuracy](accuracy.md),
seed {seed}: natural hands, and hands in any pose and any view. The figures use the first {found} hands of each set that the
detector found with the correct side, in {images} images.

PCA uses {training} meshes from the distribution of the training set. Share of the variance: {pca}. The first number of components
is the smallest that holds {share:.0f} %. The other number is the number of pose components of MANO.
"""
_GENERATION = """\
## Generation

{n} generated hands; mean and standard deviation over {seeds} seeds. APD: mean distance of corresponding points over all pairs of
hands, in the palm frame, relative to the wrist. Self-intersecting: share of faces that intersect a face without a common vertex
(`benchmarks/self_intersection.py`). To the nearest real hand: mean joint distance to the nearest of {training} training hands.
From real hands: mean joint distance from other hands of the training distribution to the nearest generated hand. This distance
is large if the method never generates some hands. High diversity alone is not good: the best row is the most similar to the row
of the real hands.

{table}
Generated hands with T = {steps}; faces that intersect others are red:

![Generated hands](images/graph_generated.png)

The same from PCA with {pca}:

![Hands from the principal components](images/graph_pca.png)
"""
_COMPLETION = """\
## Completion

{hands} hands from the training distribution, {draws} draws each, T = {steps}. Given part: distance of its vertices, or joints,
to their given positions. APD and error of the rest: vertices of the missing part, in the palm frame. PCA draws from the Gaussian
of its coefficients under the given part. The omitted components act as noise.

{table}
Left column: the true hand. Other columns: draws. The given part of the mesh is grey.

![Completions](images/graph_inpainting.png)
"""
_RECONSTRUCTION = """\
## Reconstruction: best of n

Smallest PA-MPJPE / PA-MPVPE [mm] of n draws, mean over the first {views} natural test hands. Joints and vertices each have
their own best draw. The last column is the mean of all draws; this mean needs no knowledge of the truth.

{table}
![Best of n](images/graph_best_of_n.png)
"""
_FITTING = """\
## 2D fit

Rows without "PCA" or "cascade" are the mean of {draws} draws from noise, T = {steps}. "2D" and "image" are the conditions of the
model. "guidance" means that guidance pulls the estimates to the keypoints. These rows and the rows of PCA start from the palm
rotation of the cascade. All fits use the same steps (`core/graph/likeliest_hand.py`). The fits assume a keypoint noise level of
3 % of the hand's radius. "cascade + fit" is the pipeline with its fit on. "rotated and moved only" shows the gain in 2D without a
change of shape. Root-relative: the wrists coincide, without a correction of the size, which an image does not show. 2D error:
mean distance to the given keypoints, in image pixels and relative to the hand's root mean square radius in the image. The last
figure is the distance to the true joints. The settings were selected on other hands, see below.
"""
_KIND = """\
### {title}

{count} hands; the fit's settings are {settings}.

{table}
{gain}"""
_SETTINGS = """\
## Settings of the fit

{views} rendered hands in any pose, from the training distribution, but not from the training set. The prior of the fit has
three standard deviations: `fit_pull_mm` for vertices that move with the whole hand, `fit_local_mm` for vertices that move around
one joint, and `fit_turn_deg` for the rotation. The fit adds the noise `fit_noise` to the mesh and makes `fit_steps` steps. Order
in the table: pull / local / turn / noise / steps. `python -m benchmarks.graph.sweep` tries more settings.
"""
_TIMINGS = "## Time\n\nOn one thread, n hands in one batch.\n\n{table}"


def test_hands(pipeline: HandMeshPipeline, counts: Counts) -> tuple[dict[str, list[Seen]], int]:
    """Returns as many rendered test hands of each set as the sections need, and the number of all searched images."""
    needed = max(counts.views, counts.views_of_draws)
    sets = {NATURAL: True, ANY_POSE: False}
    found = {
        title: found_hands(pipeline.detector, synthetic_samples(_MOST_IMAGES, TEST_SEED, natural=natural), needed)
        for title, natural in sets.items()
    }
    return {title: hands for title, (hands, _) in found.items()}, sum(n_images for _, n_images in found.values())


def introduction(pipeline: HandMeshPipeline, real: RealHands, counts: Counts, n_found: int, n_images: int) -> str:
    """Returns the introduction."""
    pca = ", ".join(f"{title} hold {100 * each.explained:.2f} %" for title, each in real.pca.items())
    facts = {"training": counts.training, "pca": pca, "share": 100 * PCA_SHARE, "seed": TEST_SEED}
    return _INTRODUCTION.format(model_id=pipeline.model_id, found=n_found, images=n_images, **facts)


def generation(out: Path, real: RealHands, models: Mapping[str, GraphDiffusion], counts: Counts) -> str:
    """Returns the section on generated hands and writes two sheets."""
    found = measure_generation(real, generators(real, models, counts.steps), counts.generated, counts.seeds)
    (title, pca), steps = next(iter(real.pca.items())), max(counts.steps)
    shown = min(graph_pictures.SHEET_COUNT, counts.generated)
    graph_pictures.hands_sheet(out / "images" / "graph_generated.png", models[""].generate(shown, 0, steps), real.hand)
    graph_pictures.hands_sheet(out / "images" / "graph_pca.png", pca.sample(shown, 0), real.hand)
    facts = {"n": counts.generated, "seeds": counts.seeds, "training": counts.training, "steps": steps, "pca": title}
    return _GENERATION.format(table=generation_table(found), **facts)


def completion(out: Path, real: RealHands, models: Mapping[str, GraphDiffusion], counts: Counts) -> str:
    """Returns the section on completed hands and writes a sheet."""
    truth_m, steps = real.others(1, 0)[0], counts.steps_of_completion
    drawn_m = [(gap, completed_by_diffusion(models[""], "mesh", steps, truth_m, gap, _DRAWN, 0)) for gap in gaps(real.hand)]
    graph_pictures.gaps_sheet(out / "images" / "graph_inpainting.png", truth_m, drawn_m, real.hand)
    found = inpainting_table(real, models, counts.completed, counts.draws, steps)
    return _COMPLETION.format(hands=counts.completed, draws=counts.draws, steps=steps, table=found)


def reconstruction(out: Path, base: PipelineConfig, model: GraphDiffusion, found: Sequence[Seen], counts: Counts) -> str:
    """Returns the section on the best of n and writes a plot."""
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
    views: Mapping[str, Sequence[View]],
    photographs: Sequence[Path],
) -> str:
    """Returns the section on the fit to keypoints, true and detected, for rendered hands and for photographs."""
    parts = [_FITTING.format(steps=STEPS_FROM_NOISE, draws=DRAWS)]
    for kind in KINDS:
        rows = baselines(real.hand, real.pca)
        for name, model in models.items():
            rows |= methods(folders[name], model, kind, name)
        parts += [_kind(f"To the {kind} of {title}", hands, kind, rows) for title, hands in views.items()]
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
    """Returns the section on the settings. The sweep varies one setting at a time."""
    views = graph_sweep.training_like_views(pipeline, counts.views_of_sweep)
    parts = [_SETTINGS.format(views=len(views))]
    for kind in KINDS:
        results = graph_sweep.sweep(folder, views, kind, graph_sweep.around(FIT[kind]))
        parts.append(f"### To the {kind}: {graph_sweep.title_of(FIT[kind])}\n\n{graph_sweep.sweep_table(results)}")
    return "\n".join(parts)


def timings(folder: Path, model: GraphDiffusion, view: View, counts: Counts) -> str:
    """Returns the section on the duration of each task."""
    return _TIMINGS.format(table=timings_table(folder, model, view, counts.steps, counts.repeats))
