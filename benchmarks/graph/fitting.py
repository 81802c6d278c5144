"""Fits of hands to keypoints: PCA, the graph diffusion with and without guidance, the cascade, and the cascade with its fit."""

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

# A sample of the posterior is farther from the truth than the posterior mean. The tables compare the mean with the best fit.
STEPS_FROM_NOISE, DRAWS = 5, 8
# The conditions that a model may get, in the order of the table.
_TOLD = (("2D",), ("image",), ("2D", "image"))


class FitSettings(NamedTuple):
    """Settings of the fit of a cascade mesh: the fields of `PipelineConfig`, without "fit_"."""

    pull_mm: float
    local_mm: float
    turn_deg: float
    noise: float
    steps: int

    def config(self) -> PipelineConfig:
        """Returns the configuration of a pipeline with these fit settings and no time limit."""
        settings = {f"fit_{name}": value for name, value in self._asdict().items()}
        return PipelineConfig(fit_enabled=True, fit_budget_ms=0.0, **settings)

    @classmethod
    def default(cls) -> "FitSettings":
        """Returns the default settings of the pipeline."""
        config = PipelineConfig()
        return cls(*(getattr(config, f"fit_{name}") for name in cls._fields))


# `benchmarks.graph.sweep` selected these settings. A fit may follow exact keypoints further than keypoints of a detector.
FIT = {"true 2D": FitSettings(32.0, 0.0, 30.0, 30.0, 1), "detector's 2D": FitSettings.default()}
KINDS = tuple(FIT)

GUIDED = "2D + guidance"

Method = Callable[[View, Keypoints], Answer]
Results = dict[str, list[Figures]]  # key: method; list: one entry per hand


def cascade(view: View, given: Keypoints) -> Answer:
    """Returns the result that the pipeline publishes."""
    return published(view.hand, given)


def cascade_and_fit(models_dir: Path, settings: FitSettings) -> Method:
    """Returns a method that gives the published result of the pipeline with the fit on."""
    fitter = MeshFitter(models_dir, settings.config())

    def answer(view: View, given: Keypoints) -> Answer:
        return published(fitter(view.hand, replace(view.seen, rays=given.rays, confidence=given.confidence)), given)

    return answer


def cascade_moved(hand: HandModel, view: View, given: Keypoints) -> Answer:
    """Rotates and moves the cascade's mesh onto the keypoints. This is the part of a fit that does not change the shape."""
    vertices_m = view.hand.vertices_m
    pose = solve_pose((hand.joint_regressor @ vertices_m)[None], given.rays, given.confidence, np.eye(3)[None])
    return answer_of(pose.place(vertices_m[None])[0], hand)


def pca_optimised(hand: HandModel, pca: PcaHands, view: View, given: Keypoints) -> Answer:
    """Optimises PCA coefficients from the mean hand, starting at the rotation of the cascade."""
    ray_std = KEYPOINT_NOISE * ray_extent(given.rays)
    vertices_m, pose = pca.fit_2d(hand, given.rays, given.confidence, ray_std, _camera_from_palm(view, hand))
    return answer_of(pose.place(vertices_m)[0], hand)


def from_noise(model: GraphDiffusion, told: Sequence[str], is_guided: bool, view: View, given: Keypoints) -> Answer:
    """Returns the mean of some samples under the given conditions, starting at the rotation of the cascade.

    Args:
        model: the diffusion.
        told: the conditions, from "2D" and "image".
        is_guided: whether the keypoints guide the samples. If not, a rotation and a translation place the samples.
        view: view of the hand.
        given: keypoints of the hand.
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
    # The draws have different depths but show the same hand. This step aligns their centres before the mean.
    centres_m = placed_m.mean(1, keepdims=True)
    return answer_of((placed_m - centres_m).mean(0) + centres_m.mean(0), model.hand)


def methods(models_dir: Path, model: GraphDiffusion, kind: str, name: str = "") -> dict[str, Method]:
    """Returns the rows of a graph diffusion for one of `KINDS`. `name` is the suffix of the row titles."""
    rows: dict[str, Method] = {}
    for told in _TOLD:
        rows[" and ".join(told) + name] = partial(from_noise, model, told, False)
        rows[f"{' and '.join(told)} + guidance{name}"] = partial(from_noise, model, told, True)
    return {**rows, f"cascade + fit{name}": cascade_and_fit(models_dir, FIT[kind])}


def baselines(hand: HandModel, pca: Mapping[str, PcaHands]) -> dict[str, Method]:
    """Returns the rows that need no graph diffusion."""
    rows = {f"PCA optimisation, {title}": partial(pca_optimised, hand, space) for title, space in pca.items()}
    return {**rows, "cascade": cascade, "cascade, rotated and moved only": partial(cascade_moved, hand)}


def measured(views: Sequence[View], kind: str, rows: Mapping[str, Method]) -> Results:
    """Returns the figures of every hand, by method."""
    given = [view.true_2d if kind == "true 2D" else view.detected_2d for view in views]
    return {name: [judge(view, method(view, told), told) for view, told in zip(views, given)] for name, method in rows.items()}


def figures_table(results: Results) -> str:
    """Returns the means of all figures, one row per method. The table omits unknown figures."""
    shown = [item for item in FIGURES if any(np.isfinite(column(images, item[0])).all() for images in results.values())]
    rows = []
    for name, images in results.items():
        rows.append([name, *(f"{factor * column(images, title).mean():.2f}" for title, factor, _ in shown)])
    return table(["", *(f"{title} [{unit}]" for title, _, unit in shown)], rows)


def gain_table(results: Results, name: str, than: str) -> str:
    """Returns the change of the method `name` against `than`, paired over hands, with 95 % intervals."""
    rows = []
    for title, factor, unit in FIGURES:
        after, before = (factor * column(results[method], title) for method in (name, than))
        if np.isfinite(after).all():
            change, low, high = metrics.paired_bootstrap(after, before)
            rows.append([title, f"{change:+.2f} [{low:+.2f}, {high:+.2f}] {unit}", f"{100 * change / before.mean():+.0f} %"])
    return table([f"{name}, against {than}", "paired difference", "of the mean"], rows)


def _camera_from_palm(view: View, hand: HandModel) -> np.ndarray:
    """Returns the rotation (3, 3) of the cascade."""
    return palm_from_hand(view.hand.joints_m, hand)[0].T
