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
# Abduction of the four fingers of a spread hand, relative to the index finger.
_FAN = np.array([1.2, 0.2, -0.7, -1.5])

# Gestures, and the 33 grasps of Feix et al. 2016, "The GRASP taxonomy of human grasp types": typical angles in degrees. The
# column `spread` is the angle of index against middle. The held-out poses are for tests only.
_TABLE = Path(__file__).with_name("poses.csv")
# Poses of a real person, from models_train.hands.recorded.
RECORDED_TABLE = Path(__file__).with_name("recorded_poses.csv")
# Share of recorded poses for natural hands.
NATURAL_SHARE = 0.6


def sample_angles(rng: np.random.Generator, n: int, held_out: bool = False, natural_share: float = 0.0) -> np.ndarray:
    """Returns angles (n, 5, 4) of random poses in radians.

    A share `natural_share` are recorded poses and interpolations between two recorded poses. Half of the other poses are named
    poses and interpolations between two named poses. The rest are free poses, with coupled or independent fingers.

    Args:
        rng: source of randomness.
        n: number of poses.
        held_out: use the recorded and named poses of the held-out set.
        natural_share: share of recorded poses, 0 to 1.
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
    """Returns angles (m, 5, 4) in radians of the named poses, from the training set or from the held-out set."""
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
    """Returns angles (m, 5, 4) in radians of the recorded poses of left and right hands, from the training or held-out set."""
    with RECORDED_TABLE.open() as file:
        rows = [row for row in csv.DictReader(file) if int(row["held_out"]) == held_out]
    return np.deg2rad([[float(row[name]) for name in ANGLE_NAMES] for row in rows]).reshape(-1, len(FINGERS), 4)


def _spread(rng: np.random.Generator, n: int) -> np.ndarray:
    """Returns the abduction of the four fingers, (n, 4). The fingers spread together."""
    return np.deg2rad(rng.normal(0, 6, (n, 1)) * _FAN + rng.normal(0, 3, (n, 4)))


def _around_named(rng: np.random.Generator, n: int, held_out: bool) -> np.ndarray:
    prototypes = named_angles(held_out)
    first, second = prototypes[rng.integers(len(prototypes), size=(2, n))]
    # Half of the poses are close to one of the two poses, half are between the two poses.
    share = rng.beta(0.4, 0.4, (n, 1, 1))
    angles = share * first + (1 - share) * second
    angles[:, :, 1:] += np.deg2rad(rng.normal(0, 8, (n, 1, 1)) + rng.normal(0, 8, (n, 5, 3)))
    angles[:, 1:, 0] += _spread(rng, n)
    return angles


def _around_recorded(rng: np.random.Generator, n: int, held_out: bool) -> np.ndarray:
    """Returns recorded poses and interpolations between two poses, with a small error at each joint."""
    poses = recorded_angles(held_out)
    first, second = poses[rng.integers(len(poses), size=(2, n))]
    share = rng.beta(0.5, 0.5, (n, 1, 1))
    angles = share * first + (1 - share) * second
    angles[..., 1:] += np.deg2rad(rng.normal(0, 4, (n, 1, 1)) + rng.normal(0, 5, (n, 5, 3)))
    angles[..., 0] += np.deg2rad(rng.normal(0, 3, (n, 5)))
    return angles


def _coupled(rng: np.random.Generator, n: int) -> np.ndarray:
    """Returns poses with one curl for all fingers and a deviation per finger. The thumb is independent."""
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
