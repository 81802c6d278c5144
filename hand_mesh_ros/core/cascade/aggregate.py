"""Combines many hypotheses to one hand: weights, modes, and the mean and spread of the main mode.

A mean over two clearly different hypotheses is not a possible hand. So similar hypotheses are first grouped into modes. Only the
mode with the largest weight, mode 0, is averaged. The spread is not the error. `calibration` converts the spread to the error.
"""

from dataclasses import dataclass, replace

import numpy as np

from hand_mesh_ros.core.geometry import rigid, rotations
from hand_mesh_ros.core.geometry.mirror import mirror_covariances, mirror_points, mirror_rotations
from hand_mesh_ros.core.hand.wrist_frame import wrist_rotation
from hand_mesh_ros.core.topology import BONES, WRIST
from hand_mesh_ros.core.types import Hypotheses

# If the mean joint distance of two hypotheses with the same centre and axes is larger than this, their modes are different [m].
# Samples of one mode have distances of 5 to 15 mm. If one finger bends to the other side in depth, its joints move 20 to 40 mm.
MODE_DISTANCE_M = 0.025
# A residual of this share of the extent of the hand in the image reduces the log weight by one half. The influence is small,
# because the samples were already conditioned on the keypoints.
_RESIDUAL_SHARE = 0.06


@dataclass(frozen=True)
class Spread:
    """Spread of the hypotheses of the main mode: unbiased sample covariances, zero for a single hypothesis."""

    n_samples: float  # effective number of samples: this number of samples with equal weights gives the same information
    articulation_m2: np.ndarray  # (21, 3, 3) after similarity alignment of the hand
    relative_m2: np.ndarray  # (21, 3, 3) about the centre of the hand, including rotation and size
    rotation: np.ndarray  # (3, 3) rad^2 of the wrist frame, about the camera's axes
    vertices_m2: np.ndarray  # (V,) per axis, after similarity alignment

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

    def with_shape(self, joints_m: np.ndarray, vertices_m: np.ndarray) -> "Aggregate":
        """The right hand with fitted joints (21, 3) and vertices (V, 3), wrist in the origin."""
        return replace(self, joints_m=joints_m, vertices_m=vertices_m, wrist_rotation=wrist_rotation(joints_m), is_fitted=True)

    def mirrored(self) -> "Aggregate":
        """The hand of the other side: reflection in the plane x = 0 of the camera."""
        return replace(
            self,
            joints_m=mirror_points(self.joints_m),
            vertices_m=mirror_points(self.vertices_m),
            wrist_rotation=mirror_rotations(self.wrist_rotation),
            spread=self.spread.mirrored(),
            hypotheses_m=mirror_points(self.hypotheses_m),
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
    distance = np.linalg.norm(centred[:, None] - centred[None], axis=-1).mean(-1)
    is_near = (distance < distance_m) | np.eye(len(joints_m), dtype=bool)
    label = np.full(len(joints_m), -1)
    while np.any(label < 0):
        free = label < 0
        mass = (is_near & free) @ weights
        leader = int(np.argmax(np.where(free, mass, -1.0)))
        label[is_near[leader] & free] = label.max() + 1
    heaviest_first = np.argsort(-np.bincount(label, weights), kind="stable")
    return np.argsort(heaviest_first)[label]


def aggregate(hypotheses: Hypotheses, vertices_m: np.ndarray, weights: np.ndarray, translations_m: np.ndarray) -> Aggregate:
    """Mean and spread of the main mode.

    Args:
        hypotheses: skeletons of one right hand; only the joints are used.
        vertices_m: (K, V, 3) meshes of the hypotheses, same axes and origin.
        weights: (K,) with sum 1.
        translations_m: (K, 3) of the hypotheses in the camera.
    """
    mode = find_modes(hypotheses.joints_m, weights)
    main = mode == 0
    share = weights[main] / weights[main].sum()
    skeletons, meshes = hypotheses.joints_m[main].astype(np.float64), vertices_m[main]
    joints, vertices = _mean(skeletons, meshes, share)
    return Aggregate(
        joints_m=joints - joints[WRIST],
        vertices_m=vertices - joints[WRIST],
        wrist_rotation=wrist_rotation(joints),
        spread=_spread(skeletons, meshes, joints, vertices, share),
        weights=weights,
        mode=mode,
        hypotheses_m=hypotheses.joints_m + translations_m[:, None],
    )


def _mean(skeletons: np.ndarray, meshes: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean skeleton (21, 3) and mesh (V, 3) of hypotheses. First the hypotheses are rotated onto their mean.

    A plain mean of bones with different directions is too short. The rotation corrects most of this, the scale the remainder.
    """
    plain = np.tensordot(share, skeletons, axes=1)
    rotation, translation, _ = rigid.align(skeletons, plain)
    joints = np.tensordot(share, rigid.transform(skeletons, rotation, translation), axes=1)
    vertices = np.tensordot(share, rigid.transform(meshes, rotation, translation), axes=1)
    growth = share @ _size(skeletons) / _size(joints)
    return joints * growth, vertices * growth


def _size(joints: np.ndarray) -> np.ndarray:
    """Sum of the bone lengths, (...,)."""
    return np.linalg.norm(joints[..., BONES[:, 1], :] - joints[..., BONES[:, 0], :], axis=-1).sum(-1)


def _spread(skeletons: np.ndarray, meshes: np.ndarray, joints: np.ndarray, vertices: np.ndarray, share: np.ndarray) -> Spread:
    n_samples = 1 / np.sum(share**2)
    # The samples are nearer to their own mean than to the true mean.
    unbiased = n_samples / (n_samples - 1) if n_samples > 1.5 else 0.0
    onto_mean = rigid.align(skeletons, joints, with_scale=True)
    aligned = rigid.transform(skeletons, *onto_mean) - joints
    relative = skeletons - skeletons.mean(1, keepdims=True) - (joints - joints.mean(0))
    turned = rotation_vectors(skeletons, joints)
    vertex_variance = np.einsum("k,kvc->v", share, (rigid.transform(meshes, *onto_mean) - vertices) ** 2) / 3
    return Spread(
        n_samples=float(n_samples),
        articulation_m2=unbiased * np.einsum("k,kjr,kjs->jrs", share, aligned, aligned),
        relative_m2=unbiased * np.einsum("k,kjr,kjs->jrs", share, relative, relative),
        rotation=unbiased * np.einsum("k,kr,ks->rs", share, turned, turned),
        vertices_m2=unbiased * vertex_variance,
    )


def rotation_vectors(skeletons: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """Rotation vectors (K, 3) [rad], camera axes, from the wrist frame of a right hand (21, 3) to others (K, 21, 3)."""
    return rotations.small_vectors(wrist_rotation(skeletons) @ wrist_rotation(joints).T)
