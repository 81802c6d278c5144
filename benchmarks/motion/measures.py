"""Jitter and lag of a hand in a sequence of images: the compared signals and the measures.

Jitter is the root mean square second difference from image to image, divided by sqrt(6). This is the standard deviation per axis
of white noise with the same second differences. Lag is the delay of the true motion that gives the smallest error. The measures
first subtract the constant error of the sequence (a wrong size, a different joint definition). All figures are per axis or angle.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hand_mesh_ros.core.hand.joint_angles import joint_angles
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.hand.wrist_frame import wrist_rotation
from hand_mesh_ros.core.topology import FINGER_JOINTS, WRIST
from hand_mesh_ros.core.types import Side

QUANTITIES = {
    "wrist across the view": "mm",
    "wrist along the view": "mm",
    "wrist orientation": "deg",
    "joint angles": "deg",
    "fingertips from the wrist": "mm",
}
# Candidate delays, and the number of first images to skip, because the filters have no history in these images.
_DELAYS_S, _SETTLING = np.arange(-0.034, 0.25, 0.001), 10
# The nine entries of a rotation differ by sqrt(2) times the angle. The three axes share this difference.
_TURN_SCALE = np.rad2deg(np.sqrt(1.5))


@dataclass(frozen=True)
class Comparison:
    """Lag and error of a signal against the truth, in the unit of the signal."""

    lag_s: float
    error: float  # root mean square
    remaining: float  # the same without the lag


def signals(
    model: HandModel, joints_m: Sequence[np.ndarray], side: Side, lasting_turn: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Returns the time series (N, C) of `QUANTITIES`.

    Args:
        model: the hand.
        joints_m: skeletons (21, 3) in the camera frame.
        side: of the hand.
        lasting_turn: (3, 3), constant rotation error to subtract from the attitude; see `lasting_turn`.
    """
    joints = np.asarray(joints_m, np.float64)
    rotations = wrist_rotation(joints, side)
    attitudes = rotations if lasting_turn is None else rotations @ lasting_turn.T
    tips = (joints[:, FINGER_JOINTS[:, -1]] - joints[:, [WRIST]]) @ rotations
    series = (
        1e3 * joints[:, WRIST, :2],
        1e3 * joints[:, WRIST, 2:],
        _TURN_SCALE * attitudes,
        np.rad2deg(joint_angles(model, joints, side)),
        1e3 * tips,
    )
    return {name: values.reshape(len(joints), -1) for name, values in zip(QUANTITIES, series)}


def lasting_turn(joints_m: Sequence[np.ndarray], truth_m: Sequence[np.ndarray], side: Side) -> np.ndarray:
    """Returns the mean rotation error (3, 3), true_wrist_from_wrist, of skeletons (N, 21, 3) against the true skeletons."""
    found, true = (wrist_rotation(np.asarray(joints, np.float64), side) for joints in (joints_m, truth_m))
    left, _, right = np.linalg.svd(np.mean(np.swapaxes(true, -1, -2) @ found, axis=0))
    return left @ np.diag([1, 1, np.linalg.det(left @ right)]) @ right


def jitter(signal: np.ndarray) -> float:
    """Returns the standard deviation of white noise with the same second differences as `signal` (N, C)."""
    return float(np.sqrt(np.mean(np.diff(signal, 2, axis=0) ** 2) / 6))


def compare(signal: np.ndarray, truth: np.ndarray, times_s: np.ndarray) -> Comparison:
    """Compares `signal` (N, C) with `truth` (N, C) at the same times (N,)."""
    kept = slice(_SETTLING, None)

    def error(delay_s: float) -> float:
        delayed = np.stack([np.interp(times_s - delay_s, times_s, channel) for channel in truth.T], axis=-1)
        difference = (signal - delayed)[kept]
        return float(np.sqrt(np.mean((difference - difference.mean(axis=0)) ** 2)))

    errors = [error(delay_s) for delay_s in _DELAYS_S]
    best = int(np.argmin(errors))
    return Comparison(float(_DELAYS_S[best]), error(0.0), errors[best])
