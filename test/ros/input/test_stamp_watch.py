"""Old stamps of a recording are accepted with a warning, a delay never is, and right stamps never warn."""

import math
import time

import numpy as np
import pytest

from hand_mesh_ros.ros.input.stamp_watch import StampWatch, Verdict

NOW_S, MAX_AGE_S = 1.7e9, 0.5


def judge(
    watch: StampWatch, age_s: float, now_s: float = NOW_S, is_restarted: bool = False, max_age_s: float = MAX_AGE_S
) -> Verdict:
    return watch.judge(int(1e9 * (now_s - age_s)), int(1e9 * now_s), is_restarted, max_age_s)


def test_right_stamps_do_not_warn(rng: np.random.Generator):
    watch = StampWatch()
    for number in range(1000):
        age_s = rng.uniform(-0.02, 0.45)
        verdict = judge(watch, age_s, NOW_S + number)
        assert verdict == Verdict(verdict.age_s)
        assert verdict.age_s == pytest.approx(age_s if age_s >= 0 else math.nan, abs=1e-6, nan_ok=True)


@pytest.mark.parametrize(
    ("age_s", "is_too_old", "needle"),
    [
        (0.8, True, "800 ms old"),
        (9.0, True, "9000 ms old"),
        (11.0, False, "11.0 s behind"),
        (3e7, False, "30000000.0 s behind"),
        (-0.5, False, "0.5 s ahead of"),
        (-37.0, False, "37.0 s ahead of"),
    ],
)
def test_another_clock_is_a_warning_with_the_offset_and_the_cure(age_s, is_too_old, needle):
    watch = StampWatch()
    for number in range(5):
        verdict = judge(watch, age_s, NOW_S + number)
        assert verdict.is_too_old == is_too_old
        assert needle in verdict.warning
        assert "synchronise" in verdict.warning
        assert math.isnan(verdict.age_s) == (not is_too_old)


@pytest.mark.parametrize("max_age_s", [MAX_AGE_S, 0.0])
def test_a_delay_that_grows_never_becomes_another_clock(max_age_s):
    watch = StampWatch()
    for age_s in np.arange(0.05, 30.0, 0.1):
        verdict = judge(watch, age_s, NOW_S + 2 * age_s, max_age_s=max_age_s)
        assert verdict.is_too_old == (0 < max_age_s < age_s)
        assert verdict.age_s == pytest.approx(age_s, abs=1e-6)
        assert bool(verdict.warning) == (age_s > (max_age_s or 1.0))


def test_images_that_come_at_once_after_a_long_stall_are_old_not_of_another_clock():
    watch = StampWatch()
    assert not judge(watch, 0.05).warning
    assert judge(watch, 15.0, NOW_S + 20.0).is_too_old


def test_a_recording_after_a_live_camera_is_accepted_and_a_live_camera_after_it_has_ages_again():
    watch = StampWatch()
    assert judge(watch, 0.05).age_s == pytest.approx(0.05, abs=1e-6)
    assert not judge(watch, 100.0, is_restarted=True).is_too_old
    assert not judge(watch, 100.5).is_too_old
    assert judge(watch, 0.05) == Verdict(pytest.approx(0.05, abs=1e-6))


def test_stamps_that_do_not_advance_are_an_error_after_a_moment(monkeypatch: pytest.MonkeyPatch):
    watch, clock_s = StampWatch(), 100.0
    monkeypatch.setattr(time, "monotonic", lambda: clock_s)
    verdicts = []
    for number in range(20):
        clock_s = 100.0 + 0.2 * number
        verdicts.append(judge(watch, 0.2 * number, NOW_S + 0.2 * number))
    errors = [bool(verdict.error) for verdict in verdicts]
    assert errors == sorted(errors)
    assert 0.2 * errors.index(True) <= 2.0
    assert "stamps do not advance" in verdicts[-1].error
    assert watch.repeated == 19
    assert judge(watch, 0.01, NOW_S + 10.0) == Verdict(pytest.approx(0.01, abs=1e-6))


def test_an_image_that_is_sent_again_is_no_error():
    watch = StampWatch()
    assert not any(judge(watch, 0.01).error for _ in range(100))


def test_simulated_time_without_a_clock_is_named():
    verdict = StampWatch().judge(int(12e9), 0, False, MAX_AGE_S)
    assert "/clock" in verdict.warning
    assert not verdict.is_too_old
