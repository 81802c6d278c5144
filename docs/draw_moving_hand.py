"""Draws docs/images/moving_hand.webp: images of the synthetic camera with their estimates, and the estimated mesh from the side.

.venv/bin/python docs/draw_moving_hand.py
"""

from pathlib import Path

import numpy as np
from PIL import Image

from hand_mesh_ros.core.geometry.rotations import from_vector
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.types import Frame, HandEstimate
from hand_mesh_ros.synthetic.camera import SyntheticCamera
from hand_mesh_ros.synthetic.render import Light, render
from hand_mesh_ros.viewer.overlay import draw_overlay

PICTURE = Path(__file__).parent / "images/moving_hand.webp"
SIZE, RATE_HZ, SHOWN_HZ, SECONDS = (400, 300), 30, 10, 5
TURN_RAD = np.array([0.0, -1.0, 0.0])  # of the mesh in the right half
DISTANCE_M, COLOUR, BACKGROUND = 0.3, (0.75, 0.45, 0.3), 24


def from_the_side(pipeline: HandMeshPipeline, hand: HandEstimate, camera_matrix: np.ndarray) -> np.ndarray:
    """The estimated mesh, turned about a vertical axis through its centre, (H, W, 3) uint8."""
    middle = hand.joints_m.mean(0)
    vertices = (hand.vertices_m - middle) @ from_vector(TURN_RAD).T + [0, 0, DISTANCE_M]
    colours = np.tile(COLOUR, (len(vertices), 1))
    background = np.full((*SIZE[::-1], 3), BACKGROUND, np.uint8)
    faces = pipeline.hand_model.faces
    return render(vertices, faces, colours, camera_matrix, SIZE, Light(shadows=True), background).rgb


def main() -> None:
    """Draws the picture."""
    pipeline = HandMeshPipeline.default("cpu", threads=1)
    camera, frames = SyntheticCamera(pipeline.hand_model, SIZE), []
    for index in range(RATE_HZ * SECONDS):
        rgb = camera.at(index / RATE_HZ).rgb
        hands = pipeline.estimate(Frame(rgb, camera.camera_matrix, stamp_s=index / RATE_HZ))
        if index % (RATE_HZ // SHOWN_HZ) == 0 and hands:
            parts = draw_overlay(rgb, hands, camera.camera_matrix), from_the_side(pipeline, hands[0], camera.camera_matrix)
            frames.append(Image.fromarray(np.concatenate(parts, axis=1)))
    frames[0].save(
        PICTURE, save_all=True, append_images=frames[1:], duration=round(1000 / SHOWN_HZ), loop=0, quality=60, method=4
    )


if __name__ == "__main__":
    main()
