"""The fit to the keypoints within the whole chain, with the shipped models, on a rendered hand."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.graph.diffusion import DENOISER_FILE
from hand_mesh_ros.core.graph.fit import StepBudget
from hand_mesh_ros.core.models.model_id import cascade_id, model_id
from hand_mesh_ros.core.models.onnx_model import ModelError, default_models_dir
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.types import FITTED, Frame, HandDetection
from hand_mesh_ros.synthetic.camera import SyntheticCamera

SETTINGS = {"device": "cpu", "threads": 1, "smooth_cutoff_hz": 0.0}


@pytest.fixture(scope="module")
def plain() -> HandMeshPipeline:
    return HandMeshPipeline.default(**SETTINGS)


@pytest.fixture(scope="module")
def fitting() -> HandMeshPipeline:
    return HandMeshPipeline.default(**SETTINGS, fit_enabled=True, fit_budget_ms=0.0)


@pytest.fixture(scope="module")
def frame(plain) -> Frame:
    camera = SyntheticCamera(plain.hand_model)
    return Frame(camera.at(0.5).rgb, camera.camera_matrix, stamp_s=10.0)


@pytest.fixture(scope="module")
def detection(plain, frame) -> HandDetection:
    return plain.detector.detect(frame)[0]


def test_a_fit_brings_the_surface_nearer_to_the_keypoints_and_says_so(plain, fitting, frame, detection):
    before, after = (pipeline.chain.answer(detection, frame).estimate for pipeline in (plain, fitting))
    regressor = plain.hand_model.joint_regressor
    apart_px = [frame.reprojection_px(regressor @ hand.vertices_m, hand.keypoints_px) for hand in (before, after)]
    assert apart_px[1] < 0.9 * apart_px[0]
    assert np.all(after.joint_flags & FITTED)
    assert not np.any(before.joint_flags & FITTED)
    moved_m = np.linalg.norm(after.vertices_m - before.vertices_m, axis=-1)
    assert 0 < moved_m.mean() < 0.03
    # Skeleton and surface move together.
    apart_m = [np.linalg.norm(regressor @ hand.vertices_m - hand.joints_m, axis=-1).mean() for hand in (before, after)]
    assert apart_m[1] < apart_m[0] + 0.001


def test_a_left_hand_is_fitted_as_the_mirrored_right_one(fitting, frame, detection):
    last = frame.rgb.shape[1] - 1
    keypoints, crop = detection.keypoints_px.copy(), detection.image_from_crop.copy()
    keypoints[:, 0], crop[0] = last - keypoints[:, 0], np.array([0, 0, last]) - crop[0]
    world_m = mirror_points(detection.world_landmarks_m)
    # The crop itself, and so the features, are the same: that of a left hand is mirrored.
    left = replace(detection, handedness="left", keypoints_px=keypoints, image_from_crop=crop, world_landmarks_m=world_m)
    expected, found = (fitting.chain.answer(*seen).estimate for seen in ((detection, frame), (left, frame.mirrored())))
    assert np.all(found.joint_flags & FITTED)
    np.testing.assert_allclose(mirror_points(found.vertices_m), expected.vertices_m, atol=1e-4)


def test_a_fit_that_has_no_time_is_left_out(frame):
    hasty = HandMeshPipeline.default(**SETTINGS, fit_enabled=True, fit_budget_ms=0.001)
    for _ in range(2):  # the first fit after the set-up is measured
        (hand,) = hasty.estimate(frame)
    assert not np.any(hand.joint_flags & FITTED)
    assert hand.timings_ms["fit"] < 5


def test_what_is_off_is_neither_loaded_nor_timed(plain, frame):
    (hand,) = plain.estimate(frame)
    assert plain.chain.fitter is None
    assert "fit" not in hand.timings_ms
    plain.reset()


def test_a_missing_file_of_the_graph_diffusion_is_named(tmp_path: Path):
    for path in default_models_dir().iterdir():
        if path.name != DENOISER_FILE:
            shutil.copy(path, tmp_path)
    HandMeshPipeline.default(**SETTINGS, models_dir=str(tmp_path))
    with pytest.raises(ModelError, match=DENOISER_FILE):
        HandMeshPipeline.default(**SETTINGS, models_dir=str(tmp_path), fit_enabled=True)


def test_one_slow_step_does_not_stop_the_fit():
    budget = StepBudget()
    budget.measured(5000.0)  # of the set-up
    for step_ms in (10.0, 900.0, 11.0):
        assert budget.affordable(2, 60.0) == 2
        budget.measured(step_ms)


def test_a_machine_that_is_slow_for_long_is_tried_again_once_a_second():
    budget = StepBudget()
    for _ in range(6):
        budget.measured(200.0)
    for _ in range(2):
        assert [budget.affordable(1, 60.0) for _ in range(31)] == [0] * 30 + [1]
        budget.measured(200.0)
    assert [budget.affordable(1, 60.0) for _ in range(31)] == [0] * 30 + [1]
    budget.measured(20.0)
    assert budget.affordable(3, 60.0) == 3


def test_a_budget_of_zero_is_no_limit():
    budget = StepBudget()
    budget.measured(1.0)
    budget.measured(1e6)
    assert budget.affordable(7, 0.0) == 7


def test_a_fit_leaves_the_stated_covariance_as_it_was_calibrated(plain, fitting, frame, detection):
    before, after = (pipeline.chain.answer(detection, frame).estimate for pipeline in (plain, fitting))
    assert np.any(after.joint_flags & FITTED)
    np.testing.assert_allclose(after.articulation_covariance_m2, before.articulation_covariance_m2, rtol=1e-6)


def test_the_model_id_of_a_fitted_hand_covers_the_graph_diffusion(plain, fitting):
    assert plain.model_id == cascade_id(default_models_dir())
    assert fitting.model_id == model_id(default_models_dir(), with_graph=True) != plain.model_id
