"""The One-Euro filter (Casiez, Roussel and Vogel 2012) over values of any kind.

The filter is a low-pass. Its cutoff frequency rises with the filtered speed. Slow values are smoothed strongly, because jitter is
visible there. Fast values are smoothed weakly, because lag is visible there.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hand_mesh_ros.core.geometry import rotations

# Cutoff of the low-pass over speeds, as in the paper [Hz].
_SPEED_CUTOFF_HZ = 1.0


def smoothing_factor(cutoff_hz: float, dt_s: float) -> float:
    """Weight of the newest value in a first-order low-pass with this cutoff, `dt_s` after the previous value."""
    return 1.0 / (1.0 + 1.0 / (2 * np.pi * cutoff_hz * dt_s))


@dataclass(frozen=True)
class _Past:
    """State of a filter after the last value."""

    measured: np.ndarray
    value: np.ndarray
    velocity: np.ndarray  # filtered, per second


class OneEuro:
    """The filter. The functions `difference` and `add` define the kind of values."""

    def __init__(
        self,
        min_cutoff_hz: float,
        beta: float,
        difference: Callable[[np.ndarray, np.ndarray], np.ndarray] = np.subtract,
        add: Callable[[np.ndarray, np.ndarray], np.ndarray] = np.add,
    ) -> None:
        """Starts without a previous value.

        Args:
            min_cutoff_hz: cutoff at rest; with 0 the values are not filtered.
            beta: increase of the cutoff with the speed, in Hz per unit of the largest row of a difference per second.
            difference: function of two values (newer, older); returns an array.
            add: function of a value and a difference; returns a value.
        """
        self.tune(min_cutoff_hz, beta)
        self._difference, self._add = difference, add
        self._past: _Past | None = None

    @property
    def velocity(self) -> np.ndarray:
        """The filtered velocity, per second.

        Raises:
            RuntimeError: before the first step.
        """
        if self._past is None:
            raise RuntimeError("the filter has no velocity before its first value")
        return self._past.velocity

    def tune(self, min_cutoff_hz: float, beta: float) -> None:
        """Uses another cutoff from now on. The state of the filter stays."""
        self._min_cutoff_hz, self._beta = min_cutoff_hz, beta

    def step(self, measured: np.ndarray, dt_s: float) -> np.ndarray:
        """The filtered value, `dt_s` > 0 after the previous value. The first value is not changed."""
        past = self._past
        if past is None:
            self._past = _Past(measured, measured, np.zeros_like(self._difference(measured, measured)))
            return measured
        newest = self._difference(measured, past.measured) / dt_s
        velocity = past.velocity + smoothing_factor(_SPEED_CUTOFF_HZ, dt_s) * (newest - past.velocity)
        self._past = _Past(measured, self._filtered(measured, past.value, velocity, dt_s), velocity)
        return self._past.value

    def _filtered(self, measured: np.ndarray, value: np.ndarray, velocity: np.ndarray, dt_s: float) -> np.ndarray:
        if not self._min_cutoff_hz:
            return measured
        speed = np.linalg.norm(velocity, axis=-1).max()
        share = smoothing_factor(self._min_cutoff_hz + self._beta * speed, dt_s)
        return self._add(value, share * self._difference(measured, value))


def turn_between(newer: np.ndarray, older: np.ndarray) -> np.ndarray:
    """Rotation vector (3,), in fixed axes, from the rotation `older` (3, 3) to the rotation `newer` (3, 3)."""
    return rotations.to_vector(newer @ older.T)


def turned(rotation: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """The rotation `rotation` (3, 3) after a rotation by the rotation vector `turn` (3,), in fixed axes."""
    return rotations.from_vector(turn) @ rotation
