"""Noise schedule for training and sampling of the diffusion models: cosine schedule, variance preserving.

A noisy sample at time t is x_t = sqrt(a) x_0 + sqrt(1 - a) noise with a = alpha_bar(t) (Nichol and Dhariwal 2021, eq. 17). At
time 0 the sample is clean. At time `TRAINING_STEPS` alpha_bar is exactly 0 and the sample is pure noise. The time may be
fractional. `mix` and `noise_of` use only operators, so that training (torch) and run time (numpy) use the same functions.
"""

import math
from typing import Any, TypeVar

import numpy as np

TRAINING_STEPS = 1000
OFFSET = 0.008  # prevents too little noise near time 0
# Model files have this value in their metadata. Loading fails if a model was trained with another schedule.
SCHEDULE = f"cosine-{TRAINING_STEPS}-{OFFSET}"

Array = TypeVar("Array", bound=Any)  # numpy or torch array


def alpha_bar(time: float | np.ndarray) -> np.ndarray:
    """Remaining share of the variance of the clean sample at `time`; same shape as `time`, float64 in 0..1.

    Raises:
        ValueError: if a time is outside 0..TRAINING_STEPS.
    """
    time = np.asarray(time, np.float64)
    if time.size and not (time.min() >= 0 and time.max() <= TRAINING_STEPS):
        raise ValueError(f"times {time.min()} to {time.max()} are outside the schedule, 0 to {TRAINING_STEPS}")
    angle = (time / TRAINING_STEPS + OFFSET) / (1 + OFFSET) * (np.pi / 2)
    start = OFFSET / (1 + OFFSET) * (np.pi / 2)
    # The end of the schedule is exactly 0. The cosine of a rounded pi/2 would give 1e-33, and its root is not negligible.
    return np.where(time == TRAINING_STEPS, 0.0, (np.cos(angle) / np.cos(start)) ** 2)


def log_signal_to_noise(time: float) -> float:
    """Half the logarithm of alpha_bar / (1 - alpha_bar): from -inf in pure noise to +inf in the clean sample."""
    kept = float(alpha_bar(time))
    if not 0 < kept < 1:
        return math.copysign(math.inf, kept - 0.5)
    return 0.5 * math.log(kept / (1 - kept))


def mix(clean: Array, noise: Array, kept: Any) -> Array:
    """x_t from a clean sample and unit noise at alpha_bar = `kept`. `kept` broadcasts against the arrays."""
    return kept**0.5 * clean + (1 - kept) ** 0.5 * noise


def noise_of(noisy: Array, clean: Array, kept: Any) -> Array:
    """Unit noise in `noisy`, given `clean` and alpha_bar = `kept` < 1."""
    return (noisy - kept**0.5 * clean) / (1 - kept) ** 0.5
