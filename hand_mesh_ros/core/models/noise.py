"""The noise that the diffusion models are trained on and sampled with: cosine schedule, variance preserving.

A noisy sample at time t is x_t = sqrt(a) x_0 + sqrt(1 - a) noise with a = alpha_bar(t) (Nichol and Dhariwal 2021, eq. 17). Time
runs from 0, clean, to `TRAINING_STEPS`, where alpha_bar is exactly 0: pure noise. It may be fractional. `mix` and `noise_of` are
written with operators alone, so that training (torch) and run time (numpy) share them.
"""

import math
from typing import Any, TypeVar

import numpy as np

TRAINING_STEPS = 1000
OFFSET = 0.008  # keeps the first steps from being too small to learn anything from
# Model files carry this in their metadata. Loading fails if a file was trained with another schedule.
SCHEDULE = f"cosine-{TRAINING_STEPS}-{OFFSET}"

Array = TypeVar("Array", bound=Any)  # of numpy or of torch


def alpha_bar(time: float | np.ndarray) -> np.ndarray:
    """Share of the clean sample's variance that is left at `time`, of the shape of `time`, float64 in 0..1.

    Raises:
        ValueError: if a time lies outside 0..TRAINING_STEPS.
    """
    time = np.asarray(time, np.float64)
    if time.size and not (time.min() >= 0 and time.max() <= TRAINING_STEPS):
        raise ValueError(f"times {time.min()} to {time.max()} leave the schedule's 0 to {TRAINING_STEPS}")
    angle = (time / TRAINING_STEPS + OFFSET) / (1 + OFFSET) * (np.pi / 2)
    start = OFFSET / (1 + OFFSET) * (np.pi / 2)
    # The exact end of the schedule: the cosine of a rounded pi/2 would leave 1e-33, whose root still shows in float64.
    return np.where(time == TRAINING_STEPS, 0.0, (np.cos(angle) / np.cos(start)) ** 2)


def log_signal_to_noise(time: float) -> float:
    """Half the logarithm of alpha_bar / (1 - alpha_bar): from -inf in pure noise to +inf in the clean sample."""
    kept = float(alpha_bar(time))
    if not 0 < kept < 1:
        return math.copysign(math.inf, kept - 0.5)
    return 0.5 * math.log(kept / (1 - kept))


def mix(clean: Array, noise: Array, kept: Any) -> Array:
    """x_t: the clean sample and unit noise in the shares of alpha_bar = `kept`, which broadcasts against both."""
    return kept**0.5 * clean + (1 - kept) ** 0.5 * noise


def noise_of(noisy: Array, clean: Array, kept: Any) -> Array:
    """The unit noise that leads from `clean` to `noisy` at alpha_bar = `kept` < 1."""
    return (noisy - kept**0.5 * clean) / (1 - kept) ** 0.5
