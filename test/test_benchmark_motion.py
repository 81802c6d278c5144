"""Jitter, lag and losses are measured as stated: on signals of known jitter and lag, and on a hand that really is lost."""

import numpy as np
import pytest

from benchmarks.motion import losses
from benchmarks.motion.measures import QUANTITIES, compare, jitter, lasting_turn, signals
from benchmarks.motion.sequences import RATE_HZ, Moment, followed, moving, stillest
from hand_mesh_ros.core.geometry.rotations import rotation_about
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.types import Frame
from hand_mesh_ros.synthetic.camera import SyntheticCamera

TIMES_S = np.arange(150) / RATE_HZ


@pytest.fixture(scope="module")
def pipeline() -> HandMeshPipeline:
    return HandMeshPipeline.default("cpu", max_hands=1, smooth_cutoff_hz=0.0, predict_ms=0.0)


@pytest.fixture(scope="module")
def model(pipeline: HandMeshPipeline) -> HandModel:
    return pipeline.hand_model


def test_jitter_is_the_deviation_of_noise_whatever_steady_motion_it_lies_on() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.3, (20000, 2))
    assert jitter(noise) == pytest.approx(0.3, rel=0.03)
    assert jitter(noise + np.arange(20000)[:, None]) == pytest.approx(jitter(noise), rel=1e-6)


def sines(times_s: np.ndarray) -> np.ndarray:
    return np.stack([np.sin(2.0 * times_s), 3 * np.cos(3.0 * times_s)], axis=-1)


@pytest.mark.parametrize("lag_s", [0.0, 0.02, 0.05, 0.15])
def test_a_delay_is_found_and_an_error_that_lasts_does_not_count(lag_s: float) -> None:
    found = compare(sines(TIMES_S - lag_s) + np.array([5.0, -7.0]), sines(TIMES_S), TIMES_S)
    assert found.lag_s == pytest.approx(lag_s, abs=0.002)
    assert found.remaining < 0.02
    expected = np.sqrt(np.mean(np.square(sines(TIMES_S - lag_s) - sines(TIMES_S))))
    assert found.error == pytest.approx(expected, rel=0.1, abs=1e-6)


def test_noise_of_the_skeleton_shows_in_its_own_quantity(model: HandModel) -> None:
    rng = np.random.default_rng(0)
    rest = model.joints_m.astype(np.float64) + np.array([0, 0, 0.5])
    shifted = rest + rng.normal(0, 0.001, (2000, 1, 3))
    found = {name: jitter(signal) for name, signal in signals(model, shifted, "right").items()}
    assert found["wrist across the view"] == pytest.approx(1.0, rel=0.1)
    assert found["wrist along the view"] == pytest.approx(1.0, rel=0.1)
    assert max(found[name] for name in list(QUANTITIES)[2:]) < 1e-6
    # Turns by 2 degrees per axis about the wrist leave everything but the orientation.
    axes = rng.normal(0, np.deg2rad(2.0), (2000, 3))
    angles = np.linalg.norm(axes, axis=-1)
    turned = np.stack([(rest - rest[0]) @ rotation_about(axis / a, np.array(a)).T + rest[0] for axis, a in zip(axes, angles)])
    found = {name: jitter(signal) for name, signal in signals(model, turned, "right").items()}
    assert found["wrist orientation"] == pytest.approx(2.0, rel=0.1)
    assert found["wrist across the view"] + found["joint angles"] + found["fingertips from the wrist"] < 1e-6


def test_an_attitude_that_always_differs_by_the_same_turn_is_no_error(model: HandModel) -> None:
    truth = np.stack([model.joints_m @ rotation_about(np.array([0, 0, 1.0]), np.array(angle)).T for angle in np.sin(TIMES_S)])
    offset = rotation_about(np.array([1.0, 0, 0]), np.array(0.2))
    found = np.stack(
        [(model.joints_m @ offset.T) @ rotation_about(np.array([0, 0, 1.0]), np.array(a)).T for a in np.sin(TIMES_S)]
    )
    plain = compare(
        signals(model, found, "right")["wrist orientation"], signals(model, truth, "right")["wrist orientation"], TIMES_S
    )
    turn = lasting_turn(found, truth, "right")
    freed = signals(model, found, "right", turn)["wrist orientation"]
    assert compare(freed, signals(model, truth, "right")["wrist orientation"], TIMES_S).error < 1e-3 < plain.error


def test_the_stillest_images_are_chosen_by_the_images() -> None:
    rng = np.random.default_rng(0)
    calm = {*range(10, 20), *range(40, 50)}
    pictures = [np.full((90, 160, 3), 100 if index in calm else rng.integers(0, 255), np.uint8) for index in range(60)]
    moments = [Moment(Frame(picture, np.eye(3)), found=None) for picture in pictures]
    assert stillest(moments, 10, 2) == [slice(10, 20), slice(40, 50)]


def test_a_lost_hand_is_predicted_nearer_than_it_was_left_and_keeps_its_id(pipeline: HandMeshPipeline) -> None:
    moments = followed(pipeline, moving(SyntheticCamera(pipeline.hand_model, (320, 240)), 2 * losses.PERIOD + 2, 3.0))
    assert len(moments) == 2 * losses.PERIOD + 2
    predicting = losses.lose(HandMeshPipeline.default("cpu", max_hands=1, predict_ms=losses.PREDICT_MS), moments)
    assert [gap.lost for gap in predicting.gaps] == 2 * [*range(1, losses.LOST + 1)]
    assert (predicting.returned, predicting.same_id) == (2, 2)
    last = [gap for gap in predicting.gaps if gap.lost == losses.LOST]
    assert all(gap.predicted is not None for gap in predicting.gaps)
    assert np.mean([gap.predicted[0] for gap in last]) < np.mean([gap.held[0] for gap in last])
    silent = losses.lose(pipeline, moments)
    assert all(gap.predicted is None for gap in silent.gaps)
    assert (silent.returned, silent.same_id) == (2, 0)
