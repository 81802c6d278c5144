"""Error of the best of n reconstructions of an image, for several sets of conditions: Li et al. 2024, table 4."""

from collections.abc import Callable, Sequence

import numpy as np

from benchmarks import metrics
from benchmarks.graph.views import View
from benchmarks.report import table
from hand_mesh_ros.core.cascade.mesh_stage import palm_from_hand
from hand_mesh_ros.core.graph.condition import GraphCondition
from hand_mesh_ros.core.graph.diffusion import GraphDiffusion
from hand_mesh_ros.core.pipeline import HandMeshPipeline

NUMBERS = (1, 2, 4, 8, 16, 32)
EVERYTHING, CASCADE = "skeletons, 2D and image", "cascade"
_TOLD = ("2D", "image")

# A view -> meshes (n, V, 3) and joints (n, 21, 3), in the same frame. A smaller n gives the first hypotheses of a larger n.
Draw = Callable[[View], tuple[np.ndarray, np.ndarray]]
# Key: number of hypotheses. Value: smallest PA-MPJPE and PA-MPVPE [m], mean over hands. Key 0: errors of the mean mesh.
Errors = dict[int, np.ndarray]


def draws(model: GraphDiffusion, steps: Sequence[int], n: int) -> dict[tuple[str, int], Draw]:
    """Returns the rows of the graph diffusion, by conditions and steps. Rows with partial conditions use the fewest steps."""

    def everything(view: View, each: int) -> np.ndarray:
        seen = view.detected_2d
        return model.reconstruct(view.hypotheses.joints_m, seen.rays, seen.confidence, view.seen.features, n, each)

    def some(view: View, each: int, part: str) -> np.ndarray:
        seen, condition = view.detected_2d, GraphCondition.nothing(n)
        if part == "image":
            condition = condition.with_image(view.seen.features)
        else:
            rotation = palm_from_hand(view.hand.joints_m, model.hand)[0]
            condition = condition.with_rays(seen.rays, seen.confidence, rotation)
        return model.sample(condition, each, seed=0)

    def with_joints(draw: Callable[[View], np.ndarray]) -> Draw:
        def meshes_and_joints(view: View) -> tuple[np.ndarray, np.ndarray]:
            vertices_m = draw(view)
            return vertices_m, model.hand.joint_regressor @ vertices_m

        return meshes_and_joints

    rows = {(EVERYTHING, each): with_joints(lambda view, each=each: everything(view, each)) for each in steps}
    fewest = min(steps)
    rows |= {(part, fewest): with_joints(lambda view, part=part: some(view, fewest, part)) for part in _TOLD}
    return rows


def cascade_draw(pipeline: HandMeshPipeline) -> Draw:
    """Returns a method that gives the hypotheses of the cascade, each with its mesh."""

    def meshes_and_joints(view: View) -> tuple[np.ndarray, np.ndarray]:
        joints_m = view.hypotheses.joints_m
        return pipeline.chain.decoder(joints_m, view.hypotheses.view), joints_m

    return meshes_and_joints


def best_of(views: Sequence[View], draw: Draw) -> Errors:
    """Returns the errors of the best hypothesis and of the mean. Joints and vertices may have different best hypotheses."""
    errors, means = [], []
    for view in views:
        vertices_m, joints_m = draw(view)
        truth = (view.truth_joints_m, view.truth_vertices_m)
        errors.append([metrics.pa_error(found, true) for found, true in zip((joints_m, vertices_m), truth)])
        means.append([metrics.pa_error(found.mean(0), true) for found, true in zip((joints_m, vertices_m), truth)])
    of_each = np.array(errors)
    numbers = [n for n in NUMBERS if n <= of_each.shape[-1]]
    return {0: np.mean(means, 0)} | {n: of_each[..., :n].min(-1).mean(0) for n in numbers}


def best_of_table(results: dict[tuple[str, int], Errors]) -> str:
    """Returns a table of PA-MPJPE / PA-MPVPE [mm]."""
    numbers = [n for n in next(iter(results.values())) if n]
    rows = []
    for (title, steps), errors in results.items():
        cells = (f"{1e3 * joints:.2f} / {1e3 * vertices:.2f}" for joints, vertices in (errors[n] for n in (*numbers, 0)))
        rows.append([title, str(steps), *cells])
    return table(["", "T", *(f"n = {n}" for n in numbers), f"mean of {max(numbers)}"], rows)
