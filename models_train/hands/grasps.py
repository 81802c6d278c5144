"""Grasps: hands whose fingers close on a ball, a cylinder or a box until the skin touches it.

A power grasp holds the object against the palm with all fingers. A pinch holds a small object between the thumb and the first one
to three fingers. The other fingers of a pinch bend by a random amount.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import trimesh
from scipy.spatial.transform import Rotation

from hand_mesh_ros.core.hand import kinematics
from hand_mesh_ros.core.topology import FINGER_JOINTS, FINGERS, FINGERTIPS, WRIST
from models_train.hands.sample import sample_flat_hands, shipped_hand

# Angles of a finger before it closes and after it has closed without an object [deg]: abduction and three flexions.
_OPEN_DEG = np.array([[40, -10, -5, 0], *[[0, -5, 5, 3]] * 4], float)
_CLOSED_DEG = np.array([[30, 30, 50, 60], *[[0, 88, 105, 70]] * 4], float)
# A pinch bends the fingertips less, so that the pads meet.
_PINCHED_DEG = np.array([[35, 35, 25, 30], *[[0, 75, 60, 30]] * 4], float)
_ABDUCTION_STD_DEG = 4.0
# The fingers close in this number of steps. Soft skin gives way by a small distance.
_STEPS, _SOFT_M = 41, 0.0015
# Skin that is nearer than this to the object touches it.
_TOUCH_M = 0.003
# Radius of held objects [m], and their length and edges relative to the radius.
_POWER_RADIUS_M, _PINCH_RADIUS_M = (0.012, 0.038), (0.004, 0.016)
_EDGES, _LENGTHS = (0.7, 1.4), (1.5, 5.0)
_SHARE_POWER = 0.6
_GAP_M = 0.001
_KINDS = ("ball", "cylinder", "box")

Skin = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Solid:
    """A ball, a cylinder about its z axis, or a box."""

    kind: str  # ball, cylinder or box
    half_m: np.ndarray  # (3,) half sizes along its axes
    rotation: np.ndarray  # (3, 3) wrist_from_solid
    centre_m: np.ndarray  # (3,) in the wrist frame

    def distance_m(self, points_m: np.ndarray) -> np.ndarray:
        """Returns signed distances (...,) of points (..., 3) in the wrist frame. Negative distances are inside."""
        local = (points_m - self.centre_m) @ self.rotation
        if self.kind == "ball":
            return np.linalg.norm(local, axis=-1) - self.half_m[0]
        beyond = np.abs(local) - self.half_m
        if self.kind == "cylinder":
            beyond = np.stack([np.hypot(local[..., 0], local[..., 1]) - self.half_m[0], beyond[..., 2]], -1)
        return np.linalg.norm(np.maximum(beyond, 0), axis=-1) + np.minimum(beyond.max(-1), 0)

    def surface(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns vertices (N, 3) in the wrist frame, and faces (M, 3)."""
        if self.kind == "ball":
            shape = trimesh.creation.icosphere(subdivisions=3, radius=self.half_m[0])
        elif self.kind == "cylinder":
            shape = trimesh.creation.cylinder(radius=self.half_m[0], height=2 * self.half_m[2], sections=32)
        else:
            shape = trimesh.creation.box(2 * self.half_m)
        return shape.vertices @ self.rotation.T + self.centre_m, np.asarray(shape.faces)


@dataclass(frozen=True)
class Grasp:
    """A right hand of average adult size in the wrist frame, with the object that it holds."""

    joints_m: np.ndarray  # (21, 3)
    vertices_m: np.ndarray  # (V, 3)
    held: Solid


def sample_grasp(rng: np.random.Generator, held_out: bool = False) -> Grasp:
    """Returns a random grasp of a hand with a build of the training set or of the held-out set.

    The thumb and another finger touch the object. No finger is inside it.
    """
    while True:
        grasp = _attempt(rng, held_out)
        nearest = [grasp.held.distance_m(grasp.vertices_m[own]).min() for own in _skin_of_fingers(1)]
        touching = np.abs(nearest) < _TOUCH_M
        if touching[0] and touching[1:].any() and min(nearest) > -_TOUCH_M:
            return grasp


@cache
def _skin_of_fingers(first: int) -> np.ndarray:
    """Returns the vertices (5, V) of each finger that bend with its joints from `first` on."""
    weights = shipped_hand().skin_weights
    # Column k of the skin weights belongs to the bone that ends in joint k.
    return np.stack([weights[:, joints[first:]].sum(1) > 0.5 for joints in FINGER_JOINTS])


