"""A hand as capsules, one per bone: what a motion planner keeps away from. Each holds the skin around its bone and some doubt."""

from dataclasses import dataclass

import numpy as np

from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.topology import BONES
from hand_mesh_ros.core.types import HandEstimate


@dataclass(frozen=True)
class Capsules:
    """20 capsules in the order of `topology.BONES`; all points nearer than the radius to the segment from start to end."""

    starts_m: np.ndarray  # (20, 3)
    ends_m: np.ndarray  # (20, 3)
    radii_m: np.ndarray  # (20,)


class HandCapsules:
    """Makes the capsules of hands of one model."""

    def __init__(self, model: HandModel) -> None:
        """Gives every vertex of the flat hand to the nearest bone."""
        starts, ends = model.joints_m[BONES.T]
        self._bone = np.argmin(distances_m(model.template_m[:, None], starts, ends), axis=-1)

    def of(self, estimate: HandEstimate, k_sigma: float = 0.0) -> Capsules:
        """The capsules of a hand; together they hold its whole mesh.

        Args:
            estimate: of a hand of this model, in any frame.
            k_sigma: each radius is that of the skin and this many standard deviations of the bone's ends, of the worse one in its
                worst direction.

        Raises:
            ValueError: if `k_sigma` is negative or not finite.
        """
        if not 0 <= k_sigma < np.inf:
            raise ValueError(f"k_sigma is {k_sigma}, expected 0 or more")
        starts, ends = estimate.joints_m[BONES.T]
        reach = distances_m(estimate.vertices_m, starts[self._bone], ends[self._bone])
        radii = np.zeros(len(BONES))
        np.maximum.at(radii, self._bone, reach)
        joint_std = np.sqrt(np.maximum(np.linalg.eigvalsh(estimate.joint_covariance_m2)[:, -1], 0))
        return Capsules(starts, ends, radii + k_sigma * joint_std[BONES].max(-1))


def distances_m(points: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Distances (...,) of points to segments, all (..., 3) broadcast against each other."""
    bones = ends - starts
    squared = np.maximum((bones**2).sum(-1), 1e-12)
    share = np.clip(((points - starts) * bones).sum(-1) / squared, 0, 1)
    return np.linalg.norm(points - starts - share[..., None] * bones, axis=-1)
