"""Computes the size of a hand from a length that a person measured on the hand."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hand_mesh_ros.core.config import SIZE_LIMITS
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.place.user_size import Scale
from hand_mesh_ros.core.topology import INDEX_MCP, LITTLE_MCP, MIDDLE_MCP

# Vertices within this distance of a knuckle belong to the knuckle [m].
_KNUCKLE_REACH_M = 0.02
# Standard deviation of a measurement with a ruler [m].
_RULER_STD_M = 0.002


@dataclass(frozen=True)
class HandLength:
    """A length of the flat hand."""

    name: str
    on_model: Callable[[HandModel], float]  # metres, on the average hand
    # Relative standard deviation over hands of the same size, because proportions differ. From 3000 hands of
    # `models_train.hands.sample.sample_hands`, with proportions from Buryanov and Kotiuk 2010.
    proportion_std: float

    def scale(self, hand: HandModel, length_m: float) -> Scale:
        """The size of a hand on which this length is `length_m`.

        Raises:
            ValueError: if the size is not possible for a human hand.
        """
        average_m = self.on_model(hand)
        factor = length_m / average_m
        if not (math.isfinite(factor) and SIZE_LIMITS[0] <= factor <= SIZE_LIMITS[1]):
            low_m, high_m = (limit * average_m for limit in SIZE_LIMITS)
            raise ValueError(f"a {self.name} of {length_m:g} m is impossible: give metres, {low_m:.3f} to {high_m:.3f}")
        return Scale(factor, math.hypot(self.proportion_std, _RULER_STD_M / length_m), "user")


def _hand_length(hand: HandModel) -> float:
    """Length from the wrist, which is the origin, along the fingers."""
    return float(hand.template_m[:, 2].max())


def _middle_finger(hand: HandModel) -> float:
    tip = hand.template_m[np.argmax(hand.template_m[:, 2])]
    return float(np.linalg.norm(tip - hand.joints_m[MIDDLE_MCP]))


def _palm_width(hand: HandModel) -> float:
    """Width across the knuckles of index and little finger, including the skin on the outside."""
    index, little = hand.joints_m[INDEX_MCP], hand.joints_m[LITTLE_MCP]
    width = float(np.linalg.norm(index - little))
    outwards = (index - little) / width
    for knuckle, sign in ((index, 1.0), (little, -1.0)):
        from_knuckle = hand.template_m - knuckle
        width += float((sign * from_knuckle @ outwards)[np.linalg.norm(from_knuckle, axis=-1) < _KNUCKLE_REACH_M].max())
    return width


HAND_LENGTH = HandLength("hand length", _hand_length, 0.035)
MIDDLE_FINGER = HandLength("middle finger", _middle_finger, 0.050)
PALM_WIDTH = HandLength("palm width", _palm_width, 0.055)
