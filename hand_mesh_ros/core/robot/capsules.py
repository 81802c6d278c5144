"""Capsules of a hand, one per bone: obstacles for a motion planner. A capsule contains the skin around its bone and a margin."""

from dataclasses import dataclass

import numpy as np

from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.topology import BONES
from hand_mesh_ros.core.types import HandEstimate


@dataclass(frozen=True)
class Capsules:
    """20 capsules in the order of `topology.BONES`. A capsule is all points nearer than the radius to the segment start-end."""

    starts_m: np.ndarray  # (20, 3)
    ends_m: np.ndarray  # (20, 3)
    radii_m: np.ndarray  # (20,)


class HandCapsules:
    """Computes the capsules of hands of one hand model."""

    def __init__(self, model: HandModel) -> None:
        """Assigns every vertex of the flat hand to the nearest bone."""
        starts, ends = model.joints_m[BONES.T]
        self._bone = np.argmin(distances_m(model.template_m[:, None], starts, ends), axis=-1)

    def of(self, estimate: HandEstimate, k_sigma: float = 0.0) -> Capsules:
        """The capsules of a hand. All capsules together contain the whole mesh.

        Args:
            estimate: estimate of a hand with this hand model, in any frame.
            k_sigma: each radius is the radius of the skin plus this number of standard deviations of the joints of the bone. The
                joint with the larger standard deviation is used, in its worst direction.

        Raises:
            ValueError: if `k_sigma` is negative or not finite.
        """
        if not 0 <= k_sigma < np.inf:
            raise ValueError(f"k_sigma is {k_sigma}, expected a finite number of at least 0")
        starts, ends = estimate.joints_m[BONES.T]
        reach = distances_m(estimate.vertices_m, starts[self._bone], ends[self._bone])
        radii = np.zeros(len(BONES))
        np.maximum.at(radii, self._bone, reach)
        joint_std = np.sqrt(np.maximum(np.linalg.eigvalsh(estimate.joint_covariance_m2)[:, -1], 0))
        return Capsules(starts, ends, radii + k_sigma * joint_std[BONES].max(-1))


def distances_m(points: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Distances (...,) of points to segments. `points`, `starts` and `ends` (..., 3) broadcast against each other."""
    bones = ends - starts
    squared = np.maximum((bones**2).sum(-1), 1e-12)
    share = np.clip(((points - starts) * bones).sum(-1) / squared, 0, 1)
    return np.linalg.norm(points - starts - share[..., None] * bones, axis=-1)
