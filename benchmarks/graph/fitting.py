"""Fitting hands to keypoints: PCA, the graph diffusion with and without guidance, the cascade, and its own fit."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks import metrics
from benchmarks.graph.views import FIGURES, Answer, Figures, Keypoints, View, answer_of, column, judge, published
from benchmarks.pca_hands import PcaHands
from benchmarks.report import table
from hand_mesh_ros.core.cascade.mesh_stage import palm_from_hand
from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.geometry.rays import KEYPOINT_NOISE, ray_extent
from hand_mesh_ros.core.graph.condition import GraphCondition
from hand_mesh_ros.core.graph.diffusion import GraphDiffusion
from hand_mesh_ros.core.graph.fit import MeshFitter
from hand_mesh_ros.core.graph.likeliest_hand import solve_pose
from hand_mesh_ros.core.hand.model import HandModel

# A sample of the posterior is farther from the truth than its mean is, which is what is compared with the likeliest hand.
STEPS_FROM_NOISE, DRAWS = 5, 8
# What may be told of a hand, in the order of the table.
_TOLD = (("2D",), ("image",), ("2D", "image"))


class FitSettings(NamedTuple):
    """How a mesh of the cascade is fitted: the fields of `PipelineConfig`, without "fit_"."""

    pull_mm: float
    local_mm: float
    turn_deg: float
    noise: float
    steps: int

    def config(self) -> PipelineConfig:
        """Of a pipeline that fits so, whatever time it takes."""
        settings = {f"fit_{name}": value for name, value in self._asdict().items()}
        return PipelineConfig(fit_enabled=True, fit_budget_ms=0.0, **settings)

    @classmethod
    def default(cls) -> "FitSettings":
        """Those of the pipeline."""
        config = PipelineConfig()
        return cls(*(getattr(config, f"fit_{name}") for name in cls._fields))


# Both chosen by `benchmarks.graph.sweep`: exact keypoints may be followed further than those of a detector.
FIT = {"true 2D": FitSettings(32.0, 0.0, 30.0, 30.0, 1), "detector's 2D": FitSettings.default()}
KINDS = tuple(FIT)

GUIDED = "2D + guidance"

Method = Callable[[View, Keypoints], Answer]
Results = dict[str, list[Figures]]  # by method, then by hand


def cascade(view: View, given: Keypoints) -> Answer:
    """What the pipeline publishes."""
    return published(view.hand, given)


def cascade_and_fit(models_dir: Path, settings: FitSettings) -> Method:
    """What the pipeline publishes when its fit is on."""
    fitter = MeshFitter(models_dir, settings.config())

    def answer(view: View, given: Keypoints) -> Answer:
        return published(fitter(view.hand, replace(view.seen, rays=given.rays, confidence=given.confidence)), given)

    return answer


def cascade_moved(hand: HandModel, view: View, given: Keypoints) -> Answer:
    """The cascade's mesh as it is, turned and moved to lie on the keypoints: what of a fit is no change of shape."""
    vertices_m = view.hand.vertices_m
    pose = solve_pose((hand.joint_regressor @ vertices_m)[None], given.rays, given.confidence, np.eye(3)[None])
    return answer_of(pose.place(vertices_m[None])[0], hand)


def pca_optimised(hand: HandModel, pca: PcaHands, view: View, given: Keypoints) -> Answer:
    """PCA optimisation from the mean hand, turned as the cascade's."""
    ray_std = KEYPOINT_NOISE * ray_extent(given.rays)
    vertices_m, pose = pca.fit_2d(hand, given.rays, given.confidence, ray_std, _camera_from_palm(view, hand))
    return answer_of(pose.place(vertices_m)[0], hand)


def from_noise(model: GraphDiffusion, told: Sequence[str], is_guided: bool, view: View, given: Keypoints) -> Answer:
    """The mean of some samples under what is told of the hand, turned as the cascade's to begin with.

    Args:
        model: the diffusion.
        told: some of "2D" and "image".
        is_guided: whether the keypoints guide the samples; else these are only turned and moved to lie on them.
        view: of the hand.
        given: its keypoints.
    """
    rotation = np.repeat(_camera_from_palm(view, model.hand)[None], DRAWS, 0)
    condition = GraphCondition.nothing(DRAWS)
    if "2D" in told:
        condition = condition.with_rays(given.rays, given.confidence, np.swapaxes(rotation, -1, -2))
    if "image" in told:
        condition = condition.with_image(view.seen.features)
    if is_guided:
        placed_m = model.fit_2d(condition, rotation, given.rays, given.confidence, STEPS_FROM_NOISE).vertices_m
    else:
        vertices_m = model.sample(condition, STEPS_FROM_NOISE, seed=0)
        pose = solve_pose(model.hand.joint_regressor @ vertices_m, given.rays, given.confidence, rotation)
        placed_m = pose.place(vertices_m)
    # Far and near draws mean one hand: they are shifted together before the mean is taken.
    centres_m = placed_m.mean(1, keepdims=True)
    return answer_of((placed_m - centres_m).mean(0) + centres_m.mean(0), model.hand)


def methods(models_dir: Path, model: GraphDiffusion, kind: str, name: str = "") -> dict[str, Method]:
    """The rows that a graph diffusion gives for one of `KINDS`, `name` added to their titles."""
    rows: dict[str, Method] = {}
    for told in _TOLD:
        rows[" and ".join(told) + name] = partial(from_noise, model, told, False)
        rows[f"{' and '.join(told)} + guidance{name}"] = partial(from_noise, model, told, True)
    return {**rows, f"cascade + fit{name}": cascade_and_fit(models_dir, FIT[kind])}


def baselines(hand: HandModel, pca: Mapping[str, PcaHands]) -> dict[str, Method]:
    """The rows that need no graph diffusion."""
    rows = {f"PCA optimisation, {title}": partial(pca_optimised, hand, space) for title, space in pca.items()}
    return {**rows, "cascade": cascade, "cascade, turned and moved only": partial(cascade_moved, hand)}


def measured(views: Sequence[View], kind: str, rows: Mapping[str, Method]) -> Results:
    """Figures of every hand by method."""
    given = [view.true_2d if kind == "true 2D" else view.detected_2d for view in views]
    return {name: [judge(view, method(view, told), told) for view, told in zip(views, given)] for name, method in rows.items()}


def figures_table(results: Results) -> str:
    """Means of all figures, a row a method; figures that are not known are left out."""
    shown = [item for item in FIGURES if any(np.isfinite(column(images, item[0])).all() for images in results.values())]
    rows = []
    for name, images in results.items():
        rows.append([name, *(f"{factor * column(images, title).mean():.2f}" for title, factor, _ in shown)])
    return table(["", *(f"{title} [{unit}]" for title, _, unit in shown)], rows)


def gain_table(results: Results, name: str, than: str) -> str:
    """What the method `name` changes, against `than`, paired over hands, with 95 % intervals."""
    rows = []
    for title, factor, unit in FIGURES:
        after, before = (factor * column(results[method], title) for method in (name, than))
        if np.isfinite(after).all():
            change, low, high = metrics.paired_bootstrap(after, before)
            rows.append([title, f"{change:+.2f} [{low:+.2f}, {high:+.2f}] {unit}", f"{100 * change / before.mean():+.0f} %"])
    return table([f"{name}, against {than}", "paired difference", "of the mean"], rows)


def _camera_from_palm(view: View, hand: HandModel) -> np.ndarray:
    """(3, 3) rotation by the cascade."""
    return palm_from_hand(view.hand.joints_m, hand)[0].T
