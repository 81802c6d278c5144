"""Random hand poses: joint angles within biomechanical limits, from recordings, gestures, grasps and free coupled motion.

Angles are (n, 5, 4) radians as in `kinematics.local_rotations`: abduction, then flexion of three joints, per finger.
Limits and couplings: Lin, Wu and Huang 2000, "Modeling the constraints of human hand motion": flexion of MCP -10..90, PIP 0..110,
DIP 0..90 degrees, DIP about two thirds of PIP, neighbouring fingers moving together.
"""

import csv
from functools import cache
from pathlib import Path

import numpy as np

from hand_mesh_ros.core.hand.joint_angles import ANGLE_NAMES
from hand_mesh_ros.core.topology import FINGERS

_LOW = np.deg2rad([[-25, -20, -20, -20], *[[-18, -25, -8, -8]] * 4])
_HIGH = np.deg2rad([[45, 45, 60, 85], *[[18, 95, 112, 85]] * 4])
_DIP_OF_PIP = 2.0 / 3.0
# Abduction of the four fingers when the hand fans out, relative to that of index.
_FAN = np.array([1.2, 0.2, -0.7, -1.5])

# Gestures, and the 33 grasps of Feix et al. 2016, "The GRASP taxonomy of human grasp types": typical angles in degrees, the
# spread is that of index against middle. Those that are held out are for tests only.
_TABLE = Path(__file__).with_name("poses.csv")
# Poses of a real person, by models_train.hands.recorded.
RECORDED_TABLE = Path(__file__).with_name("recorded_poses.csv")
# Share of recorded poses where hands are to be as people hold them.
NATURAL_SHARE = 0.6


def sample_angles(rng: np.random.Generator, n: int, held_out: bool = False, natural_share: float = 0.0) -> np.ndarray:
    """(n, 5, 4) radians of random poses.

    `natural_share` are recorded poses and what lies between two of them. Of the others half are named poses and what lies between
    two of these, the rest free, with fingers moving together or not.

    Args:
        rng: source of randomness.
        n: number of poses.
        held_out: only the recorded and the named poses that are kept from training, for tests.
        natural_share: of recorded poses, 0 to 1.
    """
    if held_out:
        angles = _around_named(rng, n, held_out)
    else:
        kind = rng.choice(3, n, p=(0.5, 0.3, 0.2))
        angles = np.stack([_around_named(rng, n, held_out), _coupled(rng, n), _independent(rng, n)])[kind, np.arange(n)]
    angles[..., 0] += np.deg2rad(rng.normal(0, 4, (n, 5)))
    if natural_share > 0:
        angles = np.where(rng.uniform(size=(n, 1, 1)) < natural_share, _around_recorded(rng, n, held_out), angles)
    return np.clip(angles, _LOW, _HIGH)


@cache
def named_angles(held_out: bool) -> np.ndarray:
    """(m, 5, 4) radians of the table's poses, either those of training or those held out."""
    with _TABLE.open() as file:
        rows = [row for row in csv.DictReader(file) if int(row["held_out"]) == held_out]
    angles = np.zeros((len(rows), 5, 4))
    for pose, row in zip(angles, rows):
        pose[0] = [float(row[f"thumb_{joint}"]) for joint in ("abduction", "cmc", "mcp", "ip")]
        pose[1:, 0] = float(row["spread"]) * _FAN
        pose[1:, 1:3] = [[float(row[f"{finger}_{joint}"]) for joint in ("mcp", "pip")] for finger in FINGERS[1:]]
    angles[:, 1:, 3] = _DIP_OF_PIP * angles[:, 1:, 2]
    return np.deg2rad(angles)


@cache
def recorded_angles(held_out: bool) -> np.ndarray:
    """(m, 5, 4) radians of the recorded poses, either those of training or those held out; of left hands as of right ones."""
    with RECORDED_TABLE.open() as file:
        rows = [row for row in csv.DictReader(file) if int(row["held_out"]) == held_out]
    return np.deg2rad([[float(row[name]) for name in ANGLE_NAMES] for row in rows]).reshape(-1, len(FINGERS), 4)


def _spread(rng: np.random.Generator, n: int) -> np.ndarray:
    """Abduction of the four fingers, (n, 4): they fan out together."""
    return np.deg2rad(rng.normal(0, 6, (n, 1)) * _FAN + rng.normal(0, 3, (n, 4)))


def _around_named(rng: np.random.Generator, n: int, held_out: bool) -> np.ndarray:
    prototypes = named_angles(held_out)
    first, second = prototypes[rng.integers(len(prototypes), size=(2, n))]
    # Half of them close to the one or the other, half on the way between.
    share = rng.beta(0.4, 0.4, (n, 1, 1))
    angles = share * first + (1 - share) * second
    angles[:, :, 1:] += np.deg2rad(rng.normal(0, 8, (n, 1, 1)) + rng.normal(0, 8, (n, 5, 3)))
    angles[:, 1:, 0] += _spread(rng, n)
    return angles


def _around_recorded(rng: np.random.Generator, n: int, held_out: bool) -> np.ndarray:
    """Recorded poses and what lies between two of them, each joint a little off."""
    poses = recorded_angles(held_out)
    first, second = poses[rng.integers(len(poses), size=(2, n))]
    share = rng.beta(0.5, 0.5, (n, 1, 1))
    angles = share * first + (1 - share) * second
    angles[..., 1:] += np.deg2rad(rng.normal(0, 4, (n, 1, 1)) + rng.normal(0, 5, (n, 5, 3)))
    angles[..., 0] += np.deg2rad(rng.normal(0, 3, (n, 5)))
    return angles


def _coupled(rng: np.random.Generator, n: int) -> np.ndarray:
    """All fingers follow one curl, each with its own deviation; the thumb is free."""
    angles = _independent(rng, n)
    curl = rng.uniform(0, 1, (n, 1)) + rng.normal(0, 0.15, (n, 4))
    balance = rng.normal(0, 0.25, (n, 1)) + rng.normal(0, 0.1, (n, 4))
    angles[:, 1:, 1] = np.deg2rad(80) * (curl + balance)
    angles[:, 1:, 2] = np.deg2rad(100) * (curl - balance)
    angles[:, 1:, 3] = _DIP_OF_PIP * angles[:, 1:, 2] + np.deg2rad(rng.normal(0, 10, (n, 4)))
    return angles


def _independent(rng: np.random.Generator, n: int) -> np.ndarray:
    angles = rng.uniform(_LOW, _HIGH, (n, 5, 4))
    angles[:, 1:, 0] = _spread(rng, n)
    angles[:, 1:, 3] = _DIP_OF_PIP * angles[:, 1:, 2] + np.deg2rad(rng.normal(0, 12, (n, 4)))
    return angles
