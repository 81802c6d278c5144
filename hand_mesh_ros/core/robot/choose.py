"""Selects the hands that a robot follows. A robot holds its last command, so predicted or non-finite hands are never sent."""

import math
from collections.abc import Sequence

import numpy as np

from hand_mesh_ros.core.types import HandEstimate, Side

SIDES: tuple[Side, ...] = ("left", "right")


def is_seen(estimate: HandEstimate) -> bool:
    """True if the hand was detected in this image and all its joints are finite."""
    return estimate.state in ("new", "tracked") and bool(np.isfinite(estimate.joints_m).all())


def is_placed(estimate: HandEstimate) -> bool:
    """True if the position of the hand is known, because the camera is calibrated."""
    return estimate.scale_source != "none" and all(
        np.isfinite(values).all() for values in (estimate.joints_m, estimate.wrist_pose, estimate.wrist_covariance)
    )


class RobotHands:
    """Selects one hand per side. A selected hand stays selected until it is lost.

    The topics of a side have no id. Their consumers notice another hand only by a silence. So another hand is selected only if no
    hand of its side was selected for `silence_s`, by the stamps of the images. The hand may be that of another person.
    """

    def __init__(self, silence_s: float) -> None:
        """Starts without a selected hand."""
        self.silence_s = silence_s
        self._stamp_s = -math.inf  # of the last image
        self._followed: dict[Side, str] = {}  # id by side
        self._sent_s: dict[Side, float] = {}  # stamp of the last image with a selected hand, by side

    def choose(self, estimates: Sequence[HandEstimate], stamp_s: float) -> list[HandEstimate]:
        """The selected hands that were detected in the next image: at most one hand per side.

        No hand is selected if the stamp is the stamp of the image before: consumers, and TF, take a stamp once.
        """
        if stamp_s == self._stamp_s:
            return []
        self._stamp_s = stamp_s
        chosen = []
        for side in SIDES:
            hands = {estimate.track_id: estimate for estimate in estimates if estimate.handedness == side}
            if self._followed.get(side) not in hands and self._is_noticed(side, stamp_s):
                self._followed[side] = next(iter(hands), "")
            followed = hands.get(self._followed.get(side, ""))
            if followed is not None and is_seen(followed):
                self._sent_s[side] = stamp_s
                chosen.append(followed)
        return chosen

    def _is_noticed(self, side: Side, stamp_s: float) -> bool:
        """True if the side is silent for long enough. After stamps that jumped back, the silence begins at the first of them."""
        sent_s = self._sent_s[side] = min(self._sent_s.get(side, -math.inf), stamp_s)
        return stamp_s - sent_s >= self.silence_s
