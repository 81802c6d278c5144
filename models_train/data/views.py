"""Views of random skeletons with a model of the detector's errors. These views are fast to make, but have no image features."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from hand_mesh_ros.core.cascade.view import Cues
from hand_mesh_ros.core.detect import crop
from hand_mesh_ros.core.geometry import camera
from hand_mesh_ros.core.topology import FINGER_JOINTS, N_JOINTS
from models_train.hands.poses import NATURAL_SHARE
from models_train.hands.sample import sample_joints

RECIPE = "models_train.data.views: kinematic hands, modelled detector errors"
# Natural views: share of views of the palm or the back, and spread of their rotation away from the camera.
_SHARE_SHOWN, _SWING_RAD = 0.85, 0.45
DISTANCE_M = (0.2, 2.6)
# Rotation of a raised hand with the palm to the camera: x of the wrist frame points to the camera, z points up.
_RAISED = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]])
_BACK = np.diag([-1.0, -1.0, 1.0])
# Detector errors relative to the hand's extent in the image. Their distribution follows the real detector on natural renders
# (`models_train.data.detected --natural`). Their size is between the size on renders and the size on clear images.
_KEYPOINT_STD, _JOINT_SHARE, _FINGER_SHARES = 0.06, 0.8, (0.3, 1.6)  # per joint; per finger from base to tip
# Depth errors of the landmark model: tilt, scale and errors per finger (19 mm in total).
_TILT_STD, _FINGER_DEPTH_STD, _JOINT_DEPTH_STD = 0.18, 0.18, 0.10
_DEPTH_GAIN = (0.5, 1.25)
# Errors of its metric landmarks: the hands are too small, and half of the errors are independent of keypoints and depths.
_WORLD_SIZE, _WORLD_OWN = (0.6, 1.05), 0.6
# Annotators define joint positions differently, and hands differ. The models should trust keypoints more than exact proportions.
_DEFINITION_STD_M = 0.003
# Shares of views without depths and without metric landmarks. Metric landmarks make the models worse, on renders and photographs.
_SHARES_WITHHELD = (0.15, 1.0)


@dataclass(frozen=True)
class Views:
    """Right hands in the view of a camera, with the truth."""

    cues: Cues  # of n hands
    joints_m: np.ndarray  # (n, 21, 3) camera axes, any origin, average adult size


def place(rng: np.random.Generator, joints_m: np.ndarray, natural: bool = False) -> np.ndarray:
    """Places skeletons (n, 21, 3) in front of a camera, 0.2 to 2.6 m away, up to 40 degrees off its axis.

    Args:
        rng: source of randomness.
        joints_m: (n, 21, 3) in the wrist frame; more points of each hand may follow.
        natural: use `natural_rotations` instead of uniform random rotations.
    """
    n = len(joints_m)
    rotations = natural_rotations(rng, n) if natural else Rotation.random(n, random_state=rng).as_matrix()
    turned = (joints_m - joints_m.mean(1, keepdims=True)) @ np.swapaxes(rotations, -1, -2)
    distance = np.exp(rng.uniform(*np.log(DISTANCE_M), n))
    aside = np.tan(np.deg2rad(40.0)) * rng.uniform(-1, 1, (n, 2))
    centre = np.concatenate([aside, np.ones((n, 1))], 1)
    return turned + (centre * (distance / np.linalg.norm(centre, axis=1))[:, None])[:, None]


def natural_rotations(rng: np.random.Generator, n: int) -> np.ndarray:
    """Returns rotations camera_from_wrist (n, 3, 3) for cameras in front of people, above tables, on heads and on wrists.

    Most views show the palm or the back, in equal shares, with any roll and a small swing. The other views have any rotation.
    """
    facing = np.where(rng.uniform(size=(n, 1, 1)) < 0.5, _RAISED @ _BACK, _RAISED)
    roll = Rotation.from_euler("z", rng.uniform(-np.pi, np.pi, (n, 1))).as_matrix()
    swing = Rotation.from_rotvec(rng.normal(0, _SWING_RAD, (n, 3))).as_matrix()
    anyhow = Rotation.random(n, random_state=rng).as_matrix()
    return np.where(rng.uniform(size=(n, 1, 1)) < _SHARE_SHOWN, swing @ roll @ facing, anyhow)


@dataclass(frozen=True)
class _Errors:
    """Errors of one detection of n hands. The two outputs of a landmark model share most of these errors."""

    hardness: np.ndarray  # (n, 1): scale of the errors, because some images are much harder than others
    keypoint: np.ndarray  # (n, 21, 2) relative to the hand's extent
    tilt: np.ndarray  # (n, 2) depth error per image position
    depth: np.ndarray  # (n, 21) relative to the hand's extent
    gain: np.ndarray  # (n, 1) factor on true depth

    @classmethod
    def sample(cls, rng: np.random.Generator, n: int, keypoint_std: float) -> "_Errors":
        # The joints of a finger have a common error. The tip has the largest error.
        keypoint = rng.normal(0, _JOINT_SHARE, (n, N_JOINTS, 2))
        finger = rng.normal(0, 1, (n, 5, 1, 2)) * np.linspace(*_FINGER_SHARES, 4)[:, None]
        keypoint[:, FINGER_JOINTS.ravel()] += finger.reshape(n, -1, 2)
        depth = rng.normal(0, _JOINT_DEPTH_STD, (n, N_JOINTS))
        depth[:, 1:] += np.repeat(rng.normal(0, _FINGER_DEPTH_STD, (n, 5)), 4, axis=1) * np.tile([0.3, 0.7, 1.0, 1.2], 5)
        return cls(
            hardness=np.exp(rng.normal(0, 0.5, (n, 1))),
            keypoint=keypoint_std / np.sqrt(2) * keypoint,
            tilt=rng.normal(0, _TILT_STD, (n, 2)),
            depth=depth,
            gain=rng.uniform(*_DEPTH_GAIN, (n, 1)),
        )

    def blended(self, other: "_Errors", share: float) -> "_Errors":
        """Returns errors of the same size that share only a part with these errors. The hardness stays."""
        own, alien = np.sqrt(1 - share), np.sqrt(share)
        return _Errors(
            self.hardness,
            own * self.keypoint + alien * other.keypoint,
            own * self.tilt + alien * other.tilt,
            own * self.depth + alien * other.depth,
            (1 - share) * self.gain + share * other.gain,
        )

    def of_keypoints(self, extent: np.ndarray) -> np.ndarray:
        """Returns errors (n, 21, 2) of rays, for hands with extents (n, 1)."""
        return (self.hardness * extent)[..., None] * self.keypoint

    def of_depth(self, true: np.ndarray, extent: np.ndarray) -> np.ndarray:
        """Returns reported depths (n, 21), for joints (n, 21, 3) in line-of-sight axes, divided by their distance."""
        tilted = (self.tilt[:, None] * (true[..., :2] - true[..., :2].mean(1, keepdims=True))).sum(-1)
        return self.gain * true[..., 2] + self.hardness * (tilted + extent * self.depth)


def observe(rng: np.random.Generator, joints_m: np.ndarray, keypoint_std: float = _KEYPOINT_STD) -> Cues:
    """Returns cues of skeletons (n, 21, 3) in the camera frame. Some depths and all other optional cues are missing.

    `keypoint_std` is the standard deviation of the keypoints, relative to the extent of the hand.
    """
    n = len(joints_m)
    rays = joints_m[..., :2] / np.maximum(joints_m[..., 2:], 0.03)
    extent = np.sqrt(((rays - rays.mean(1, keepdims=True)) ** 2).sum(-1).mean(1))[:, None]
    distance_m = np.linalg.norm(joints_m.mean(1), axis=-1)[:, None, None]
    sight = camera.sight_from_camera(rays.mean(1))
    true = (joints_m - joints_m[:, :1]) @ np.swapaxes(sight, -1, -2) / distance_m
    errors = _Errors.sample(rng, n, keypoint_std)
    # The landmark model has two outputs: landmarks in the image, and metric landmarks with partly independent errors.
    others = errors.blended(_Errors.sample(rng, n, keypoint_std), _WORLD_OWN)
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
    """Returns `n` views of random hands, without image features.

    Args:
        rng: source of randomness.
        n: number of views.
        natural_share: share of recorded poses; above 0 the views are also natural.
        held_out: use poses and builds of the held-out set.
    """
    joints_m = redefined(rng, place(rng, sample_joints(rng, n, held_out, natural_share), natural_share > 0))
    return Views(observe(rng, joints_m), joints_m)


def redefined(rng: np.random.Generator, joints_m: np.ndarray) -> np.ndarray:
    """Moves the joints of skeletons (n, 21, 3) to the positions of a different joint definition."""
    return joints_m + rng.normal(0, _DEFINITION_STD_M, joints_m.shape)


def crop_of(keypoints: np.ndarray, in_crop: np.ndarray) -> np.ndarray:
    """Returns the affine map (2, 3) from crop pixels to the unit of `keypoints`: the inverse of `crop.place_in`.

    Args:
        keypoints: (21, 2) in the image.
        in_crop: (21, 2) the same keypoints in the crop, -1..1 from border to border.
    """
    pixels = (in_crop + 1) * (0.5 * (crop.SIZE_PX - 1))
    return np.linalg.lstsq(np.column_stack([pixels, np.ones(len(pixels))]), keypoints, rcond=None)[0].T
