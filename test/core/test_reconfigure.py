"""Settings that change while a hand is followed: they take effect with the next image, and the hand stays the same."""

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest

from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.types import Frame, HandEstimate
from hand_mesh_ros.synthetic.camera import SyntheticCamera

CONFIG = PipelineConfig(device="cpu", threads=1)
LIVE = [item for item in fields(PipelineConfig) if item.metadata["live"]]
BLANK = np.full((480, 640, 3), 127, np.uint8)


@pytest.fixture(scope="module")
def shared() -> HandMeshPipeline:
    return HandMeshPipeline(CONFIG)


@pytest.fixture
def pipeline(shared: HandMeshPipeline) -> HandMeshPipeline:
    shared.reconfigure(CONFIG)
    shared.reset()
    return shared


@pytest.fixture(scope="module")
def camera(shared: HandMeshPipeline) -> SyntheticCamera:
    return SyntheticCamera(shared.hand_model)


Look = Callable[..., list[HandEstimate]]


@pytest.fixture
def look(pipeline: HandMeshPipeline, camera: SyntheticCamera) -> Look:
    """Answers the next image of a stream at 30 Hz, of the synthetic hand unless another image is given."""
    index = 0

    def next_image(rgb: np.ndarray | None = None) -> list[HandEstimate]:
        nonlocal index
        index += 1
        rgb = camera.at(0.3 + index / 30).rgb if rgb is None else rgb
        return pipeline.estimate(Frame(rgb, camera.camera_matrix, stamp_s=10 + index / 30))

    return next_image


def test_another_number_of_hypotheses_comes_with_the_next_image_of_the_same_hand(pipeline, look):
    (before,) = look()
    for n in (3, 16, 1):
        pipeline.reconfigure(replace(CONFIG, n_hypotheses=n, joint_steps=2))
        (hand,) = look()
        assert len(hand.hypotheses_m) == n
        assert (hand.track_id, hand.state) == (before.track_id, "tracked")


def test_a_pipeline_that_was_reconfigured_answers_as_one_that_began_so(pipeline, look, camera):
    changed = replace(CONFIG, n_hypotheses=5, joint_steps=2, mesh_steps=2, smooth_cutoff_hz=0.0, user_hand_scale=0.9)
    look()
    pipeline.reconfigure(changed)
    pipeline.reset()
    (hand,) = look()
    frame = Frame(camera.at(0.3 + 2 / 30).rgb, camera.camera_matrix, stamp_s=3.0)
    (fresh,) = HandMeshPipeline(changed).estimate(frame)
    np.testing.assert_allclose(hand.vertices_m, fresh.vertices_m, atol=1e-6)
    assert (hand.scale_source, hand.scale_rel_std) == (fresh.scale_source, fresh.scale_rel_std) == ("user", 0.02)


def test_smoothing_that_is_turned_off_and_on_goes_on_from_where_the_hand_is(pipeline, look):
    first, *_ = [look()[0].joints_m[0] for _ in range(6)]
    pipeline.reconfigure(replace(CONFIG, smooth_cutoff_hz=0.0))
    *_, last = [look()[0].joints_m[0] for _ in range(3)]
    pipeline.reconfigure(replace(CONFIG, smooth_cutoff_hz=0.1, smooth_beta=0.0))
    (held,) = look()
    # With so low a cutoff a hand hardly leaves its last place: that of the image before, not that of the first ones.
    assert np.linalg.norm(held.joints_m[0] - last) < 0.001
    assert np.linalg.norm(held.joints_m[0] - first) > 0.005


def test_prediction_can_be_turned_off_while_a_hand_is_out_of_sight(pipeline, look):
    for _ in range(4):
        look()
    assert [hand.state for hand in look(BLANK)] == ["predicted"]
    pipeline.reconfigure(replace(CONFIG, predict_ms=0.0))
    assert look(BLANK) == []


def test_a_score_that_no_hand_has_hides_it(pipeline, look):
    assert look()
    pipeline.reconfigure(replace(CONFIG, min_score=1.0, predict_ms=0.0))
    assert look() == []
    pipeline.reconfigure(CONFIG)
    assert look()


def test_the_given_size_takes_the_place_of_the_known_one_and_other_settings_leave_it(pipeline, look):
    pipeline.reconfigure(replace(CONFIG, user_hand_scale=0.8))
    (hand,) = look()
    assert (hand.scale_source, pipeline.user_scale.known.factor) == ("user", 0.8)
    given = pipeline.user_scale
    pipeline.reconfigure(replace(CONFIG, user_hand_scale=0.8, n_hypotheses=4))
    assert pipeline.user_scale is given
    pipeline.reconfigure(CONFIG)
    assert look()[0].scale_source == "prior"


def test_an_image_that_is_mirrored_from_now_on_begins_anew(pipeline, look, camera):
    (before,) = look()
    pipeline.reconfigure(replace(CONFIG, mirrored_input=True))
    (after,) = look(np.ascontiguousarray(camera.at(0.4).rgb[:, ::-1]))
    assert (after.handedness, after.state) == (before.handedness, "new")
    assert after.track_id != before.track_id


@pytest.mark.parametrize("end", [0, 1])
def test_all_live_settings_at_one_end_of_their_ranges_are_survived(pipeline, look, end):
    assert look()
    extremes = {item.name: type(item.default)(item.metadata["limits"][end]) for item in LIVE if item.metadata["limits"]}
    # 100 steps of 64 hypotheses take seconds; their number is tried elsewhere.
    extremes |= {"joint_steps": 2, "mesh_steps": 2} if end else {}
    pipeline.reconfigure(replace(CONFIG, **extremes))
    for hand in look():
        assert np.all(np.isfinite(hand.vertices_m))
    pipeline.reconfigure(CONFIG)
    assert look()


def test_what_would_need_other_models_is_refused_by_name_and_changes_nothing(pipeline, look):
    with pytest.raises(ValueError, match=r"max_hands, seed cannot change"):
        pipeline.reconfigure(replace(CONFIG, seed=3, max_hands=1, n_hypotheses=2))
    assert pipeline.config == CONFIG
    assert len(look()[0].hypotheses_m) == CONFIG.n_hypotheses


def test_models_that_were_let_go_come_back_with_the_given_size_and_no_id_is_given_again(camera):
    pipeline = HandMeshPipeline(replace(CONFIG, user_hand_scale=0.9))
    frame = Frame(camera.at(0.3).rgb, camera.camera_matrix, stamp_s=10.0)
    (before,) = pipeline.estimate(frame)
    pipeline.unload()
    assert not pipeline.is_loaded
    with pytest.raises(RuntimeError, match="load"):
        pipeline.detector.detect(frame)
    pipeline.reconfigure(replace(pipeline.config, n_hypotheses=3))
    pipeline.load()
    (after,) = pipeline.estimate(replace(frame, stamp_s=10.1))
    assert (after.state, after.scale_source, len(after.hypotheses_m)) == ("new", "user", 3)
    assert after.track_id != before.track_id
