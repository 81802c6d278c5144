"""Pinhole camera: conversion between pixels and rays, lens distortion, and the virtual camera that points at a hand."""

import cv2
import numpy as np

from hand_mesh_ros.core.geometry import lens
from hand_mesh_ros.core.geometry.lens import Distortion
from hand_mesh_ros.core.geometry.rotations import cross, lengths

# Assumed field of view of an uncalibrated camera, over the longer side: a common value of webcams and phones. A wrong value
# changes shapes little and positions a lot. So no positions are reported for an uncalibrated camera.
ASSUMED_FOV_RAD = np.deg2rad(60.0)


def is_calibrated(camera_matrix: np.ndarray) -> bool:
    """False for the all-zero K, which means "not calibrated" in `sensor_msgs/CameraInfo`."""
    return bool(camera_matrix[0, 0] > 0 and camera_matrix[1, 1] > 0)


def assumed_camera_matrix(width: int, height: int) -> np.ndarray:
    """K, (3, 3), for an uncalibrated camera: `ASSUMED_FOV_RAD` over the longer side, principal point in the image centre."""
    focal = 0.5 * max(width, height) / np.tan(0.5 * ASSUMED_FOV_RAD)
    return np.array([[focal, 0, 0.5 * (width - 1)], [0, focal, 0.5 * (height - 1)], [0, 0, 1]])


def rays_from_pixels(pixels: np.ndarray, camera_matrix: np.ndarray, distortion: Distortion = None) -> np.ndarray:
    """Undistorted rays x/z, y/z of pixels, (N, 2), always finite. `sights` also gives which of them can be trusted.

    Args:
        pixels: (N, 2) in the image.
        camera_matrix: (3, 3).
        distortion: of the lens; None for a rectified image.
    """
    return sights(pixels, camera_matrix, distortion)[0]


def sights(pixels: np.ndarray, camera_matrix: np.ndarray, distortion: Distortion = None) -> tuple[np.ndarray, np.ndarray]:
    """Rays as in `rays_from_pixels`, and (N,) bool: False if the lens model does not reach the pixel. Then the ray is a guess."""
    points = np.asarray(pixels, np.float64).reshape(-1, 1, 2)
    positions = cv2.undistortPoints(points, np.asarray(camera_matrix, np.float64), None).reshape(-1, 2)
    if distortion is None or lens.is_plain(distortion):
        return positions, np.ones(len(positions), bool)
    return lens.undistort(positions, distortion)


def project(points: np.ndarray, camera_matrix: np.ndarray, distortion: Distortion = None) -> np.ndarray:
    """Pixels of points in front of the camera, (..., 2). A point that the lens model does not reach is not inside the image.

    Args:
        points: (..., 3) in the optical frame, z > 0; any z for a fisheye.
        camera_matrix: (3, 3).
        distortion: as in `rays_from_pixels`.
    """
    matrix = np.asarray(camera_matrix)
    if distortion is None or lens.is_plain(distortion):
        pixels = points @ matrix.T
        return pixels[..., :2] / pixels[..., 2:]
    positions = lens.distort(np.reshape(points, (-1, 3)), distortion)
    return (positions @ matrix[:2, :2].T + matrix[:2, 2]).reshape(*np.shape(points)[:-1], 2)


def sight_from_camera(ray: np.ndarray) -> np.ndarray:
    """Smallest rotation, (..., 3, 3), from a ray (..., 2) x/z, y/z to the optical axis."""
    ahead = np.concatenate([ray, np.ones((*ray.shape[:-1], 1))], -1)
    x, y, z = np.moveaxis(ahead / np.linalg.norm(ahead, axis=-1, keepdims=True), -1, 0)
    # Rodrigues' formula. The axis is perpendicular to the ray and to the optical axis. Rays point forward, so 1 + z is never 0.
    return np.stack(
        [
            np.stack([1 - x * x / (1 + z), -x * y / (1 + z), -x], -1),
            np.stack([-x * y / (1 + z), 1 - y * y / (1 + z), -y], -1),
            np.stack([x, y, z], -1),
        ],
        -2,
    )


def virtual_from_camera(centre_ray: np.ndarray, up_ray: np.ndarray) -> np.ndarray:
    """Rotation, (..., 3, 3), into a virtual camera at the same position. Its optical axis is `centre_ray`; `up_ray` is above.

    In the virtual camera a hand is always centred and upright. So the models need not learn the hand position in the image.

    Args:
        centre_ray: (..., 2) x/z, y/z of the ray that becomes the image centre.
        up_ray: (..., 2) x/z, y/z of the ray that becomes the negative y axis. If both rays are equal, the roll is kept.
    """
    ahead = np.ones((*centre_ray.shape[:-1], 1))
    forward = np.concatenate([centre_ray, ahead], -1)
    forward /= lengths(forward)[..., None]
    down = _without(np.concatenate([centre_ray - up_ray, 0 * ahead], -1), forward)
    coincide = lengths(down)[..., None] < 1e-6
    down = np.where(coincide, _without(np.broadcast_to([0.0, 1.0, 0.0], forward.shape), forward), down)
    down /= lengths(down)[..., None]
    return np.stack([cross(down, forward), down, forward], axis=-2)


def _without(vectors: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Components of vectors (..., 3) perpendicular to unit directions (..., 3)."""
    return vectors - directions * (vectors * directions).sum(-1, keepdims=True)
