"""The model of the depth sensor errs as it says, and the benchmark of depth tells good estimates from bad ones."""

import numpy as np
import pytest

from benchmarks.depth import __main__ as depth
from benchmarks.depth import rgbd, settling
from benchmarks.depth.place_errors import PLACE, SIZE, cells
from benchmarks.depth.rgbd import RgbdScenes, Shot, sense
from hand_mesh_ros.core.geometry.camera import project
from hand_mesh_ros.core.pipeline import HandMeshPipeline

K = np.array([[554.0, 0, 319.5], [0, 554.0, 239.5], [0, 0, 1]])


@pytest.fixture(scope="module")
def shots() -> list[Shot]:
    scenes = RgbdScenes(11, n_looks=2)
    return [scenes.shot(0.5) for _ in range(4)]


@pytest.mark.parametrize("distance_m", [0.5, 1.0])
def test_noise_grows_with_the_square_of_the_distance_and_comes_in_millimetres(distance_m):
    depth_m = sense(np.full((480, 640), distance_m), K, np.random.default_rng(0))
    measured = depth_m[depth_m > 0]
    assert 0.9 < len(measured) / depth_m.size < 0.99, "patches of holes"
    std = 0.08 * distance_m**2 / (K[0, 0] * 0.05)
    assert np.std(measured - distance_m) == pytest.approx(np.hypot(std, 0.001 / np.sqrt(12)), rel=0.15)
    np.testing.assert_allclose(1e3 * measured, np.round(1e3 * measured), atol=1e-3)


def test_outlines_have_a_shadow_and_flying_pixels():
    true = np.full((480, 640), 1.8)
    true[150:330, 250:390] = 0.5
    depth_m = sense(true, K, np.random.default_rng(1))
    # The second camera is a baseline to the right: the first sees background to the left of the box that it does not.
    shift = round(K[0, 0] * rgbd._BASELINE_M * (1 / 0.5 - 1 / 1.8))
    shadow = depth_m[170:310, 250 - shift + 8 : 240]
    assert np.mean(shadow == 0) > 0.9
    assert np.mean(depth_m[170:310, 400:440] == 0) < 0.2
    flying = (depth_m > 0.55) & (depth_m < 1.7)
    assert flying.sum() > 50
    beside = np.zeros_like(flying)
    beside[140:340, 240:400] = True
    assert not np.any(flying & ~beside)


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
