"""Where in a camera a skeleton of known shape is: rotation and translation from the rays of its joints."""

from dataclasses import dataclass

import numpy as np

from hand_mesh_ros.core import locate
from hand_mesh_ros.core.kinematics import rotation_about

_STEPS = 4
_NEAR_M = 0.03
# Keeps a step finite where the rays leave a direction open, as a share of what they tell on the whole.
_DAMPING = 1e-6


@dataclass(frozen=True)
class Pose:
    """Rotations and translations that bring points from the palm frame into that of the camera."""

    rotation: np.ndarray  # (n, 3, 3) camera_from_palm
    translation_m: np.ndarray  # (n, 3)

    def place(self, points_m: np.ndarray) -> np.ndarray:
        """Points (n, P, 3) in the camera frame."""
        return points_m @ np.swapaxes(self.rotation, -1, -2) + self.translation_m[:, None]


def solve_pose(joints_m: np.ndarray, rays: np.ndarray, weights: np.ndarray, rotation: np.ndarray) -> Pose:
    """Poses with the least weighted squared distance between joints and rays in the plane z = 1.

    The translation starts from `locate.translate`'s closed form; then both are refined by Gauss-Newton steps. The rotation is
    found near its first guess only: far off, the rays have a second, mirrored explanation.

    Args:
        joints_m: (n, 21, 3) in any frame.
        rays: (21, 2) undistorted x/z, y/z.
        weights: (21,) at least 0, one of them larger.
        rotation: (n, 3, 3) first guess.

    Raises:
        ValueError: if a ray or weight is not finite, or no weight is positive.
    """
    turned = joints_m @ np.swapaxes(rotation, -1, -2)
    pose = Pose(rotation, locate.translate(turned, rays, weights)[0])
    for _ in range(_STEPS):
        refined = _refined(pose, joints_m, rays, weights)
        is_better = _error(refined, joints_m, rays, weights) <= _error(pose, joints_m, rays, weights)
        pose = Pose(
            np.where(is_better[:, None, None], refined.rotation, pose.rotation),
            np.where(is_better[:, None], refined.translation_m, pose.translation_m),
        )
    return pose


def _error(pose: Pose, joints_m: np.ndarray, rays: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted squared distance in the plane z = 1, (n,); infinite for a pose behind the camera."""
    placed = pose.place(joints_m)
    distance = ((placed[..., :2] / np.maximum(placed[..., 2:], _NEAR_M) - rays) ** 2).sum(-1)
    return np.where(placed[..., 2].min(-1) > _NEAR_M, (weights * distance).sum(-1), np.inf)


def _refined(pose: Pose, joints_m: np.ndarray, rays: np.ndarray, weights: np.ndarray) -> Pose:
    placed = pose.place(joints_m)
    depth = np.maximum(placed[..., 2:], _NEAR_M)
    seen = placed[..., :2] / depth
    by_point = np.zeros((*seen.shape, 3))
    by_point[..., 0, 0] = by_point[..., 1, 1] = 1 / depth[..., 0]
    by_point[..., 2] = -seen / depth
    # A turn w about the skeleton's origin moves a joint p by w x p.
    arm = placed - pose.translation_m[:, None]
    by_turn = np.cross(arm[..., None, :], by_point)
    slopes = np.concatenate([by_turn, by_point], -1).reshape(len(placed), -1, 6)
    weight = np.repeat(weights, 2)[:, None]
    # Metres and radians are brought to one scale before damping.
    information = np.swapaxes(slopes, -1, -2) @ (weight * slopes)
    scale = 1 / np.sqrt(np.maximum(np.diagonal(information, axis1=-2, axis2=-1), 1e-12))
    scaled = scale[:, :, None] * information * scale[:, None, :] + _DAMPING * np.eye(6)
    pull = np.swapaxes(slopes, -1, -2) @ (weight * (rays - seen).reshape(len(placed), -1, 1))
    step = scale * np.linalg.solve(scaled, scale[:, :, None] * pull)[..., 0]
    angle = np.linalg.norm(step[:, :3], axis=-1)
    turn = rotation_about(step[:, :3] / np.maximum(angle, 1e-12)[:, None], angle)
    return Pose(turn @ pose.rotation, pose.translation_m + step[:, 3:])
