"""Inputs of the graph diffusion for a hand: a skeleton, keypoint rays and image features. Each input may be partly missing.

Meshes are in the palm frame (`mesh_stage.palm_from_hand`), which does not contain the camera. So the rays are converted to the
axes of the palm: the offset of each joint across the line of sight, and the direction of the line of sight. The conversion needs
the rotation of the palm in the camera. Any estimate of the skeleton gives this rotation. A rotation of the camera about its
optical axis does not change the input.
"""

from dataclasses import dataclass, replace

import numpy as np

from hand_mesh_ros.core.geometry.camera import virtual_from_camera
from hand_mesh_ros.core.topology import N_JOINTS
from hand_mesh_ros.core.types import require_shape

# Offset across the line of sight (3), direction of that line (3), log of the extent in the image, confidence.
SIGHT_SIZE = 8


@dataclass(frozen=True)
class GraphCondition:
    """Inputs for n right hands. Inputs that are not given have no influence.

    Raises:
        ValueError: if an array has the wrong shape.
    """

    joints_m: np.ndarray  # (n, 21, 3) palm frame, average adult size
    joints_given: np.ndarray  # (n, 21) 1 if the joint is given, else 0
    sight: np.ndarray  # (n, 21, SIGHT_SIZE) from `line_of_sight`
    sight_given: np.ndarray  # (n, 21) 1 if the keypoint is given, else 0
    features: np.ndarray | None = None  # (n, C, h, w) image features for the image tokens of the model; a left hand is mirrored

    def __post_init__(self) -> None:
        n = len(self.joints_m)
        require_shape("joints_m", self.joints_m, (n, N_JOINTS, 3))
        require_shape("joints_given", self.joints_given, (n, N_JOINTS))
        require_shape("sight", self.sight, (n, N_JOINTS, SIGHT_SIZE))
        require_shape("sight_given", self.sight_given, (n, N_JOINTS))
        if self.features is not None:
            require_shape("features", self.features, (n, None, None, None))

    def __len__(self) -> int:
        return len(self.joints_m)

    @classmethod
    def nothing(cls, n: int) -> "GraphCondition":
        """A condition for `n` hands without any given input."""
        none_given = np.zeros((n, N_JOINTS), np.float32)
        return cls(
            np.zeros((n, N_JOINTS, 3), np.float32), none_given, np.zeros((n, N_JOINTS, SIGHT_SIZE), np.float32), none_given
        )

    def with_skeleton(self, joints_m: np.ndarray, given: np.ndarray | None = None) -> "GraphCondition":
        """Adds joints (n, 21, 3) or (21, 3) in the palm frame. `given` (21,) or (n, 21) selects joints; None for all joints."""
        given = np.ones(N_JOINTS) if given is None else given
        # A joint that is not given may be NaN.
        known = np.where(np.asarray(given, bool)[..., None], joints_m, 0.0)
        return replace(self, joints_m=self._rows(known, 2), joints_given=self._rows(given, 1))

    def with_rays(self, rays: np.ndarray, confidence: np.ndarray, palm_from_camera: np.ndarray) -> "GraphCondition":
        """Adds keypoints as rays (21, 2) with confidence (21,). `palm_from_camera` is (n, 3, 3) or (3, 3).

        Keypoints with confidence 0 are not given and may be NaN.
        """
        given = confidence > 0
        sight = line_of_sight(np.where(given[:, None], rays, 0.0), confidence, given, palm_from_camera)
        return replace(self, sight=self._rows(sight, 2), sight_given=self._rows(given, 1))

    def with_image(self, features: np.ndarray) -> "GraphCondition":
        """Adds image features (C, h, w), the same for all hands."""
        return replace(self, features=self._rows(features, 3))

    def _rows(self, array: np.ndarray, ndim: int) -> np.ndarray:
        array = np.asarray(array, np.float32)
        return np.ascontiguousarray(np.broadcast_to(array, (len(self), *array.shape[-ndim:])))


def line_of_sight(rays: np.ndarray, confidence: np.ndarray, given: np.ndarray, palm_from_camera: np.ndarray) -> np.ndarray:
    """Lines of sight of the joints in the axes of the palm, (..., 21, SIGHT_SIZE) float32.

    Args:
        rays: (..., 21, 2) undistorted x/z, y/z.
        confidence: (..., 21) in 0..1.
        given: (..., 21) 0 for joints without influence on the other joints; if all values are 0, the result is not valid.
        palm_from_camera: (..., 3, 3) rotations.
    """
    share = np.asarray(given, np.float64)
    share = share / np.maximum(share.sum(-1, keepdims=True), 1)
    centre = (share[..., None] * rays).sum(-2)
    virtual = virtual_from_camera(centre, centre)
    directions = np.concatenate([rays, np.ones((*rays.shape[:-1], 1))], -1) @ np.swapaxes(virtual, -1, -2)
    seen = directions[..., :2] / np.maximum(directions[..., 2:], 1e-3)
    extent = np.sqrt((share * (seen**2).sum(-1)).sum(-1))[..., None, None] + 1e-6
    palm_from_virtual = palm_from_camera @ np.swapaxes(virtual, -1, -2)
    across = (seen / extent) @ np.swapaxes(palm_from_virtual[..., :2], -1, -2)
    ahead = np.broadcast_to(palm_from_virtual[..., None, :, 2], across.shape)
    shape = (*across.shape[:-1], 1)
    parts = [across, ahead, np.broadcast_to(np.log(extent), shape), np.broadcast_to(confidence[..., None], shape)]
    return np.concatenate(parts, -1).astype(np.float32)
