"""Laws of the noise schedule."""

import numpy as np
import pytest

from hand_mesh_ros.core.models import noise


def test_schedule_runs_from_clean_to_pure_noise():
    kept = noise.alpha_bar(np.arange(noise.TRAINING_STEPS + 1))
    assert kept[0] == 1.0
    assert kept[-1] == 0.0
    assert np.all(np.diff(kept) < 0)


def test_half_of_the_schedule_keeps_about_half_of_the_signal():
    assert 0.45 < float(noise.alpha_bar(noise.TRAINING_STEPS / 2)) < 0.55


@pytest.mark.parametrize("time", [-1, noise.TRAINING_STEPS + 1, np.nan])
def test_times_outside_the_schedule_are_refused(time):
    with pytest.raises(ValueError, match="schedule"):
        noise.alpha_bar(time)


@pytest.mark.parametrize("time", [1.0, 250.5, 500.0, 999.0, 1000.0])
def test_the_noise_of_a_mixture_is_what_was_mixed_in(time):
    rng = np.random.default_rng(0)
    clean, unit = rng.normal(size=(2, 5, 21, 3))
    kept = float(noise.alpha_bar(time))
    np.testing.assert_allclose(noise.noise_of(noise.mix(clean, unit, kept), clean, kept), unit, atol=1e-9)


def test_mixing_keeps_unit_variance():
    rng = np.random.default_rng(0)
    clean, unit = rng.normal(size=(2, 200_000))
    for time in (10, 300, 700, 1000):
        assert noise.mix(clean, unit, float(noise.alpha_bar(time))).var() == pytest.approx(1, abs=0.01)


def test_torch_and_numpy_share_the_formulas():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    clean, unit = rng.normal(size=(2, 4, 3))
    kept = noise.alpha_bar(np.array([[100.0], [300.0], [600.0], [900.0]]))
    mixed = noise.mix(torch.from_numpy(clean), torch.from_numpy(unit), torch.from_numpy(kept))
    np.testing.assert_allclose(mixed.numpy(), noise.mix(clean, unit, kept), rtol=1e-12)
