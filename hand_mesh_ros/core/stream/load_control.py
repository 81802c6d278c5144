"""Reduces the sampling while images take longer than a target time, and restores the sampling when there is time again."""

from collections import deque
from dataclasses import replace

import numpy as np

from hand_mesh_ros.core.config import PipelineConfig

# Shares of the hypotheses and steps of the settings, from full to least effort.
_SHARES = (1.0, 0.5, 0.25, 0.125)
# Number of images in a measurement. The median of their times ignores single slow images.
_WINDOW = 8
# The effort increases only if the images take less than this share of the target, because more effort takes more time.
_RESERVE = 0.8
# Number of images before the effort increases. This number doubles if the last increase took too much time.
_PATIENCE, _MOST_PATIENCE = 30, 480


class LoadControl:
    """Chooses the effort of each image from the times of the images before."""

    def __init__(self) -> None:
        """Starts with full effort."""
        self.reset()

    def reset(self) -> None:
        """Returns to full effort and drops the measurement."""
        self._level, self._since_change, self._patience, self._is_raised = 0, 0, _PATIENCE, False
        self._times_ms: deque[float] = deque(maxlen=_WINDOW)

    @property
    def share(self) -> float:
        """Current share of the hypotheses and steps, 0.125 to 1."""
        return _SHARES[self._level]

    def measure(self, total_ms: float, target_ms: float) -> bool:
        """Uses the time of an image. A target of 0 means full effort. Returns whether the effort has changed."""
        before = self._level
        if target_ms <= 0:
            self.reset()
            return before > 0
        self._times_ms.append(total_ms)
        self._since_change += 1
        if len(self._times_ms) == _WINDOW:
            self._adapt(float(np.median(self._times_ms)), target_ms)
        return self._level != before

    def _adapt(self, typical_ms: float, target_ms: float) -> None:
        if typical_ms > target_ms and self._level < len(_SHARES) - 1:
            is_relapse = self._is_raised and self._since_change <= 2 * _WINDOW
            self._patience = min(2 * self._patience, _MOST_PATIENCE) if is_relapse else _PATIENCE
            self._change(self._level + 1)
        elif typical_ms < _RESERVE * target_ms and self._level > 0 and self._since_change >= self._patience:
            self._change(self._level - 1)

    def _change(self, level: int) -> None:
        self._is_raised = level < self._level
        self._level, self._since_change = level, 0
        self._times_ms.clear()

    def applied_to(self, config: PipelineConfig) -> PipelineConfig:
        """Settings with the current share of the hypotheses and joint steps: at least one hypothesis and two steps.

        One step gives the same result for every hypothesis.
        """
        if self.share == 1:
            return config
        hypotheses = max(1, round(self.share * config.n_hypotheses))
        steps = max(min(2, config.joint_steps), round(self.share * config.joint_steps))
        return replace(config, n_hypotheses=hypotheses, joint_steps=steps)
