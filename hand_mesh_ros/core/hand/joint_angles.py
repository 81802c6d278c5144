"""Joint angles of a skeleton (the inverse of `kinematics.pose`), and the limits of the joint angles of a human hand.

The palm of the hand model is aligned with the palm of the skeleton. Each finger is a chain of three bones in a plane. The
rotation of this plane about the abduction axis is the abduction. The angles between successive bones in the plane are the
flexions. Only directions are used, so fingers may have any length. The abduction of a finger that points straight out of the
palm cannot be observed. So the abduction decreases to 0 as the projection of the finger onto the plane of abduction becomes
shorter than `VISIBLE_SHARE` of the length of the finger.
"""

from dataclasses import dataclass

import numpy as np

from hand_mesh_ros.core.geometry import rigid
from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.topology import FINGER_JOINTS, FINGERS, JOINT_NAMES, PALM_JOINTS
from hand_mesh_ros.core.types import Side, require_shape

# (20,) in the order of angles (5, 4): thumb_cmc_abduction, thumb_cmc_flexion, thumb_mcp_flexion, .., little_dip_flexion.
ANGLE_NAMES = tuple(
    name
    for base, middle, end in FINGER_JOINTS[:, :3]
    for name in (
        f"{JOINT_NAMES[base]}_abduction",
        *(f"{JOINT_NAMES[joint]}_flexion" for joint in (base, middle, end)),
    )
)
# A straight finger that is bent by 75 degrees at its base has a projection onto the palm of this share of its length.
VISIBLE_SHARE = 0.25


@dataclass(frozen=True)
class JointLimits:
    """Smallest and largest angles that a human hand reaches without force.

    Raises:
        ValueError: if a lower limit is not below the upper one.
    """

    lower_rad: np.ndarray  # (5, 4)
    upper_rad: np.ndarray  # (5, 4)

    def __post_init__(self) -> None:
        for name in ("lower_rad", "upper_rad"):
            require_shape(name, getattr(self, name), (len(FINGERS), 4))
        if not np.all(self.lower_rad < self.upper_rad):
            names = [name for name, low, high in zip(ANGLE_NAMES, self.lower_rad.flat, self.upper_rad.flat) if not low < high]
            raise ValueError(f"lower limits must be below upper limits: {', '.join(names)}")

    @classmethod
    def of_degrees(cls, limits: dict[str, tuple[float, float]]) -> "JointLimits":
        """Limits from (lower, upper) degrees by names of `ANGLE_NAMES`.

        Raises:
            ValueError: if a name is missing or unknown, or its value is not a pair of numbers.
        """
        if set(limits) != set(ANGLE_NAMES):
            missing, unknown = set(ANGLE_NAMES) - set(limits), set(limits) - set(ANGLE_NAMES)
            raise ValueError(f"joint limits: missing {sorted(missing)}, unknown {sorted(unknown)}")
        try:
            pairs = np.array([limits[name] for name in ANGLE_NAMES], float).reshape(len(ANGLE_NAMES), 2)
        except (TypeError, ValueError) as error:
            raise ValueError(f"joint limits must be pairs [lower, upper] of degrees: {error}") from error
        return cls(*np.deg2rad(pairs).T.reshape(2, len(FINGERS), 4))

    def clamp(self, angles: np.ndarray) -> np.ndarray:
        """Angles (..., 5, 4), clamped to the limits."""
        return np.clip(angles, self.lower_rad, self.upper_rad)


def joint_angles(model: HandModel, joints_m: np.ndarray, side: Side) -> np.ndarray:
    """Angles (..., 5, 4) in radians of skeletons, in the order of `kinematics.local_rotations`: abduction, then three flexions.

    Positive flexion bends a finger towards the palm. Positive abduction moves a finger towards the side of the thumb. Positive
    abduction of the thumb moves the thumb out of the palm. So a mirrored hand has the same angles. Abduction is within +-90
    degrees, flexion within +-180 degrees.

    Args:
        model: the hand model; all angles are 0 in its rest pose.
        joints_m: (..., 21, 3) in any frame, of any size.
        side: side of all skeletons.
    """
    joints = np.asarray(joints_m, np.float64)
    joints = mirror_points(joints) if side == "left" else joints
    rotation, _, _ = rigid.align(model.joints_m[PALM_JOINTS].astype(np.float64), joints[..., PALM_JOINTS, :], with_scale=True)
    fingers = joints[..., FINGER_JOINTS, :] @ rotation[..., None, :, :]
    # (..., 5, 3 bones, 3 axes): along the straight finger, direction of positive abduction, direction of positive flexion.
    bones = np.diff(fingers, axis=-2) @ np.swapaxes(_finger_axes(model), -1, -2)
    abduction = _abduction(bones[..., :2])
    along = np.cos(abduction)[..., None] * bones[..., 0] + np.sin(abduction)[..., None] * bones[..., 1]
    bends = np.diff(np.arctan2(bones[..., 2], along), axis=-1, prepend=0.0)
    flexion = np.arctan2(np.sin(bends), np.cos(bends))
    seen = np.linalg.norm(bones[..., :2], axis=(-2, -1)) / np.linalg.norm(bones, axis=(-2, -1))
    faded = np.minimum(seen / VISIBLE_SHARE, 1.0) ** 2 * abduction
    return np.concatenate([faded[..., None], flexion], -1)


def _finger_axes(model: HandModel) -> np.ndarray:
    """(5, 3, 3). Rows: along the straight finger, positive abduction (the flexion axis), positive flexion."""
    across = model.flexion_axes[:, 0].astype(np.float64)
    out = -model.abduction_axes.astype(np.float64)
    return np.stack([np.cross(out, across), across, out], axis=-2)


def _abduction(traces: np.ndarray) -> np.ndarray:
    """Abductions (..., 5) from the projections of the bones onto the plane of abduction, (..., 5, 3, 2).

    Fits a line through the origin with the least squared distance to the projections. Long bones have more weight, because all
    joints have similar errors.
    """
    along, across = traces[..., 0], traces[..., 1]
    return 0.5 * np.arctan2(2 * (along * across).sum(-1), (along**2 - across**2).sum(-1))
