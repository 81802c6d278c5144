"""Combines many hypotheses to one hand: weights, modes, and the mean and spread of the main mode.

A mean over two clearly different hypotheses is not a possible hand. So similar hypotheses are first grouped into modes. Only the
mode with the largest weight, mode 0, is averaged. The spread is not the error. `calibration` converts the spread to the error.
"""

from dataclasses import dataclass, replace

import numpy as np

from hand_mesh_ros.core.geometry import rigid, rotations
from hand_mesh_ros.core.geometry.mirror import mirror_covariances, mirror_points, mirror_rotations
from hand_mesh_ros.core.geometry.rotations import lengths
from hand_mesh_ros.core.hand.model import bone_lengths
from hand_mesh_ros.core.hand.wrist_frame import wrist_rotation
from hand_mesh_ros.core.topology import WRIST
from hand_mesh_ros.core.types import Hypotheses

# If the mean joint distance of two hypotheses with the same centre and axes is larger than this, their modes are different [m].
# Samples of one mode have distances of 5 to 15 mm. If one finger bends to the other side in depth, its joints move 20 to 40 mm.
MODE_DISTANCE_M = 0.025
# A residual of this share of the extent of the hand in the image reduces the log weight by one half. The influence is small,
# because the samples were already conditioned on the keypoints.
_RESIDUAL_SHARE = 0.06
# Weight of the mesh against the skeleton in the shape of the hand. The two stages make partly independent errors, so the mean is
# more accurate than each of them. Chosen on rendered hands.
_MESH_SHARE = 0.5


@dataclass(frozen=True)
class Spread:
    """Spread of the hypotheses of the main mode: unbiased sample covariances, zero for a single hypothesis."""

    n_samples: float  # effective number of samples: this number of samples with equal weights gives the same information
    articulation_m2: np.ndarray  # (21, 3, 3) after similarity alignment of the hand
    relative_m2: np.ndarray  # (21, 3, 3) about the centre of the hand, including rotation and size
    rotation: np.ndarray  # (3, 3) rad^2 of the wrist frame, about the camera's axes
    vertices_m2: np.ndarray  # (V,) per axis, after similarity alignment; from the joints that move each vertex

    def mirrored(self) -> "Spread":
        """The spread of the mirrored hand."""
        # The reflection of a rotation vector has the opposite sign, but its covariance does not depend on the sign.
        return replace(
            self,
            articulation_m2=mirror_covariances(self.articulation_m2),
            relative_m2=mirror_covariances(self.relative_m2),
            rotation=mirror_covariances(self.rotation),
        )


@dataclass(frozen=True)
class Aggregate:
    """The main mode of the hypotheses of a hand; camera axes, wrist in the origin, average adult size.

    The hand is a right hand. `mirrored` converts a right hand to a left hand.
    """

    joints_m: np.ndarray  # (21, 3)
    vertices_m: np.ndarray  # (V, 3)
    wrist_rotation: np.ndarray  # (3, 3) camera_from_wrist
    spread: Spread
    weights: np.ndarray  # (K,) sum to 1
    mode: np.ndarray  # (K,) int, 0 is the mode with the largest weight
    hypotheses_m: np.ndarray  # (K, 21, 3) each placed on the rays in the camera, at average size
    is_fitted: bool = False  # True if the 2D fit has changed joints and vertices
    from_rays_m: np.ndarray | None = None  # (3,) of the wrist, from the rays of the joints; None if not computed yet

    def with_shape(self, joints_m: np.ndarray, vertices_m: np.ndarray) -> "Aggregate":
        """The right hand with fitted joints (21, 3) and vertices (V, 3), wrist in the origin."""
        turned = wrist_rotation(joints_m)
        return replace(self, joints_m=joints_m, vertices_m=vertices_m, wrist_rotation=turned, is_fitted=True, from_rays_m=None)

    def mirrored(self) -> "Aggregate":
        """The hand of the other side: reflection in the plane x = 0 of the camera."""
        return replace(
            self,
            joints_m=mirror_points(self.joints_m),
            vertices_m=mirror_points(self.vertices_m),
            wrist_rotation=mirror_rotations(self.wrist_rotation),
            spread=self.spread.mirrored(),
            hypotheses_m=mirror_points(self.hypotheses_m),
            from_rays_m=None if self.from_rays_m is None else mirror_points(self.from_rays_m),
        )


def weigh(log_weight: np.ndarray, residual: np.ndarray, extent: float) -> np.ndarray:
    """Weights of hypotheses, (K,), with sum 1.

    Args:
        log_weight: (K,) from the sampler.
        residual: (K,) distance to the keypoints in the plane z = 1; inf excludes a hypothesis.
        extent: extent of the hand in the plane z = 1, from `rays.ray_extent`.

    Raises:
        ValueError: if every hypothesis is excluded.
    """
    total = log_weight - 0.5 * (residual / (_RESIDUAL_SHARE * max(extent, 1e-6))) ** 2
    if not np.max(total) > -np.inf:
        raise ValueError(f"none of {len(total)} hypotheses can be placed: residuals {residual.tolist()}")
    weights = np.exp(total - np.max(total))
    return weights / weights.sum()


