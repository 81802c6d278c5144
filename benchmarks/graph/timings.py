"""Duration of each task of the graph diffusion, on one thread."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.graph.fitting import FIT, cascade_and_fit
from benchmarks.graph.inpainting import gaps
from benchmarks.graph.views import View
from benchmarks.report import table
from hand_mesh_ros.core.graph.diffusion import GraphDiffusion

_FIT_STEPS = (1, 3, 5)


def timings_table(models_dir: Path, model: GraphDiffusion, view: View, steps: Sequence[int], repeats: int) -> str:
    """Returns a table of the median milliseconds of every task, for several numbers of hands and some of the `steps`."""
    seen, gap, hand = view.detected_2d, gaps(model.hand)[0], model.hand
    mesh_m, joints_m = hand.template_m.astype(np.float64), hand.joint_regressor @ hand.template_m
    told = (view.hypotheses.joints_m, seen.rays, seen.confidence, view.seen.features)
    few, many = min(steps), max(steps)
    tasks: list[tuple[str, int, int, Callable[[], object]]] = [
        ("generate", 1, few, lambda: model.generate(1, 0, few)),
        ("generate", 1, many, lambda: model.generate(1, 0, many)),
        ("generate", 8, few, lambda: model.generate(8, 0, few)),
        ("complete a mesh", 8, few, lambda: model.inpaint_mesh(mesh_m, ~gap.vertices, 8, 0, few)),
        ("complete a skeleton", 8, few, lambda: model.inpaint_skeleton(joints_m, ~gap.joints, 8, 0, few)),
        ("reconstruct", 1, few, lambda: model.reconstruct(*told, 1, few)),
        ("reconstruct", 8, few, lambda: model.reconstruct(*told, 8, few)),
    ]
    for each in _FIT_STEPS:
        fit = cascade_and_fit(models_dir, FIT["detector's 2D"]._replace(steps=each))
        tasks.append(("fit the cascade's mesh", 1, each, partial(fit, view, seen)))
    rows = [[name, str(n), str(each), f"{_median_ms(task, repeats):.1f}"] for name, n, each, task in tasks]
    return table(["task", "n", "steps", "median [ms]"], rows)


def _median_ms(task: Callable[[], object], repeats: int) -> float:
    task()
    times = []
    for _ in range(repeats):
        started_s = time.perf_counter()
        task()
        times.append(time.perf_counter() - started_s)
    return 1e3 * float(np.median(times))
