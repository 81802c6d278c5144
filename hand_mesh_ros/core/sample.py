"""Deterministic few-step sampling of a diffusion model that predicts the clean sample."""

from collections.abc import Callable
from itertools import count, pairwise
from typing import TypeVar

import numpy as np

from hand_mesh_ros.core import noise as schedule

Array = TypeVar("Array")  # of numpy or of torch

# (x_t of any shape, t in 0..TRAINING_STEPS, the same for the whole batch) -> guess of x_0, of the shape of x_t.
Denoise = Callable[[Array, float], Array]
# Called after every step with the number of steps done and in all. What it raises, such as `Cancelled`, ends the sampling.
Report = Callable[[int, int], None]


class Cancelled(Exception):
    """Nobody wants the samples any more."""


def times(steps: int, start: float = schedule.TRAINING_STEPS) -> np.ndarray:
    """(steps + 1,) from `start` down to 0 in equal strides; the denoiser is called at all but the last.

    Raises:
        ValueError: if `steps` is below 1, or `start` is not within the schedule.
    """
    if steps < 1:
        raise ValueError(f"{steps} denoising steps; at least 1 is needed")
    if not 0 < start <= schedule.TRAINING_STEPS:
        raise ValueError(f"start {start}; it must be above 0 and at most {schedule.TRAINING_STEPS}")
    return np.linspace(start, 0, steps + 1)


def ddim(denoise: Denoise, noise: Array, steps: int, start: float = schedule.TRAINING_STEPS) -> Array:
    """A sample of the shape of `noise`: the same noise always leads to the same sample.

    Song et al. 2021, eq. 12 with sigma 0. One step returns `denoise`'s guess from pure noise, which is the mean of the
    distribution; telling modes apart takes about four.

    Args:
        denoise: the model; it sees x_t and t and guesses x_0.
        noise: standard normal, or the noisy sample x_start; hypotheses are rows of it.
        steps: calls of `denoise`.
        start: time to begin at.
    """
    sample, grid = noise, times(steps, start)
    for now, after in pairwise(grid):
        clean = denoise(sample, float(now))
        direction = schedule.noise_of(sample, clean, float(schedule.alpha_bar(now)))
        sample = schedule.mix(clean, direction, float(schedule.alpha_bar(after)))
    return sample


def reported(denoise: Denoise, steps: int, report: Report | None) -> Denoise:
    """`denoise` that reports each of the `steps` calls of one sampling; `denoise` itself where nobody listens."""
    if report is None:
        return denoise
    done = count(1)

    def guess(noisy: Array, time: float) -> Array:
        clean = denoise(noisy, time)
        report(next(done), steps)
        return clean

    return guess
