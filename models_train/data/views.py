"""Views of random skeletons with a model of the detector's errors: endless and quick, but without what only an image shows."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from hand_mesh_ros.core.cascade.view import Cues
from hand_mesh_ros.core.geometry import camera
from hand_mesh_ros.core.topology import FINGER_JOINTS, N_JOINTS
from models_train.hands.poses import NATURAL_SHARE
from models_train.hands.sample import sample_joints

RECIPE = "models_train.data.views: kinematic hands, modelled detector errors"
# Of natural views: how many show the palm or the back of the hand, and how far these are turned away from facing the camera.
_SHARE_SHOWN, _SWING_RAD = 0.85, 0.45
DISTANCE_M = (0.2, 2.6)
# Rotation of a raised hand whose palm faces the camera: the wrist frame's x to the camera, z up.
_RAISED = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]])
_BACK = np.diag([-1.0, -1.0, 1.0])
# Detector errors relative to the hand's extent in the image: their shape is that of the real detector on natural renders
# (`models_train.data.detected --natural`), their size between that on renders and that on clear images.
_KEYPOINT_STD, _JOINT_SHARE, _FINGER_SHARES = 0.06, 0.8, (0.3, 1.6)  # of a joint by itself, of its finger from base to tip
# The landmark model's depth: right on the whole, but tilted, squeezed and finger-wise wrong (19 mm in all).
_TILT_STD, _FINGER_DEPTH_STD, _JOINT_DEPTH_STD = 0.18, 0.18, 0.10
_DEPTH_GAIN = (0.5, 1.25)
# Its metric landmarks: of smaller hands than these, and half of their errors are not those of the keypoints and the depths.
_WORLD_SIZE, _WORLD_OWN = (0.6, 1.05), 0.6
# Where in a hand a joint lies is a matter of definition, which differs between annotators and between hands: keypoints are
# to be believed more than exact proportions.
_DEFINITION_STD_M = 0.003
# Of depths; and of metric landmarks, without which the models are better, on natural renders as on photographs.
_SHARES_WITHHELD = (0.15, 1.0)


@dataclass(frozen=True)
class Views:
    """Right hands as seen by a camera, with the truth."""

    cues: Cues  # of n hands
    joints_m: np.ndarray  # (n, 21, 3) camera axes, any origin, average adult size


def place(rng: np.random.Generator, joints_m: np.ndarray, natural: bool = False) -> np.ndarray:
    """Skeletons (n, 21, 3) put in front of a camera, 0.2 to 2.6 m away, up to 40 degrees off its axis.

    Args:
        rng: source of randomness.
        joints_m: (n, 21, 3) in the wrist frame; more points of each hand may follow.
        natural: turned as by `natural_rotations`, or else any way.
    """
    n = len(joints_m)
    rotations = natural_rotations(rng, n) if natural else Rotation.random(n, random_state=rng).as_matrix()
    turned = (joints_m - joints_m.mean(1, keepdims=True)) @ np.swapaxes(rotations, -1, -2)
    distance = np.exp(rng.uniform(*np.log(DISTANCE_M), n))
    aside = np.tan(np.deg2rad(40.0)) * rng.uniform(-1, 1, (n, 2))
    centre = np.concatenate([aside, np.ones((n, 1))], 1)
    return turned + (centre * (distance / np.linalg.norm(centre, axis=1))[:, None])[:, None]


def natural_rotations(rng: np.random.Generator, n: int) -> np.ndarray:
    """camera_from_wrist rotations (n, 3, 3) as cameras before people, above tables, on heads and on wrists see hands.

    Most show the palm or the back, half of these each, rolled any way and swung a little; the others are turned any way.
    """
    facing = np.where(rng.uniform(size=(n, 1, 1)) < 0.5, _RAISED @ _BACK, _RAISED)
    roll = Rotation.from_euler("z", rng.uniform(-np.pi, np.pi, (n, 1))).as_matrix()
    swing = Rotation.from_rotvec(rng.normal(0, _SWING_RAD, (n, 3))).as_matrix()
    anyhow = Rotation.random(n, random_state=rng).as_matrix()
    return np.where(rng.uniform(size=(n, 1, 1)) < _SHARE_SHOWN, swing @ roll @ facing, anyhow)


@dataclass(frozen=True)
class _Errors:
    """What is wrong with one look at n hands; two outputs of one landmark model share most of it."""

    hardness: np.ndarray  # (n, 1): some images are much harder than others
    keypoint: np.ndarray  # (n, 21, 2) relative to the hand's extent
    tilt: np.ndarray  # (n, 2) depth per place in the image
    depth: np.ndarray  # (n, 21) relative to the hand's extent
    gain: np.ndarray  # (n, 1) on true depth

    @classmethod
    def sample(cls, rng: np.random.Generator, n: int) -> "_Errors":
        # Joints of one finger err together, its tip the most.
        keypoint = rng.normal(0, _JOINT_SHARE, (n, N_JOINTS, 2))
        finger = rng.normal(0, 1, (n, 5, 1, 2)) * np.linspace(*_FINGER_SHARES, 4)[:, None]
        keypoint[:, FINGER_JOINTS.ravel()] += finger.reshape(n, -1, 2)
        depth = rng.normal(0, _JOINT_DEPTH_STD, (n, N_JOINTS))
        depth[:, 1:] += np.repeat(rng.normal(0, _FINGER_DEPTH_STD, (n, 5)), 4, axis=1) * np.tile([0.3, 0.7, 1.0, 1.2], 5)
        return cls(
            hardness=np.exp(rng.normal(0, 0.5, (n, 1))),
            keypoint=_KEYPOINT_STD / np.sqrt(2) * keypoint,
            tilt=rng.normal(0, _TILT_STD, (n, 2)),
            depth=depth,
            gain=rng.uniform(*_DEPTH_GAIN, (n, 1)),
        )

    def blended(self, other: "_Errors", share: float) -> "_Errors":
        """Errors as large as these, but only in part the same; the hardness stays."""
        own, alien = np.sqrt(1 - share), np.sqrt(share)
        return _Errors(
            self.hardness,
            own * self.keypoint + alien * other.keypoint,
            own * self.tilt + alien * other.tilt,
            own * self.depth + alien * other.depth,
            (1 - share) * self.gain + share * other.gain,
        )

    def of_keypoints(self, extent: np.ndarray) -> np.ndarray:
        """Errors (n, 21, 2) of rays, for hands of extents (n, 1)."""
        return (self.hardness * extent)[..., None] * self.keypoint

    def of_depth(self, true: np.ndarray, extent: np.ndarray) -> np.ndarray:
        """Depths (n, 21) as reported, for joints (n, 21, 3) in the axes of the line of sight over their distance."""
        tilted = (self.tilt[:, None] * (true[..., :2] - true[..., :2].mean(1, keepdims=True))).sum(-1)
        return self.gain * true[..., 2] + self.hardness * (tilted + extent * self.depth)


def observe(rng: np.random.Generator, joints_m: np.ndarray) -> Cues:
    """Cues of skeletons (n, 21, 3) in the camera frame; depths withheld at random, the others always."""
    n = len(joints_m)
    rays = joints_m[..., :2] / np.maximum(joints_m[..., 2:], 0.03)
    extent = np.sqrt(((rays - rays.mean(1, keepdims=True)) ** 2).sum(-1).mean(1))[:, None]
    distance_m = np.linalg.norm(joints_m.mean(1), axis=-1)[:, None, None]
    sight = camera.sight_from_camera(rays.mean(1))
    true = (joints_m - joints_m[:, :1]) @ np.swapaxes(sight, -1, -2) / distance_m
    errors = _Errors.sample(rng, n)
    # The landmark model answers twice: in the image, and with metric landmarks that err in a way of their own.
    others = errors.blended(_Errors.sample(rng, n), _WORLD_OWN)
    lateral = true[..., :2] + others.of_keypoints(extent)
    size = rng.uniform(*_WORLD_SIZE, (n, 1, 1))
    world_m = size * distance_m * np.concatenate([lateral, others.of_depth(true, extent)[..., None]], -1)
    confidence = np.clip(1.0 - 0.05 * errors.hardness * np.abs(rng.normal(0, 1, (n, 1))), 0.3, 1.0)
    given = np.concatenate([rng.uniform(size=(n, 2)) >= _SHARES_WITHHELD, np.zeros((n, 1))], 1)
    return Cues(
        rays=rays + errors.of_keypoints(extent),
        confidence=np.broadcast_to(confidence, (n, N_JOINTS)),
        depth=errors.of_depth(true, extent),
        world_m=world_m,
        in_crop=np.zeros((n, N_JOINTS, 2)),
        given=given,
    )


def sample_views(rng: np.random.Generator, n: int, natural_share: float = NATURAL_SHARE, held_out: bool = False) -> Views:
    """`n` views of random hands, without image features.

    Args:
        rng: source of randomness.
        n: number of views.
        natural_share: of recorded poses; above 0 the views are natural too.
        held_out: poses and builds that are kept from training.
    """
    joints_m = redefined(rng, place(rng, sample_joints(rng, n, held_out, natural_share), natural_share > 0))
    return Views(observe(rng, joints_m), joints_m)


def redefined(rng: np.random.Generator, joints_m: np.ndarray) -> np.ndarray:
    """Skeletons (n, 21, 3) whose joints lie where another annotator would put them."""
    return joints_m + rng.normal(0, _DEFINITION_STD_M, joints_m.shape)
