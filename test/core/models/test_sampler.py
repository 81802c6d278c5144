"""Laws of few-step sampling, on distributions whose perfect denoiser is known in closed form."""

import numpy as np
import pytest

from hand_mesh_ros.core.models import noise, sampler

MODES, WIDTH = np.array([-1.0, 1.0]), 0.1


def perfect_two_mode_denoiser(x: np.ndarray, time: float) -> np.ndarray:
    """E[x_0 | x_t] where x_0 is an even mixture of two normals at `MODES` with deviation `WIDTH`."""
    kept = float(noise.alpha_bar(time))
    variance = kept * WIDTH**2 + 1 - kept
    offset = x[..., None] - kept**0.5 * MODES
    share = np.exp(-0.5 * (offset**2 - (offset**2).min(-1, keepdims=True)) / variance)
    guess = MODES + kept**0.5 * WIDTH**2 / variance * offset
    return (share * guess).sum(-1) / share.sum(-1)


@pytest.fixture
def pure_noise() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((4000, 1))


def test_one_step_from_pure_noise_gives_the_mean(pure_noise):
    np.testing.assert_allclose(sampler.ddim(perfect_two_mode_denoiser, pure_noise, 1), 0, atol=1e-9)


@pytest.mark.parametrize("steps", [4, 5, 10])
def test_a_few_steps_find_both_modes(pure_noise, steps):
    found = sampler.ddim(perfect_two_mode_denoiser, pure_noise, steps)
    assert np.mean(found > 0) == pytest.approx(0.5, abs=0.03)
    assert found.std() > 0.9
    assert np.mean(np.abs(np.abs(found) - 1) < 3 * WIDTH) > 0.75


def test_many_steps_give_the_distribution(pure_noise):
    found = sampler.ddim(perfect_two_mode_denoiser, pure_noise, 500)
    assert found.std() == pytest.approx(np.sqrt(1 + WIDTH**2), abs=0.02)


def test_a_sure_denoiser_is_believed_at_any_step_count(pure_noise):
    truth = np.full_like(pure_noise, 0.3)
    for steps in (1, 2, 7):
        np.testing.assert_allclose(sampler.ddim(lambda x, t: truth, pure_noise, steps), truth, atol=1e-12)


def test_each_row_depends_on_its_own_noise_alone(pure_noise):
    together = sampler.ddim(perfect_two_mode_denoiser, pure_noise, 4)
    alone = sampler.ddim(perfect_two_mode_denoiser, pure_noise[7:8], 4)
    np.testing.assert_allclose(together[7:8], alone, rtol=1e-12)


def test_the_denoiser_sees_the_documented_times(pure_noise):
    seen = []
    sampler.ddim(lambda x, t: (seen.append(t), x)[1], pure_noise, 4)
    assert seen == [1000.0, 750.0, 500.0, 250.0]
    assert sampler.times(4)[-1] == 0


def test_no_steps_are_refused(pure_noise):
    with pytest.raises(ValueError, match="at least 1"):
        sampler.ddim(perfect_two_mode_denoiser, pure_noise, 0)


def test_a_sample_with_some_noise_is_cleaned_where_it_is(pure_noise):
    clean = np.where(np.arange(len(pure_noise))[:, None] % 2, *MODES)
    noisy = noise.mix(clean, pure_noise, float(noise.alpha_bar(300)))
    found = sampler.ddim(perfect_two_mode_denoiser, noisy, 3, start=300)
    assert np.mean(np.sign(found) == np.sign(clean)) > 0.95


@pytest.mark.parametrize("start", [0, -1, noise.TRAINING_STEPS + 1])
def test_a_start_outside_the_schedule_is_refused(start):
    with pytest.raises(ValueError, match="start"):
        sampler.times(4, start)


def test_every_step_is_reported_and_a_report_may_end_the_sampling(pure_noise):
    told = []

    def report(step: int, steps: int) -> None:
        told.append((step, steps))
        if step == 3:
            raise sampler.Cancelled

    wanted = sampler.reported(perfect_two_mode_denoiser, 2, lambda *progress: told.append(progress))
    np.testing.assert_array_equal(sampler.ddim(wanted, pure_noise, 2), sampler.ddim(perfect_two_mode_denoiser, pure_noise, 2))
    assert told == [(1, 2), (2, 2)]
    told.clear()
    with pytest.raises(sampler.Cancelled):
        sampler.ddim(sampler.reported(perfect_two_mode_denoiser, 5, report), pure_noise, 5)
    assert told == [(1, 5), (2, 5), (3, 5)]


def test_second_order_steps_end_at_the_last_guess_and_begin_anywhere():
    """A denoiser that always guesses the same leads there, from pure noise and from a noisy sample."""
    noise = np.random.default_rng(0).standard_normal((3, 2))
    for steps, start in ((1, 1000.0), (4, 1000.0), (3, 30.0)):
        np.testing.assert_allclose(sampler.multistep(lambda noisy, time: np.full_like(noisy, 7.0), noise, steps, start), 7.0)


def test_second_order_steps_call_the_denoiser_once_each():
    times = []
    sampler.multistep(lambda noisy, time: times.append(time) or noisy, np.zeros((1, 2)), 5)
    assert len(times) == 5
    assert times[0] == 1000.0
    assert np.all(np.diff(times) < 0)
