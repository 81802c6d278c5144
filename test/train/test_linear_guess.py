"""The linear guess is the mean of the posterior of a Gaussian, at every time, and in the exported file too."""

import numpy as np
import pytest
import torch

from hand_mesh_ros.core.hand.components import HandComponents
from hand_mesh_ros.core.models import noise
from hand_mesh_ros.core.models.sampler import ddim, multistep
from models_train.nets.linear_guess import LinearGuess, alpha_bar_of

UNIT_M = 0.1
N_VERTICES, STDS, REST = 6, np.array([0.3, 0.05]), 0.002


@pytest.fixture(scope="module")
def gaussian() -> HandComponents:
    rng = np.random.default_rng(0)
    directions = np.linalg.qr(rng.normal(size=(3 * N_VERTICES, len(STDS))))[0].T.reshape(-1, N_VERTICES, 3)
    mean_m = rng.normal(0, 0.05, (N_VERTICES, 3))
    return HandComponents(mean_m.astype(np.float32), (STDS[:, None, None] * directions).astype(np.float32), REST)


@pytest.fixture(scope="module")
def guess(gaussian) -> LinearGuess:
    return LinearGuess(gaussian, torch.zeros(N_VERTICES, 3), UNIT_M)


@pytest.mark.parametrize("time", [1.0, 300.0, 700.0, 990.0, 1000.0])
def test_it_is_the_mean_given_the_noisy_mesh(gaussian, guess, time):
    noisy = torch.randn(4, N_VERTICES, 3)
    basis = gaussian.basis_m.reshape(len(STDS), -1).astype(np.float64) / UNIT_M
    covariance = basis.T @ basis + (REST / UNIT_M) ** 2 * np.eye(3 * N_VERTICES)
    kept, mean = float(noise.alpha_bar(time)), gaussian.mean_m.ravel() / UNIT_M
    gain = np.sqrt(kept) * covariance @ np.linalg.inv(kept * covariance + (1 - kept) * np.eye(len(covariance)))
    expected = mean + (noisy.numpy().reshape(4, -1) - np.sqrt(kept) * mean) @ gain.T
    found = guess(noisy, torch.full((4,), time)).numpy().reshape(4, -1)
    # Directions are rounded to half precision.
    np.testing.assert_allclose(found, expected, atol=5e-3)


def test_times_mean_the_same_in_torch():
    times = torch.tensor([0.0, 1.0, 250.0, 999.0, 1000.0])
    np.testing.assert_allclose(alpha_bar_of(times), noise.alpha_bar(times.numpy()), atol=1e-6)


def test_second_order_steps_keep_the_spread_that_first_order_steps_lose(guess):
    torch.manual_seed(0)
    start = torch.randn(4000, N_VERTICES, 3)

    def spread(sampler) -> float:
        drawn = sampler(lambda noisy, time: guess(noisy, torch.full((len(noisy),), time)), start, 10)
        return float((drawn.flatten(1) @ guess.directions[0]).std()) * UNIT_M / STDS[0]

    assert spread(ddim) < 0.9
    assert spread(multistep) == pytest.approx(1.0, abs=0.05)
