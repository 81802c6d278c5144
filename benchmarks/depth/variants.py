"""Ways to estimate one hand with depth: the ablation of `benchmarks.depth.shape`."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np

from hand_mesh_ros.core.cascade.aggregate import Aggregate, weigh
from hand_mesh_ros.core.chain import HandChain
from hand_mesh_ros.core.config import DepthFitConfig
from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.geometry.rays import ray_extent, translate_onto_rays
from hand_mesh_ros.core.graph.skin_fit import SkinFitSettings, SkinFitter
from hand_mesh_ros.core.hand.model import bone_lengths
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.place.skin_depth import measure, vertex_normals
from hand_mesh_ros.core.stage_timer import StageTimer
from hand_mesh_ros.core.types import Frame, HandDetection, HandEstimate, SeenHand

Variant = Callable[[HandMeshPipeline, HandDetection, Frame], HandEstimate]

# The fit with one kind of pairs only, fewer and stiffer components, and the joints of the skeleton. Each following fit has one
# difference.
_FINAL = SkinFitSettings()
_AT_VERTICES = SkinFitSettings(
    n_components=24, cascade_std_m=0.0035, independent_points=0.0, independent_beside=0.0, mesh_share=0.0
)
_AT_POINTS = replace(_AT_VERTICES, independent_points=_FINAL.independent_points)
_FROM_MESH = replace(_AT_POINTS, mesh_share=_FINAL.mesh_share)
_FREER = replace(_FROM_MESH, n_components=_FINAL.n_components, cascade_std_m=_FINAL.cascade_std_m)
# Error of the depth at a vertex [m], largest penalty of a vertex, penalty of a vertex behind an object, and distance from which a
# vertex counts as behind an object [m]. The sharpness was the best of 1 to 8 on seed 111.
_STD_M, _WORST, _BEHIND, _BEHIND_M, _SHARPNESS = 0.006, 12.5, 3.0, 0.025, 8.0


def _rigid(pipeline: HandMeshPipeline, detection: HandDetection, frame: Frame) -> HandEstimate:
    return _answer(pipeline, detection, frame, None)


def _with(settings: SkinFitSettings) -> Variant:
    def answer(pipeline: HandMeshPipeline, detection: HandDetection, frame: Frame) -> HandEstimate:
        return _answer(pipeline, detection, frame, _fitter(settings))

    return answer


def _after_graph(pipeline: HandMeshPipeline, detection: HandDetection, frame: Frame) -> HandEstimate:
    """The guess of the graph diffusion is the mean of the prior."""
    if pipeline.chain.fitter is None:
        raise ValueError("the pipeline has no graph diffusion: set fit_enabled")
    return _answer(pipeline, detection, frame, _fitter(_FINAL), with_graph=True)


def _weighted(pipeline: HandMeshPipeline, detection: HandDetection, frame: Frame) -> HandEstimate:
    """Depth first changes the weights of the hypotheses."""
    weighing = _Weighing(pipeline.chain, _rigid(pipeline, detection, frame), frame)
    pipeline.chain.aggregate = weighing.aggregate
    try:
        return _answer(pipeline, detection, frame, _fitter(_FINAL))
    finally:
        del pipeline.chain.aggregate  # the method of the class again


VARIANTS: dict[str, Variant] = {
    "rigid": _rigid,
    "pairs at vertices": _with(_AT_VERTICES),
    "also pairs at points": _with(_AT_POINTS),
    "also joints from the mesh": _with(_FROM_MESH),
    "also more and freer components": _with(_FREER),
    "bent": _with(_FINAL),
    "bent, hypotheses weighted by depth": _weighted,
    "bent, after the graph diffusion": _after_graph,
}


@cache
def _fitter(settings: SkinFitSettings) -> SkinFitter:
    hand = HandMeshPipeline.default("cpu").hand_model
    return SkinFitter(default_models_dir(), hand, DepthFitConfig(depth_fit_ms=0.0), settings)


def _answer(
    pipeline: HandMeshPipeline, detection: HandDetection, frame: Frame, skin_fitter: SkinFitter | None, with_graph: bool = False
) -> HandEstimate:
    chain = pipeline.chain
    before = chain.fitter, chain.skin_fitter
    chain.fitter, chain.skin_fitter = chain.fitter if with_graph else None, skin_fitter
    try:
        return chain.answer(detection, frame).estimate
    finally:
        chain.fitter, chain.skin_fitter = before


class _Weighing:
    """Weighs the hypotheses of one hand by the depth of their skin."""

    def __init__(self, chain: HandChain, placed: HandEstimate, frame: Frame) -> None:
        """Takes a first estimate of the hand."""
        self._chain, self._placed, self._frame = chain, placed, frame

    def aggregate(self, seen: SeenHand, timer: StageTimer) -> Aggregate:
        """Returns the right hand, as `HandChain.aggregate`."""
        chain = self._chain
        with timer.stage("joints"):
            hypotheses = chain.sampler(seen)
        vertices_m = chain.decoder(hypotheses.joints_m, hypotheses.view)
        translations_m, residuals = translate_onto_rays(hypotheses.joints_m, seen.rays, seen.confidence)
        scores = np.array([self._score(*each, seen.is_mirrored) for each in zip(hypotheses.joints_m, vertices_m)])
        weights = weigh(hypotheses.log_weight + _SHARPNESS * scores, residuals, ray_extent(seen.rays))
        return chain.combine(hypotheses, weights, translations_m, timer)

    def _score(self, joints_m: np.ndarray, vertices_m: np.ndarray, is_left: bool) -> float:
        """Returns the mean logarithm of the likelihood of the depth at the visible vertices."""
        if is_left:
            joints_m, vertices_m = mirror_points(joints_m), mirror_points(vertices_m)
        size = bone_lengths(self._placed.joints_m).sum() / bone_lengths(joints_m).sum()
        middle_m = self._placed.joints_m.mean(0)
        at_m = size * (vertices_m - joints_m.mean(0)) + middle_m
        error_m = self._depth_errors(at_m)
        near_m = error_m[np.abs(error_m) < 0.03]
        if not len(near_m):
            return -_WORST
        error_m = self._depth_errors(at_m + middle_m / middle_m[2] * np.median(near_m))
        penalty = np.minimum(0.5 * (error_m / _STD_M) ** 2, _WORST)
        return -float(np.where(error_m < -_BEHIND_M, _BEHIND, penalty).mean()) if len(error_m) else -_WORST

    def _depth_errors(self, vertices_m: np.ndarray) -> np.ndarray:
        seen = measure(vertices_m, vertex_normals(vertices_m, self._chain.hand_model.faces), self._frame)
        return seen.depth_m - vertices_m[seen.vertex, 2]
