"""Figures of the graph diffusion: measures on known clouds, and docs/graph.md from a few hands with the shipped models."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.graph import __main__ as graph
from benchmarks.graph import fitting as graph_fitting
from benchmarks.graph import sweep as graph_sweep
from benchmarks.graph.fitting import FIT, KINDS, cascade, cascade_and_fit, cascade_moved, gain_table, measured
from benchmarks.graph.generation import crossing_share, nearest_mm, pairwise_mm
from benchmarks.graph.hypotheses import best_of
from benchmarks.graph.inpainting import gaps
from benchmarks.graph.sections import Counts
from benchmarks.graph.views import FIGURES, Answer, View, found_hands, judge, view_of
from benchmarks.samples import flipped, synthetic_samples
from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.topology import N_JOINTS, WRIST
from models_train.hands.sample import sample_hands, shipped_hand

FEW = Counts(
    training=120,
    generated=2,
    seeds=2,
    completed=1,
    draws=2,
    steps_of_completion=2,
    views=1,
    views_of_draws=1,
    hypotheses=2,
    views_of_sweep=1,
    steps=(1, 2),
    repeats=1,
)


@pytest.fixture(scope="module")
def pipeline() -> HandMeshPipeline:
    return HandMeshPipeline(PipelineConfig(device="cpu", n_hypotheses=2, joint_steps=2))


@pytest.fixture(scope="module")
def views(pipeline: HandMeshPipeline) -> list[View]:
    found, n_images = found_hands(pipeline.detector, synthetic_samples(20, seed=1), 2)
    assert 2 <= n_images < 20
    return [view_of(pipeline, seen) for seen in found]


def test_pairs_and_nearest_of_known_clouds():
    clouds = np.zeros((3, 4, 3))
    clouds[1, :, 0], clouds[2, :, 0] = 0.001, 0.003
    assert pairwise_mm(clouds) == pytest.approx((1 + 3 + 2) / 3)
    assert nearest_mm(clouds, clouds) == 0
    assert nearest_mm(clouds, clouds[1:2]) == pytest.approx((1 + 0 + 2) / 3)


def test_a_flat_hand_does_not_intersect_itself_and_a_fist_through_itself_does():
    hand = shipped_hand()
    assert crossing_share(hand.template_m[None], hand.faces) == 0
    folded = hand.template_m.copy()
    folded[:, 2] = np.abs(folded[:, 2] - 0.1)
    folded[:, 0] *= 0.2
    assert crossing_share(folded[None], hand.faces) > 0.02


def test_gaps_leave_the_wrist_and_miss_what_they_name():
    hand = shipped_hand()
    found = gaps(hand)
    shares = [gap.vertices.mean() for gap in found]
    assert all(0.05 < share < 0.75 for share in shares)
    for gap in found:
        assert not gap.joints[WRIST]
        # Missing joints lie in the missing part of the surface.
        nearest = np.linalg.norm(hand.template_m[:, None] - hand.joints_m[gap.joints], axis=-1).argmin(0)
        assert gap.vertices[nearest].mean() > 0.7
    assert found[3].joints.sum() == found[1].joints.sum() + found[2].joints.sum()


def test_the_truth_has_no_error_and_a_shifted_copy_has_its_shift(views):
    view = views[0]
    truth = Answer(view.truth_joints_m, view.truth_vertices_m)
    for value in judge(view, truth, view.true_2d).values():
        assert value == pytest.approx(0, abs=1e-9)
    aside = truth.joints_m + (0.01 * truth.joints_m[:, 2:] @ [[1.0, 0.0, 0.0]])
    figures = judge(view, replace(truth, joints_m=aside), view.true_2d)
    assert figures["2D error"] == pytest.approx(0.01 * view.px_per_ray)


def test_a_left_hand_is_told_as_the_mirrored_right_one(pipeline):
    samples = list(synthetic_samples(12, seed=1))
    found, mirrored = (
        {seen.sample.name: view_of(pipeline, seen) for seen in found_hands(pipeline.detector, hands, 12)[0]}
        for hands in (samples, map(flipped, samples))
    )
    # The detector may miss the mirror image of a hand.
    pairs = [(found[name], mirrored[name]) for name in found if name in mirrored]
    assert len(pairs) >= 2
    for view, other in pairs:
        np.testing.assert_allclose(other.truth_joints_m, view.truth_joints_m, atol=1e-6)
        np.testing.assert_allclose(other.true_2d.rays, view.true_2d.rays, atol=1e-6)
    apart = [np.linalg.norm(other.detected_2d.rays - view.detected_2d.rays, axis=-1).mean() for view, other in pairs]
    assert np.median(apart) < 0.1 * np.ptp(pairs[0][0].true_2d.rays)


def test_moving_changes_no_shape_and_fitting_brings_exact_keypoints_nearer(views):
    hand = shipped_hand()
    kind = KINDS[0]
    rows = {
        "cascade": cascade,
        "moved": lambda view, given: cascade_moved(hand, view, given),
        "cascade + fit": cascade_and_fit(default_models_dir(), FIT[kind]),
    }
    results = measured(views, kind, rows)
    for before, moved, fitted in zip(*results.values()):
        assert moved["PA-MPVPE"] == pytest.approx(before["PA-MPVPE"], abs=1e-7)
        assert fitted["2D error"] < 0.8 * before["2D error"]
    assert gain_table(results, "cascade + fit", "cascade").count("\n") == 2 + len(FIGURES)


def test_a_true_draw_among_others_is_the_best(views):
    view = views[0]
    rng = np.random.default_rng(0)
    joints_m = view.truth_joints_m + 0.01 * rng.normal(size=(4, N_JOINTS, 3))
    joints_m[2] = view.truth_joints_m
    vertices_m = np.repeat(view.truth_vertices_m[None], 4, 0)
    errors = best_of([view], lambda view: (vertices_m, joints_m))
    assert set(errors) == {0, 1, 2, 4}
    assert errors[1][0] >= errors[2][0] > errors[4][0] == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose([error[1] for error in errors.values()], 0, atol=1e-9)


def test_settings_around_some_differ_from_them_in_one():
    middle = FIT["true 2D"]
    found = graph_sweep.around(middle)
    assert middle in found
    assert len(set(found)) == len(found) >= len(graph_sweep.PULLS_MM) + len(graph_sweep.NOISES)
    assert all(sum(one != other for one, other in zip(settings, middle)) <= 1 for settings in found)


def test_everything_is_written_with_its_pictures(tmp_path, monkeypatch):
    for name in ("PULLS_MM", "NOISES", "STEPS"):
        monkeypatch.setattr(graph_sweep, name, getattr(graph_sweep, name)[:1])
    monkeypatch.setattr(graph_fitting, "STEPS_FROM_NOISE", 2)
    folder = default_models_dir()
    graph.write(tmp_path, {"": folder, ", again": folder}, [], FEW)
    text = (tmp_path / "graph.md").read_text()
    assert "nan" not in text
    for title in ("Generation", "Completion", "Reconstruction: best of n", "2D fit", "Settings of the fit", "Time"):
        assert f"## {title}\n" in text
    for method in ("PCA optimisation, 45 components", "2D + guidance, again", "cascade + fit, again"):
        assert text.count(f"| {method} |") == 2 * len(KINDS)
    for picture in ("graph_generated", "graph_pca", "graph_inpainting", "graph_best_of_n"):
        assert f"images/{picture}.png" in text
        assert (tmp_path / "images" / f"{picture}.png").stat().st_size > 5000
    for block in text.split("\n\n"):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in rows}) <= 1


def test_sampled_hands_of_another_seed_are_others():
    real = graph.RealHands.draw(shipped_hand(), 60)
    regressor = real.hand.joint_regressor
    assert nearest_mm(regressor @ real.others(5, 0), regressor @ real.training_m) > 1
    np.testing.assert_array_equal(real.others(3, 1), real.others(3, 1))
    assert sample_hands(np.random.default_rng(0), 1).vertices_m.shape[1:] == real.training_m.shape[1:]
