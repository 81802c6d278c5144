"""Draws docs/images/frames.png: the frame of the camera, the frames of both wrists, and the order of the joints.

.venv/bin/python docs/draw_frames.py
"""

from pathlib import Path

import numpy as np
from draw_joint_angles import draw_hand, looking_against, plt
from matplotlib.axes import Axes

from hand_mesh_ros.core.geometry.mirror import mirror_in_wrist_frame
from hand_mesh_ros.core.hand.kinematics import pose
from hand_mesh_ros.core.hand.model import FILE_NAME, HandModel
from hand_mesh_ros.core.hand.wrist_frame import wrist_rotation
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.topology import WRIST
from hand_mesh_ros.core.types import Side

PICTURE = Path(__file__).parent / "images/frames.png"
COLOURS = ("#c0392b", "#2e8b57", "#1f6fb5")  # x, y, z, as in RViz
AXIS_M = 0.06
# Corner of the image of the drawn camera, and the wrist of the hand in front of it, in the frame of the camera [m].
IMAGE_CORNER_M = np.array([0.16, 0.12, 0.34])
HAND_AT_M = np.array([0.0, 0.09, 0.48])


def draw_axes(axes: Axes, origin: np.ndarray, rotation: np.ndarray, screen: np.ndarray, length_m: float, tag: str = "") -> None:
    """Three arrows with their letters. Rotation (3, 3) has the axes as columns. An axis towards the viewer is a circle."""
    start = origin @ screen.T
    axes.update_datalim(start + 1.3 * length_m * rotation.T @ screen.T)  # arrows alone do not widen the view
    for direction, letter, colour in zip(rotation.T, "xyz", COLOURS):
        shift = length_m * direction @ screen.T
        if np.linalg.norm(shift) < 0.2 * length_m:
            axes.plot(*start, "o", color=colour, markersize=11, markerfacecolor="white", zorder=5)
            axes.plot(*start, "o", color=colour, markersize=4, zorder=6)
            axes.annotate(letter + tag, start, (-16, -10), textcoords="offset points", color=colour, fontsize=11)
            continue
        axes.annotate("", start + shift, start, arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": 2}, zorder=5)
        axes.text(*(start + 1.2 * shift), letter + tag, color=colour, fontsize=11, ha="center", va="center", zorder=6)


def draw_wrist(axes: Axes, model: HandModel, side: Side) -> None:
    """A hand with its wrist frame, seen at the palm from the direction of x. The fingers point upwards."""
    joints, vertices = pose(model, spread_fingers())
    faces = model.faces
    if side == "left":
        joints, vertices, faces = mirror_in_wrist_frame(joints), mirror_in_wrist_frame(vertices), faces[:, ::-1]
    rotation = wrist_rotation(joints, side)
    screen = looking_against(rotation[:, 0], rotation[:, 2])
    draw_hand(axes, joints, vertices, faces, screen)
    draw_axes(axes, joints[WRIST], rotation, screen, AXIS_M)
    if side == "right":
        for number, joint in enumerate(joints @ screen.T):
            axes.annotate(str(number), joint, (4, 3), textcoords="offset points", fontsize=8)
    axes.set_title(f"{side}_hand: the wrist of a {side} hand,\nseen at the palm", fontsize=10)


def draw_camera(axes: Axes, model: HandModel) -> None:
    """The camera, its image, and a raised hand whose palm looks at the camera."""
    screen = looking_against(np.array([0.8, -0.4, -0.55]), np.array([0.0, -1.0, 0.0]))
    camera = np.zeros(3)
    corners = np.array([[x, y, 1] for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1))]) * IMAGE_CORNER_M
    axes.plot(*(corners @ screen.T).T, color="#555555", linewidth=1.2)
    for corner in corners[:4]:
        axes.plot(*(np.stack([camera, corner]) @ screen.T).T, color="#bbbbbb", linewidth=0.8)
    axes.annotate("pixel (0, 0)", corners[0] @ screen.T, (-30, 8), textcoords="offset points", fontsize=9)
    # The palm (x of the model) looks at the camera, and the fingers (z of the model) point up. Then the thumb is at the right.
    camera_from_wrist = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]])
    joints, vertices = (points @ camera_from_wrist.T + HAND_AT_M for points in pose(model, spread_fingers()))
    draw_hand(axes, joints, vertices, model.faces, screen)
    draw_axes(axes, joints[WRIST], wrist_rotation(joints), screen, 0.08)
    draw_axes(axes, camera, np.eye(3), screen, 0.1)
    axes.set_title("the optical frame of the camera,\nand a raised right hand", fontsize=10)


def spread_fingers() -> np.ndarray:
    """Joint angles (5, 4) of a flat hand with separate fingers."""
    angles = np.zeros((5, 4))
    angles[1:, 0] = np.deg2rad([10, 2, -6, -14])
    return angles


def main() -> None:
    """Draws the three views."""
    model = HandModel.load(default_models_dir() / FILE_NAME)
    figure, panels = plt.subplots(1, 3, figsize=(13, 5), width_ratios=(1.4, 1, 1))
    draw_camera(panels[0], model)
    draw_wrist(panels[1], model, "left")
    draw_wrist(panels[2], model, "right")
    for axes in panels:
        axes.set_aspect("equal")
        axes.autoscale_view()
        axes.axis("off")
    figure.tight_layout()
    figure.savefig(PICTURE, dpi=80, bbox_inches="tight", pad_inches=0.1)


if __name__ == "__main__":
    main()
