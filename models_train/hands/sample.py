"""Random hands: anthropometric proportions, then a pose, then skin."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import special

from hand_mesh_ros.core.hand import kinematics
from hand_mesh_ros.core.hand import model as hand_model
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.topology import FINGER_JOINTS, N_JOINTS
from models_train.hands import shape
from models_train.hands.anthropometry import ANNOTATED_PROPORTION_REL_STD, PROPORTION_REL_STD
from models_train.hands.poses import sample_angles

# Joints of real hands are not perfect hinges. Each joint also rotates a little about the other axes.
_OFF_AXIS_RAD = np.deg2rad(4.0)
_THUMB_TWIST_RAD = np.deg2rad(12.0)
# Relative deviations of palm width and hand thickness. The thickness of each segment also varies.
_BUILD_REL_STD, _SEGMENT_REL_STD = 0.08, 0.03
# Builds of the held-out set deviate by this range of standard deviations.
_HELD_OUT_BUILD = (1.5, 2.2)


@dataclass(frozen=True)
class HandBatch:
    """Right hands of average adult size in the wrist frame of the flat template, with the wrist at the origin."""

    joints_m: np.ndarray  # (n, 21, 3)
    vertices_m: np.ndarray  # (n, V, 3)


@cache
def shipped_hand() -> HandModel:
    """Returns the hand model of the package."""
    return HandModel.load(default_models_dir() / hand_model.FILE_NAME)


def sample_lengths(rng: np.random.Generator, n: int, hand: HandModel, rel_std: float = PROPORTION_REL_STD) -> np.ndarray:
    """Returns bone lengths (n, 20) in metres with the sum of the template. Half of the variance is per finger, half per bone."""
    std = rel_std / np.sqrt(2.0)
    log_factor = np.repeat(rng.normal(0, std, (n, 5)), 4, axis=1) + rng.normal(0, std, (n, 20))
    lengths = hand.bone_lengths_m * np.exp(log_factor)
    return lengths * (hand.bone_lengths_m.sum() / lengths.sum(1, keepdims=True))


def sample_build(rng: np.random.Generator, n: int, held_out: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Returns factors on palm width and hand thickness, (n,) each, from the training set or the held-out set."""
    least, most = _HELD_OUT_BUILD if held_out else (0.0, _HELD_OUT_BUILD[0])
    low, high = special.ndtr([least, most])
    deviation = rng.choice([-1.0, 1.0], (2, n)) * special.ndtri(rng.uniform(low, high, (2, n)))
    return tuple(np.exp(_BUILD_REL_STD * deviation))


def sample_rotations(
    rng: np.random.Generator, n: int, hand: HandModel, held_out: bool = False, natural_share: float = 0.0
) -> np.ndarray:
    """Returns local joint rotations (n, 21, 3, 3) from `poses.sample_angles`."""
    rotations = kinematics.local_rotations(hand, sample_angles(rng, n, held_out, natural_share))
    wobble = rng.normal(0, _OFF_AXIS_RAD, (n, N_JOINTS, 3))
    wobble[:, 0] = 0
    thumb_axis = hand.joints_m[FINGER_JOINTS[0, 1]] - hand.joints_m[FINGER_JOINTS[0, 0]]
    wobble[:, FINGER_JOINTS[0, 0]] += rng.normal(0, _THUMB_TWIST_RAD, (n, 1)) * thumb_axis / np.linalg.norm(thumb_axis)
    angle = np.linalg.norm(wobble, axis=-1)
    return kinematics.rotation_about(wobble / np.maximum(angle, 1e-9)[..., None], angle) @ rotations


def sample_joints(rng: np.random.Generator, n: int, held_out: bool = False, natural_share: float = 0.0) -> np.ndarray:
    """Returns skeletons (n, 21, 3) without skin, with the proportions of annotated joints. This is much faster."""
    hand = shipped_hand()
    lengths = sample_lengths(rng, n, hand, ANNOTATED_PROPORTION_REL_STD)
    rest = shape.rest_joints(hand.joints_m, lengths, sample_build(rng, n, held_out)[0])
    return kinematics.joint_frames(sample_rotations(rng, n, hand, held_out, natural_share), rest)[1]


def sample_hands(rng: np.random.Generator, n: int, held_out: bool = False, natural_share: float = 0.0) -> HandBatch:
    """Returns skeletons and surfaces of `n` hands, with poses and builds of the training set or of the held-out set."""
    rest, flat = sample_flat_hands(rng, n, held_out)
    hand = shipped_hand()
    return HandBatch(*kinematics.skin(hand, sample_rotations(rng, n, hand, held_out, natural_share), rest, flat))


def sample_flat_hands(rng: np.random.Generator, n: int, held_out: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Returns joints (n, 21, 3) and vertices (n, V, 3) of flat hands, with builds of the training set or of the held-out set."""
    hand = shipped_hand()
    palm_width, thickness = sample_build(rng, n, held_out)
    rest = shape.rest_joints(hand.joints_m, sample_lengths(rng, n, hand), palm_width)
    of_segments = thickness[:, None] * np.exp(rng.normal(0, _SEGMENT_REL_STD, (n, N_JOINTS)))
    return rest, shape.stretch(hand.template_m, hand.joints_m, hand.skin_weights, rest, of_segments)
