"""Completion of hands from a given part of the surface or of the skeleton.

The figures show how exactly the given part stays, how diverse and realistic the rest is, and how near the draws are to the truth.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.graph.generation import RealHands, crossing_share, pairwise_mm
from benchmarks.pca_hands import PcaHands
from benchmarks.report import table
from hand_mesh_ros.core.graph.diffusion import GraphDiffusion
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.topology import FINGER_JOINTS, MIDDLE_MCP, N_JOINTS

_SEED = 100
# A vertex is missing if its skin weight for the missing bones is larger than this.
_LEAST_WEIGHT = 0.01
_HEADER = (
    "given part: mean, max [mm]",
    "APD of the rest [mm]",
    "self-intersecting faces [%]",
    "rest of the nearest draw [mm]",
    "time of all draws [ms]",
)


@dataclass(frozen=True)
class Gap:
    """The missing part of a hand."""

    title: str
    joints: np.ndarray  # (21,) bool, missing
    vertices: np.ndarray  # (V,) bool, missing


# (true mesh (V, 3), gap, n, seed) -> meshes (n, V, 3). The method uses only the part that is not missing.
Completion = Callable[[np.ndarray, Gap, int, int], np.ndarray]


def gaps(hand: HandModel) -> list[Gap]:
    """Returns the gaps: one finger, the thumb, two fingers, three fingers, and the half of the hand at the little finger."""
    found = [
        _without_fingers(hand, title, fingers)
        for title, fingers in (
            ("ring finger", [3]),
            ("thumb", [0]),
            ("index and middle finger", [1, 2]),
            ("thumb, index and middle finger", [0, 1, 2]),
        )
    ]
    border = hand.joints_m[MIDDLE_MCP, 1]
    # The wrist stays, because the wrist gives the position of the hand.
    joints = (hand.joints_m[:, 1] < border) & (np.arange(N_JOINTS) > 0)
    return [*found, Gap("half of the hand", joints, hand.template_m[:, 1] < border)]


def _without_fingers(hand: HandModel, title: str, fingers: list[int]) -> Gap:
    joints = np.zeros(N_JOINTS, bool)
    joints[FINGER_JOINTS[fingers]] = True
    return Gap(title, joints, hand.skin_weights[:, joints].sum(1) > _LEAST_WEIGHT)


def completions(real: RealHands, models: Mapping[str, GraphDiffusion], kind: str, steps: int) -> dict[str, Completion]:
    """Returns the methods by title, for a given part of the "mesh" or of the "skeleton"."""
    rows: dict[str, Completion] = {f"PCA, {title}": partial(_by_pca, real.hand, pca, kind) for title, pca in real.pca.items()}
    return rows | {
        f"graph diffusion{name}": partial(completed_by_diffusion, model, kind, steps) for name, model in models.items()
    }


def _by_pca(hand: HandModel, pca: PcaHands, kind: str, truth_m: np.ndarray, gap: Gap, n: int, seed: int) -> np.ndarray:
    operator = np.eye(len(truth_m))[~gap.vertices] if kind == "mesh" else hand.joint_regressor[~gap.joints]
    return pca.complete(operator, operator @ truth_m, n, seed)


def completed_by_diffusion(
    model: GraphDiffusion, kind: str, steps: int, truth_m: np.ndarray, gap: Gap, n: int, seed: int
) -> np.ndarray:
    """Returns `n` completions (n, V, 3) of a hand (V, 3), from the part of its "mesh" or "skeleton" outside the gap."""
    # Missing values are NaN, so the method cannot use the truth by mistake.
    if kind == "mesh":
        told_m = np.where(gap.vertices[:, None], np.nan, truth_m)
        return model.inpaint_mesh(told_m, ~gap.vertices, n, seed, steps)
    told_m = np.where(gap.joints[:, None], np.nan, model.hand.joint_regressor @ truth_m)
    return model.inpaint_skeleton(told_m, ~gap.joints, n, seed, steps)


def measure_completion(real: RealHands, complete: Completion, kind: str, gap: Gap, n_hands: int, n: int) -> dict[str, float]:
    """Returns the figures of one method for one gap, over hands; errors in millimetres."""
    hand, given, apart, share, nearest, times = real.hand, [], [], [], [], []
    for seed, truth_m in enumerate(real.others(n_hands, _SEED)):
        started_s = time.perf_counter()
        drawn_m = complete(truth_m, gap, n, seed)
        times.append(time.perf_counter() - started_s)
        distance = np.linalg.norm(drawn_m - truth_m, axis=-1)
        joint_distance = np.linalg.norm(hand.joint_regressor @ (drawn_m - truth_m), axis=-1)
        given.append(distance[:, ~gap.vertices] if kind == "mesh" else joint_distance[:, ~gap.joints])
        apart.append(pairwise_mm(drawn_m[:, gap.vertices]))
        share.append(crossing_share(drawn_m, hand.faces))
        nearest.append(1e3 * distance[:, gap.vertices].mean(1).min())
    return {
        "mean": 1e3 * float(np.mean(given)),
        "max": 1e3 * float(np.max(given)),
        "apart": float(np.mean(apart)),
        "crossing": float(np.mean(share)),
        "nearest": float(np.mean(nearest)),
        "time_ms": 1e3 * float(np.median(times)),
    }


def inpainting_table(real: RealHands, models: Mapping[str, GraphDiffusion], n_hands: int, n: int, steps: int) -> str:
    """Returns a table of every method and gap, for a given part of the mesh and of the skeleton."""
    rows = []
    for kind in ("mesh", "skeleton"):
        for title, complete in completions(real, models, kind, steps).items():
            for gap in gaps(real.hand):
                found = measure_completion(real, complete, kind, gap, n_hands, n)
                exact, crossing = f"{found['mean']:.2f}, {found['max']:.2f}", f"{100 * found['crossing']:.2f}"
                rest = (f"{found['apart']:.1f}", crossing, f"{found['nearest']:.1f}", f"{found['time_ms']:.0f}")
                rows.append([kind, gap.title, title, exact, *rest])
    return table(["given", "missing", "", *_HEADER], sorted(rows, key=lambda row: row[:2]))
