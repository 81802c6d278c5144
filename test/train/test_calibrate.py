"""The fit of uncertainty on errors whose distribution is known."""

import numpy as np
import pytest

from hand_mesh_ros.core.uncertainty.error_signs import SIGNS
from models_train.calibrate import Residuals, fit, inflation


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def observed(rng: np.random.Generator, gain: float, residual: float, n_hands: int = 3000, n_samples: int = 8) -> Residuals:
    """Hands of different difficulty: errors of covariance gain * S + residual, and estimates of S from a few samples."""
    hardness = rng.uniform(0.3, 3.0, (n_hands, 1, 1))
    samples = np.sqrt(hardness)[..., None] * rng.normal(size=(n_hands, 1, n_samples, 3))
    sample = np.einsum("njkr,njks->njrs", samples, samples) / n_samples
    # One of the signs tells a part of the hardness that the samples do not.
    hidden = rng.normal(0, 0.5, n_hands)
    error = np.exp(hidden)[:, None, None] * np.sqrt(gain * hardness + residual) * rng.normal(size=(n_hands, 1, 3))
    signs = np.column_stack([hidden, rng.normal(size=(n_hands, len(SIGNS) - 1))])
    signs[rng.uniform(size=n_hands) < 0.1, 1] = np.nan
    return Residuals(error, sample, np.full(n_hands, float(n_samples)), signs)


@pytest.mark.parametrize(("gain", "residual"), [(1.5, 0.5), (0.2, 2.0)])
def test_the_fit_holds_ninety_per_cent_of_easy_and_hard_hands(rng, gain, residual):
    fitted = fit(observed(rng, gain, residual), pooled=False)
    fresh = observed(rng, gain, residual)
    rows = zip(fresh.sample, fresh.n_samples, fresh.signs)
    stated = np.concatenate([fitted.covariance(*row) for row in rows])
    assert inflation(fresh.error[:, 0], stated) == pytest.approx(1, abs=0.12)
    # Of a hand's three numbers the logarithm is biased, but what depends on the sign is told by it.
    assert fitted.log_size[2] == pytest.approx(2, abs=0.3)
    assert np.all(np.abs(fitted.log_size[3:]) < 0.15)
    size = np.trace(stated, axis1=1, axis2=2)
    for half in (size > np.median(size), size <= np.median(size)):
        assert inflation(fresh.error[half, 0], stated[half]) == pytest.approx(1, abs=0.3)


def test_inflation_tells_how_much_too_small_covariances_are(rng):
    error = rng.normal(0, 2.0, (20000, 3))
    assert inflation(error, np.broadcast_to(np.eye(3), (20000, 3, 3))) == pytest.approx(4.0, rel=0.05)
