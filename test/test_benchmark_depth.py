"""The benchmark of depth tells good estimates from bad ones."""

import numpy as np
import pytest

from benchmarks.depth import __main__ as depth
from benchmarks.depth import settling, shape
from benchmarks.depth.place_errors import PLACE, SIZE, cells
from benchmarks.depth.rgbd import RgbdScenes, Shot
from benchmarks.depth.variants import VARIANTS
from hand_mesh_ros.core.geometry.camera import project
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.synthetic.depth_sensors import time_of_flight


@pytest.fixture(scope="module")
def shots() -> list[Shot]:
    scenes = RgbdScenes(11, n_looks=2)
    return [scenes.shot(0.5) for _ in range(4)]


def test_shots_are_true(shots):
    for shot in shots:
        sample = shot.sample
        assert 0.85 < shot.size < 1.15
        assert sample.joints_m[:, 2].mean() == pytest.approx(0.5, abs=1e-6)
        column, row = np.round(project(sample.vertices_m, sample.frame.camera_matrix)).astype(int).T
        inside = (column >= 0) & (column < 640) & (row >= 0) & (row < 480)
        assert inside.mean() > 0.9
        measured = sample.frame.depth_m[row[inside], column[inside]]
        # Whatever is measured where the hand is, is the hand's front, or something before it.
        assert np.mean((measured == 0) | (measured < sample.vertices_m[inside, 2] + 0.02)) > 0.9
    assert {shot.sample.side for shot in shots} == {"left", "right"}


def test_an_object_between_palm_and_fingers_hides_joints_of_the_same_hand():
    hidden = {
        obstacle: [RgbdScenes(seed, n_looks=1).shot(0.5, time_of_flight, obstacle).sample.hidden for seed in range(4)]
        for obstacle in ("nothing", "held")
    }
    assert np.all(np.array(hidden["held"]) >= hidden["nothing"])
    assert np.sum(hidden["held"]) > np.sum(hidden["nothing"])


def test_every_hand_is_measured_with_depth_and_with_every_size(shots):
    pipeline = HandMeshPipeline.default("cpu", n_hypotheses=4, joint_steps=2)
    errors = depth.measured(pipeline, shots)
    assert len(errors["depth"]) >= 2
    assert len({len(found) for found in errors.values()}) == 1
    assert np.median([error.wrist_m for error in errors["depth"]]) < 0.03
    for name, log_size in (("exact size", 0.0), ("size 5 % wrong", np.log(1.05))):
        assert all(error.log_size == pytest.approx(log_size, abs=0.01) for error in errors[name])
    assert pipeline.user_scale.known.source == "prior", "nothing is left behind"
    columns = len(PLACE) + len(SIZE)
    assert cells([]) == [""] * columns
    assert len(cells(errors["depth"])) == columns


def test_a_size_that_settles_is_reported():
    near, far = (settling.Settling([(time_s, error, 0.05) for time_s in settling.TIMES_S], [], [], []) for error in (0.01, 0.2))
    text = settling.settling([near, near, far])
    assert "| 1 | 1.0 | 5.0 | 67 |" in text


def test_every_variant_estimates_the_same_hands_and_the_tables_name_them():
    pipeline = HandMeshPipeline.default("cpu", fit_enabled=True, fit_budget_ms=0.0, n_hypotheses=4, joint_steps=2)
    results = list(shape.measured(pipeline, seed=1, part=0, count=6))
    assert len(results) >= 3
    assert {result.obstacle for result in results} <= set(shape.OBSTACLES)
    figures = {name: np.mean([result.figures[name] for result in results], axis=0) for name in VARIANTS}
    assert len({tuple(values) for values in figures.values()}) == len(VARIANTS), "every variant changes something"
    assert figures["bent"][0] < figures["rigid"][0]
    assert pipeline.chain.fitter is not None, "nothing is left behind"
    assert pipeline.chain.skin_fitter is not None
    assert "aggregate" not in vars(pipeline.chain)
    text = shape._ablation(results) + shape._conditions(results) + shape._coverage(results) + shape._analysis(results)
    for name in (*VARIANTS, "stereo", "time of flight", *{result.obstacle for result in results}, "hidden", "wrist"):
        assert f"| {name} |" in text
