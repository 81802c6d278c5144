"""Selects the hands that a robot follows. A robot holds its last command, so predicted or non-finite hands are never sent."""

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
    """Selects one hand per side. A selected hand stays selected until it is lost. Until then no other hand is selected."""

    def __init__(self) -> None:
        self._followed: dict[Side, str] = {}  # id by side

    def choose(self, estimates: Sequence[HandEstimate]) -> list[HandEstimate]:
        """The selected hands that were detected in the next image: at most one hand per side."""
        chosen = []
        for side in SIDES:
            hands = {estimate.track_id: estimate for estimate in estimates if estimate.handedness == side}
            if self._followed.get(side) not in hands:
                self._followed[side] = next(iter(hands), "")
            followed = hands.get(self._followed[side])
            if followed is not None and is_seen(followed):
                chosen.append(followed)
        return chosen
