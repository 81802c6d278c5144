"""The values of an estimate that are filtered from image to image."""

from dataclasses import dataclass, replace

import numpy as np

from hand_mesh_ros.core.topology import WRIST
from hand_mesh_ros.core.types import HandEstimate


@dataclass(frozen=True)
class Shape:
    """Wrist position, wrist rotation and articulation of one hand."""

    position_m: np.ndarray  # (3,) of the wrist in the camera; 0 without calibration
    rotation: np.ndarray  # (3, 3) camera_from_wrist
    points_m: np.ndarray  # (21 + V, 3) joints and vertices in the wrist frame; all points get the same filter weight

    @classmethod
    def of(cls, estimate: HandEstimate) -> "Shape":
        position, rotation = estimate.joints_m[WRIST], estimate.wrist_pose[:3, :3]
        points = np.concatenate([estimate.joints_m, estimate.vertices_m])
        return cls(position, rotation, (points - position) @ rotation)

    def applied_to(self, estimate: HandEstimate) -> HandEstimate:
        """`estimate` with this position, rotation and articulation. The hypotheses get the same change."""
        was, n_joints = Shape.of(estimate), len(estimate.joints_m)
        points = self.points_m @ self.rotation.T + self.position_m
        change = (self.points_m - was.points_m)[:n_joints]
        hypotheses = (estimate.hypotheses_m - was.position_m) @ was.rotation + change
        pose = estimate.wrist_pose.copy()
        pose[:3, :3] = self.rotation
        if np.isfinite(pose[:3, 3]).all():
            pose[:3, 3] = self.position_m
        return replace(
            estimate,
            joints_m=points[:n_joints],
            vertices_m=points[n_joints:],
            hypotheses_m=hypotheses @ self.rotation.T + self.position_m,
            wrist_pose=pose,
        )