def find_modes(joints_m: np.ndarray, weights: np.ndarray, distance_m: float = MODE_DISTANCE_M) -> np.ndarray:
    """Mode of each hypothesis, (K,) int. Mode 0 has the largest weight.

    The first mode contains the hypothesis whose neighbours have the largest total weight, and all hypotheses nearer to this
    hypothesis than `distance_m`. The next modes are found in the same way among the remaining hypotheses. Skeletons are compared
    in camera axes, because the tilt towards or away from the camera is the most frequent difference.

    Args:
        joints_m: (K, 21, 3).
        weights: (K,).
        distance_m: mean distance of the joints.
    """
    centred = joints_m - joints_m.mean(1, keepdims=True)
    distance = lengths(centred[:, None] - centred[None]).mean(-1)
    is_near = (distance < distance_m) | np.eye(len(joints_m), dtype=bool)
    if is_near.all():
        return np.zeros(len(joints_m), int)
    label = np.full(len(joints_m), -1)
    while np.any(label < 0):
        free = label < 0
        mass = (is_near & free) @ weights
        leader = int(np.argmax(np.where(free, mass, -1.0)))
        label[is_near[leader] & free] = label.max() + 1
    heaviest_first = np.argsort(-np.bincount(label, weights), kind="stable")
    return np.argsort(heaviest_first)[label]


@dataclass(frozen=True)
class MainMode:
    """The modes of K hypotheses, and the mean skeleton of mode 0."""

    weights: np.ndarray  # (K,) sum to 1
    mode: np.ndarray  # (K,) int
    share: np.ndarray  # (K,) weights of the hypotheses of mode 0, sum to 1; 0 for all other hypotheses
    joints_m: np.ndarray  # (21, 3) mean skeleton, wrist in the origin


def main_mode(joints_m: np.ndarray, weights: np.ndarray) -> MainMode:
    """Finds the modes of skeletons (K, 21, 3) with weights (K,), and the mean of mode 0.

    A plain mean of bones with different directions is too short. So each skeleton is first rotated onto the mean, which corrects
    most of this. The scale corrects the remainder.
    """
    mode = find_modes(joints_m, weights)
    share = np.where(mode == 0, weights, 0.0)
    share /= share.sum()
    skeletons = joints_m.astype(np.float64)
    rotation, translation, _ = rigid.align(skeletons, np.tensordot(share, skeletons, axes=1))
    mean = np.tensordot(share, rigid.transform(skeletons, rotation, translation), axes=1)
    return MainMode(weights, mode, share, (mean - mean[WRIST]) * (share @ _size(skeletons) / _size(mean)))


def agreed(
    main: MainMode, vertices_m: np.ndarray, joint_regressor: np.ndarray, joint_shares: np.ndarray
) -> tuple[MainMode, np.ndarray]:
    """Moves the mean skeleton and its mesh to a common shape between them, of the size of the skeleton.

    Args:
        main: the main mode with its mean skeleton.
        vertices_m: (V, 3) the mesh of the mean skeleton.
        joint_regressor: (21, V) of the hand model.
        joint_shares: (V, 21) how much each joint moves each vertex, from `HandModel.joint_shares`.
    """
    apart = joint_regressor @ vertices_m - main.joints_m
    joints_m = main.joints_m + _MESH_SHARE * apart
    vertices_m = vertices_m - (1 - _MESH_SHARE) * (joint_shares @ apart)
    scale = _size(main.joints_m) / _size(joints_m)
    return replace(main, joints_m=scale * (joints_m - joints_m[WRIST])), scale * (vertices_m - joints_m[WRIST])


def aggregate(
    hypotheses: Hypotheses, main: MainMode, vertices_m: np.ndarray, translations_m: np.ndarray, joint_shares: np.ndarray
) -> Aggregate:
    """Combines the main mode and its spread.

    Args:
        hypotheses: skeletons of one right hand; only the joints are used.
        main: their main mode.
        vertices_m: (V, 3) the mesh of the mean skeleton.
        translations_m: (K, 3) of the hypotheses in the camera.
        joint_shares: (V, 21) how much each joint moves each vertex, from `HandModel.joint_shares`.
    """
    return Aggregate(
        joints_m=main.joints_m,
        vertices_m=vertices_m,
        wrist_rotation=wrist_rotation(main.joints_m),
        spread=_spread(hypotheses.joints_m.astype(np.float64), main, joint_shares),
        weights=main.weights,
        mode=main.mode,
        hypotheses_m=hypotheses.joints_m + translations_m[:, None],
    )


def _size(joints: np.ndarray) -> np.ndarray:
    """Sum of the bone lengths, (...,)."""
    return bone_lengths(joints).sum(-1)


def _spread(skeletons: np.ndarray, main: MainMode, joint_shares: np.ndarray) -> Spread:
    joints, share = main.joints_m, main.share
    n_samples = 1 / np.sum(share**2)
    # The samples are nearer to their own mean than to the true mean.
    unbiased = n_samples / (n_samples - 1) if n_samples > 1.5 else 0.0
    aligned = rigid.transform(skeletons, *rigid.align(skeletons, joints, with_scale=True)) - joints
    relative = skeletons - skeletons.mean(1, keepdims=True) - (joints - joints.mean(0))
    turned = rotation_vectors(skeletons, joints)
    articulation = unbiased * _second_moments(share, aligned)
    return Spread(
        n_samples=float(n_samples),
        articulation_m2=articulation,
        relative_m2=unbiased * _second_moments(share, relative),
        rotation=unbiased * (share * turned.T) @ turned,
        vertices_m2=joint_shares @ (np.trace(articulation, axis1=1, axis2=2) / 3),
    )


def _second_moments(share: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Sum of share * offset * offset^T over the skeletons, (21, 3, 3), for shares (K,) and offsets (K, 21, 3)."""
    of_joints = offsets.transpose(1, 2, 0)
    return (share * of_joints) @ of_joints.transpose(0, 2, 1)


def rotation_vectors(skeletons: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """Rotation vectors (K, 3) [rad], camera axes, from the wrist frame of a right hand (21, 3) to others (K, 21, 3)."""
    return rotations.small_vectors(wrist_rotation(skeletons) @ wrist_rotation(joints).T)
