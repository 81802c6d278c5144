"""Rounds weights to whole numbers of 8 bits."""

import numpy as np

# Largest weight of a sum over one channel, and of any other sum. Processors without VNNI instructions add two products of 8 bits
# in a register of 16 bits, which would overflow with larger weights.
_DEPTHWISE_LEVELS, _DENSE_LEVELS = 127, 63


def rounded_weights(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns scales (N,) and whole numbers of the shape of weights (N, C, ..), whose product is near the weights."""
    levels = _DEPTHWISE_LEVELS if weights.shape[1] == 1 else _DENSE_LEVELS
    scale = np.maximum(np.abs(weights).reshape(len(weights), -1).max(1), 1e-8) / levels
    return scale, np.round(weights / scale.reshape(-1, *[1] * (weights.ndim - 1)))
