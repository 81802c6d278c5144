"""Draws docs/images/gallery.jpg: an image of the synthetic camera and what the chain and the graph diffusion make of it.

.venv/bin/python docs/draw_gallery.py
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.geometry.camera import project
from hand_mesh_ros.core.geometry.rotations import from_vector
from hand_mesh_ros.core.graph.reconstruct import Effort, HandReconstructor
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.topology import BONES
from hand_mesh_ros.core.types import Frame, HandEstimate
from hand_mesh_ros.synthetic.camera import SyntheticCamera
from hand_mesh_ros.synthetic.render import Light, render
from hand_mesh_ros.viewer.overlay import JOINT_COLOURS, draw_overlay, draw_text

PICTURE = Path(__file__).parent / "images/gallery.jpg"
SIZE, HFOV_DEG, MOMENT_S = (400, 300), 40.0, 7.5
SKIN, DARK = (0.75, 0.45, 0.3), 24
SIDE_RAD = np.array([0.0, -1.0, 0.0])
# The 90 % ellipse of a plane Gaussian, in standard deviations.
ELLIPSE_90 = 2.146
N_HYPOTHESES, SPREAD_M, AWAY_M, NEAR_M = 3, 0.13, 0.68, 0.38
TINTS = ((0.75, 0.45, 0.3), (0.35, 0.5, 0.7), (0.45, 0.65, 0.4))
TITLES = (
    "1 image",
    "2 keypoints and estimate",
    "3 mesh",
    "4 ellipses of 90 %",
    "5 hypotheses of the joints, from the side",
    "6 surfaces of reconstruct, from the side",
)


def shaded(vertices: np.ndarray, faces: np.ndarray, colours: np.ndarray, k: np.ndarray, background: np.ndarray) -> np.ndarray:
    """A mesh before a background, (H, W, 3) uint8."""
    return render(vertices, faces, colours, k, SIZE, Light(shadows=True), background).rgb


def with_ellipses(rgb: np.ndarray, hand: HandEstimate, k: np.ndarray) -> np.ndarray:
    """The uncertainty of each joint within the hand, projected into the image."""
    image, pixels = np.ascontiguousarray(rgb).copy(), project(hand.joints_m, k)
    for joint, covariance, centre, colour in zip(hand.joints_m, hand.articulation_covariance_m2, pixels, JOINT_COLOURS):
        jacobian = (k[:2] - centre[:, None] * k[2]) / joint[2]  # of the projection
        variances, axes = np.linalg.eigh(jacobian @ covariance @ jacobian.T)
        radii = np.maximum(ELLIPSE_90 * np.sqrt(variances), 1)
        angle = float(np.degrees(np.arctan2(axes[1, 0], axes[0, 0])))
        cv2.ellipse(image, (tuple(centre.tolist()), tuple((2 * radii).tolist()), angle), colour.tolist(), 2, cv2.LINE_AA)
    return image


def hypotheses(hand: HandEstimate, k: np.ndarray) -> np.ndarray:
    """The skeletons of all hypotheses in the colours of the fingers, seen from the side: they differ most along the view."""
    image, middle = np.full((*SIZE[::-1], 3), DARK, np.uint8), hand.joints_m.mean(0)
    for joints in hand.hypotheses_m:
        pixels = project((joints - middle) @ from_vector(SIDE_RAD).T + [0, 0, NEAR_M], k)
        for parent, child in BONES:
            ends = (tuple(np.round(pixels[joint] * 16).astype(int).tolist()) for joint in (parent, child))
            cv2.line(image, *ends, JOINT_COLOURS[child].tolist(), 1, cv2.LINE_AA, 4)
    return image


def reconstructed(frame: Frame, config: PipelineConfig) -> np.ndarray:
    """Surfaces that the graph diffusion samples for the hand, next to each other, the most likely first."""
    reconstructor = HandReconstructor(default_models_dir(), config)
    (hand,) = reconstructor(frame, Effort(N_HYPOTHESES, 10, 0, fit=False))
    best = np.argsort(-hand.weights)
    middle = hand.vertices_m[best[0]].mean(0)
    places = [((number - 1) * SPREAD_M, 0, AWAY_M) for number in range(N_HYPOTHESES)]
    surfaces = [(hand.vertices_m[index] - middle) @ from_vector(SIDE_RAD).T + place for index, place in zip(best, places)]
    faces, n_vertices = reconstructor.graph.hand.faces, len(surfaces[0])
    joined = np.concatenate([faces + number * n_vertices for number in range(N_HYPOTHESES)])
    colours = np.repeat(TINTS, n_vertices, axis=0)
    return shaded(np.concatenate(surfaces), joined, colours, frame.camera_matrix, np.full_like(frame.rgb, DARK))


def panels() -> Sequence[np.ndarray]:
    """The pictures in the order of `TITLES`."""
    pipeline = HandMeshPipeline.default("cpu", threads=1)
    camera = SyntheticCamera(pipeline.hand_model, SIZE, HFOV_DEG)
    rgb, k = camera.at(MOMENT_S).rgb, camera.camera_matrix
    (hand,) = pipeline.estimate(Frame(rgb, k), alone=True)
    colours = np.tile(SKIN, (len(hand.vertices_m), 1))
    mesh = shaded(hand.vertices_m, pipeline.hand_model.faces, colours, k, rgb)
    return (
        rgb,
        draw_overlay(rgb, [hand], k),
        mesh,
        with_ellipses(rgb, hand, k),
        hypotheses(hand, k),
        reconstructed(Frame(rgb, k), pipeline.config),
    )


def main() -> None:
    """Draws the picture."""
    drawn = []
    for title, panel in zip(TITLES, panels()):
        image = np.ascontiguousarray(panel).copy()
        draw_text(image, title, (10, 22), (245, 245, 245), 1)
        drawn.append(image)
    rows = [np.concatenate(drawn[start : start + 3], axis=1) for start in (0, 3)]
    cv2.imwrite(str(PICTURE), np.concatenate(rows)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main()