def _attempt(rng: np.random.Generator, held_out: bool) -> Grasp:
    hand = shipped_hand()
    (rest,), (flat,) = sample_flat_hands(rng, 1, held_out)
    is_power = rng.random() < _SHARE_POWER
    abduction = np.deg2rad(rng.normal(0, _ABDUCTION_STD_DEG, len(FINGERS)))
    opened, closed = (np.deg2rad(angles) for angles in (_OPEN_DEG, _CLOSED_DEG if is_power else _PINCHED_DEG))
    opened[:, 0] += abduction
    closed[:, 0] += abduction

    def skin(angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return kinematics.skin(hand, kinematics.local_rotations(hand, angles), rest, flat)

    path = opened + np.linspace(0, 1, _STEPS)[:, None, None] * (closed - opened)
    solid = _in_palm(rng, rest, skin(opened)[1][~_skin_of_fingers(1)[0]]) if is_power else _between_tips(rng, skin(path)[0])
    angles = closed_on(solid, opened, closed, skin)
    if not is_power:
        others = np.arange(len(FINGERS)) > rng.integers(1, 4)
        angles[others] = path[rng.integers(_STEPS // 4, _STEPS, len(FINGERS)), np.arange(len(FINGERS))][others]
    return Grasp(*skin(angles), solid)


def closed_on(solid: Solid, opened: np.ndarray, closed: np.ndarray, skin: Skin) -> np.ndarray:
    """Returns the angles (5, 4) of fingers that have closed on an object.

    The joints of a finger bend together until the finger touches the object. Then the outer joints bend on, until their bones
    touch the object too.

    Args:
        solid: the object.
        opened: (5, 4) angles of the open hand [rad].
        closed: (5, 4) angles of a hand that has closed without an object [rad].
        skin: joints (n, 21, 3) and vertices (n, V, 3) of angles (n, 5, 4).
    """
    angles = opened.copy()
    for first in (1, 2, 3):
        bend = np.zeros_like(angles)
        bend[:, first:] = (closed - angles)[:, first:]
        poses = angles + np.linspace(0, 1, _STEPS)[:, None, None] * bend
        distance_m = solid.distance_m(skin(poses)[1])
        nearest_m = np.stack([distance_m[:, own].min(1) for own in _skin_of_fingers(first)], -1)
        last = np.logical_and.accumulate(nearest_m > -_SOFT_M).sum(0) - 1
        # A finger may be inside the object before it bends. It then takes the pose that is least inside.
        steps = np.where(last >= 0, last, nearest_m.argmax(0))
        angles = poses[steps, np.arange(len(FINGERS))]
    return angles


def _in_palm(rng: np.random.Generator, rest: np.ndarray, opened_m: np.ndarray) -> Solid:
    """Returns an object that touches an open hand from the side of the palm, with its long axis across the fingers.

    Args:
        rng: source of randomness.
        rest: (21, 3) joints of the flat hand.
        opened_m: (N, 3) skin of the open hand without the thumb, which gives way to the object.
    """
    half = _half_sizes(rng, _POWER_RADIUS_M)
    # z of the solid along y of the wrist frame.
    across = Rotation.from_euler("x", 90, degrees=True)
    rotation = (Rotation.from_rotvec(rng.normal(0, [0.15, 0.3, 0.15])) * across).as_matrix()
    knuckles = rest[FINGER_JOINTS[1:, 0]].mean(0)
    place = rest[WRIST] + rng.uniform(0.7, 1.0) * (knuckles - rest[WRIST]) + rng.normal(0, 0.004, 3)
    kind = str(rng.choice(_KINDS))
    # x of the wrist frame points out of the palm. The object comes from outside.
    out_of_palm = np.array([1.0, 0.0, 0.0])
    nearer = [Solid(kind, half, rotation, place + offset * out_of_palm) for offset in np.linspace(0.15, 0, 151)]
    touching = next((index for index, solid in enumerate(nearer) if solid.distance_m(opened_m).min() < _GAP_M), len(nearer))
    return nearer[max(touching - 1, 0)]


def _between_tips(rng: np.random.Generator, joints_m: np.ndarray) -> Solid:
    """Returns a small object where the thumb and the index finger meet, for skeletons (steps, 21, 3) of a closing hand."""
    thumb, index = joints_m[:, FINGERTIPS[0]], joints_m[:, FINGERTIPS[1]]
    nearest = np.linalg.norm(thumb - index, axis=-1).argmin()
    centre = 0.5 * (thumb[nearest] + index[nearest]) + rng.normal(0, 0.003, 3)
    rotation = Rotation.random(random_state=rng).as_matrix()
    return Solid(str(rng.choice(_KINDS)), _half_sizes(rng, _PINCH_RADIUS_M), rotation, centre)


def _half_sizes(rng: np.random.Generator, radius_m: tuple[float, float]) -> np.ndarray:
    radius = np.exp(rng.uniform(*np.log(radius_m)))
    return radius * np.array([1.0, rng.uniform(*_EDGES), rng.uniform(*_LENGTHS)])
