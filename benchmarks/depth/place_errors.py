"""Position errors of hands and the calibration of their covariance, for one hand and in tables of many hands."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks import metrics
from hand_mesh_ros.core.geometry.camera import project
from hand_mesh_ros.core.geometry.rays import ray_extent
from hand_mesh_ros.core.hand.model import bone_lengths
from hand_mesh_ros.core.topology import WRIST
from hand_mesh_ros.core.types import HandEstimate

PLACE = ("wrist, median [mm]", "wrist, 90 % [mm]", "joints, mean [mm]", "wrist inside [%]", "joints inside [%]")
SIZE = ("size error, median [%]", "estimated [%]", "keypoint distances, median [%]")
_CHI2_90 = 6.251  # of three dimensions


@dataclass(frozen=True)
class Error:
    """Errors of one hand in one image."""

    joints_m: np.ndarray  # (21, 3) estimate minus truth
    inside: np.ndarray  # (21,) bool: the error is inside the estimated 90 % ellipsoid
    log_size: float  # logarithm of estimated over true size
    rel_std: float  # estimated relative standard deviation of the size
    log_apart: float  # logarithm of the detected over the true extent of the keypoints
    has_object: bool

    @classmethod
    def of(cls, estimate: HandEstimate, joints_m: np.ndarray, camera_matrix: np.ndarray, has_object: bool = False) -> "Error":
        """Compares an estimate with true joints (21, 3), for a camera matrix (3, 3)."""
        error = estimate.joints_m - joints_m
        inside = metrics.mahalanobis2(error, estimate.joint_covariance_m2) < _CHI2_90
        log_size = np.log(bone_lengths(estimate.joints_m).sum() / bone_lengths(joints_m).sum())
        log_apart = np.log(ray_extent(estimate.keypoints_px) / ray_extent(project(joints_m, camera_matrix)))
        return cls(error, inside, float(log_size), estimate.scale_rel_std, float(log_apart), has_object)

    @property
    def wrist_m(self) -> float:
        """Distance between the estimated and the true wrist."""
        return float(np.linalg.norm(self.joints_m[WRIST]))


def cells(errors: Sequence[Error]) -> list[str]:
    """Returns the cells of the columns `PLACE` and `SIZE`."""
    if not errors:
        return [""] * (len(PLACE) + len(SIZE))
    wrists = 1e3 * np.array([error.wrist_m for error in errors])
    joints = 1e3 * np.mean([np.linalg.norm(error.joints_m, axis=-1).mean() for error in errors])
    inside = 100 * np.array([error.inside for error in errors])
    size = 100 * np.median(np.abs([error.log_size for error in errors]))
    stated = 100 * np.median([error.rel_std for error in errors])
    lengths = (np.median(wrists), np.quantile(wrists, 0.9), joints)
    shares = (inside[:, WRIST].mean(), inside.mean())
    apart = 100 * np.median([error.log_apart for error in errors])
    figures = [*(f"{value:.1f}" for value in lengths), *(f"{value:.0f}" for value in shares)]
    return [*figures, f"{size:.1f}", f"{stated:.1f}", f"{apart:+.1f}"]
