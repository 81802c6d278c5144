"""Diversity and realism of generated and completed hands: average pairwise distance and self-intersection.

After Li et al. 2024, sections 5.2 and 5.3: compares the diffusion with samples of a Gaussian over principal components. Hands are
in the palm frame. Average pairwise distance (APD): mean distance of corresponding points over all pairs of hands, relative to the
wrist.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.pca_hands import PcaHands, PcaSpace
from benchmarks.report import table
from benchmarks.self_intersection import intersecting_faces
from hand_mesh_ros.core.graph.diffusion import GraphDiffusion
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.topology import WRIST
from models_train.hand_model.components import in_palm_frame
from models_train.hands.sample import sample_hands

# PCA uses hands from the distribution of the training set. The comparison uses other hands of the same distribution.
_TRAINING_SEED, _REAL_SEED = 50_000, 51_000
# Share of recorded poses in the training of the graph diffusion (models/MANIFEST).
_NATURAL_SHARE = 0.6
# One PCA holds this share of the variance. The other PCA has as many components as MANO has for poses.
PCA_SHARE, _PCA_COUNT = 0.99, 45
_HEADER = (
    "APD joints [mm]",
    "APD vertices [mm]",
    "self-intersecting faces [%]",
    "to the nearest real hand [mm]",
    "from real hands [mm]",
)

# (n, seed) -> meshes (n, V, 3) in the palm frame.
Generator = Callable[[int, int], np.ndarray]


@dataclass(frozen=True)
class RealHands:
    """Hands from the distribution of the training set."""

    hand: HandModel
    training_m: np.ndarray  # (n, V, 3) float32 palm frame
    pca: Mapping[str, PcaHands]  # key: row title; fitted to `training_m`

    @classmethod
    def draw(cls, hand: HandModel, count: int) -> "RealHands":
        """Draws `count` hands and fits PCA to these hands."""
        training_m = _hands_m(_TRAINING_SEED, count, hand)
        space = PcaSpace(training_m)
        counts = (space.components_for(PCA_SHARE), _PCA_COUNT)
        return cls(hand, training_m.astype(np.float32), {f"{k} components": space.truncated(k) for k in counts})

    def others(self, n: int, seed: int, held_out: bool = False) -> np.ndarray:
        """Returns `n` other hands, (n, V, 3), from the held-out set if `held_out`."""
        return _hands_m(_REAL_SEED + seed, n, self.hand, held_out)


def _hands_m(seed: int, count: int, hand: HandModel, held_out: bool = False) -> np.ndarray:
    """Returns hands (n, V, 3) in the palm frame, with the share of recorded poses of the training."""
    hands = sample_hands(np.random.default_rng(seed), count, held_out, _NATURAL_SHARE)
    return in_palm_frame(hands.vertices_m, hand)


def generators(real: RealHands, models: Mapping[str, GraphDiffusion], steps: Sequence[int]) -> dict[str, Generator]:
    """Returns the rows of the table by title. The keys of `models` are suffixes of the titles."""
    rows: dict[str, Generator] = {"real hands, of training": real.others}
    rows["real hands, held-out poses"] = partial(real.others, held_out=True)
    rows |= {f"PCA, {title}": pca.sample for title, pca in real.pca.items()}
    for name, model in models.items():
        rows |= {f"graph diffusion{name}, T = {each}": partial(model.generate, steps=each) for each in steps}
    return rows


def measure_generation(real: RealHands, rows: Mapping[str, Generator], n: int, seeds: int) -> dict[str, np.ndarray]:
    """Returns the figures (seeds, 5) of each row, in the order of the table."""
    others = real.others(n, seeds)
    return {title: np.array([_figures(real, draw(n, seed), others) for seed in range(seeds)]) for title, draw in rows.items()}


def _figures(real: RealHands, drawn_m: np.ndarray, others_m: np.ndarray) -> tuple[float, ...]:
    regressor = real.hand.joint_regressor
    joints = _relative(regressor @ drawn_m)
    return (
        pairwise_mm(joints),
        pairwise_mm(drawn_m - (regressor @ drawn_m)[:, [WRIST]]),
        100 * crossing_share(drawn_m, real.hand.faces),
        nearest_mm(joints, _relative(regressor @ real.training_m)),
        nearest_mm(_relative(regressor @ others_m), joints),
    )


def generation_table(results: Mapping[str, np.ndarray]) -> str:
    """Returns a table of means and standard deviations over seeds."""
    rows = []
    for title, figures in results.items():
        rows.append([title, *(f"{mean:.2f} ± {std:.2f}" for mean, std in zip(figures.mean(0), figures.std(0, ddof=1)))])
    return table(["", *_HEADER], rows)


def pairwise_mm(points_m: np.ndarray) -> float:
    """Returns the mean distance of corresponding points over all pairs of clouds (n, P, 3); n is at least 2."""
    n = len(points_m)
    total = sum(np.linalg.norm(points_m[index + 1 :] - points_m[index], axis=-1).mean(-1).sum() for index in range(n - 1))
    return 1e3 * float(total) / (n * (n - 1) / 2)


def nearest_mm(clouds_m: np.ndarray, others_m: np.ndarray) -> float:
    """Returns the mean point distance from each cloud (n, P, 3) to its nearest of (m, P, 3), averaged over the clouds."""
    return 1e3 * float(np.mean([np.linalg.norm(others_m - cloud, axis=-1).mean(-1).min() for cloud in clouds_m]))


def crossing_share(vertices_m: np.ndarray, faces: np.ndarray) -> float:
    """Returns the share of faces that intersect others, 0..1, over meshes (n, V, 3)."""
    return float(np.mean([intersecting_faces(mesh, faces).mean() for mesh in vertices_m]))


def _relative(joints_m: np.ndarray) -> np.ndarray:
    return joints_m - joints_m[:, [WRIST]]
