"""Draws docs/images/joint_angles.png: what the angles of `joint_states` mean, on the shipped hand.

.venv/bin/python docs/draw_joint_angles.py
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection

from hand_mesh_ros.core.geometry.rotations import rotation_about
from hand_mesh_ros.core.hand.kinematics import joint_frames, local_rotations, pose
from hand_mesh_ros.core.hand.model import FILE_NAME, HandModel
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.topology import BONES, FINGER_JOINTS, FINGERS

PICTURE = Path(__file__).parent / "images/joint_angles.png"
THUMB, INDEX = 0, 1
RED, BLUE = "#c0392b", "#1f6fb5"
SKIN = np.array([0.93, 0.82, 0.74])
ARC_M = 0.028


def looking_against(towards_viewer: np.ndarray, up: np.ndarray) -> np.ndarray:
    """Screen axes (2, 3), right and up, for a viewer in this direction."""
    right = np.cross(up, towards_viewer)
    right /= np.linalg.norm(right)
    above = np.cross(towards_viewer, right)
    return np.stack([right, above / np.linalg.norm(above)])


def draw_hand(axes: Axes, joints: np.ndarray, vertices: np.ndarray, faces: np.ndarray, screen: np.ndarray) -> None:
    """Surface, bones and joints of a hand."""
    depth = np.cross(*screen)
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    facing = normals @ depth / np.linalg.norm(normals, axis=-1).clip(1e-12)
    order = np.argsort((corners.mean(1) @ depth)[facing > 0])
    shade = (0.55 + 0.45 * facing[facing > 0])[order, None] * SKIN
    axes.add_collection(
        PolyCollection((corners @ screen.T)[facing > 0][order], facecolors=shade, edgecolors=shade, linewidths=0.3)
    )
    flat = joints @ screen.T
    for bone in BONES:
        axes.plot(*flat[bone].T, color="#555555", linewidth=1.2)
    axes.plot(*flat.T, "o", color="#333333", markersize=2.5)


def draw_angle(
    axes: Axes, screen: np.ndarray, centre: np.ndarray, rest: np.ndarray, axis: np.ndarray, angle: float, colour: str, text: str
) -> None:
    """The angle from the direction `rest` about `axis`, with its straight start and an arrow at its end."""
    rest = rest / np.linalg.norm(rest)
    swept = rotation_about(axis, np.linspace(0, angle, 30)) @ rest
    arc = (centre + ARC_M * swept) @ screen.T
    axes.plot(*(np.stack([centre, centre + 1.5 * ARC_M * rest]) @ screen.T).T, "--", color=colour, linewidth=1)
    axes.plot(*arc[:-3].T, color=colour, linewidth=2)
    axes.annotate("", arc[-1], arc[-5], arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": 2})
    middle = (centre + 1.45 * ARC_M * swept[len(swept) // 2]) @ screen.T
    if text:
        box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.75}
        axes.text(*middle, text, color=colour, fontsize=9, ha="center", va="center", bbox=box)


def draw_panel(
    axes: Axes, model: HandModel, angles: np.ndarray, drawn: list[tuple[int, int, str]], screen: np.ndarray, title: str
) -> None:
    """One view with the angles (finger, 0 abduction or 1..3 flexion, text) that it explains."""
    draw_hand(axes, *pose(model, angles), model.faces, screen)
    turned, placed = joint_frames(local_rotations(model, angles), model.joints_m)
    for finger, number, text in drawn:
        joint = FINGER_JOINTS[finger, max(number - 1, 0)]
        bone = model.joints_m[joint + 1] - model.joints_m[joint]
        before = turned[joint - 1] if number > 1 else np.eye(3)
        if number == 1:
            before = rotation_about(model.abduction_axes[finger], angles[finger, 0])
        axis = model.abduction_axes[finger] if number == 0 else model.flexion_axes[finger, number - 1]
        draw_angle(
            axes, screen, placed[joint], before @ bone, before @ axis, angles[finger, number], BLUE if number == 0 else RED, text
        )
    for direction, name in zip(np.eye(3), "xyz"):
        end = 0.035 * direction @ screen.T
        if np.linalg.norm(end) > 0.01:
            axes.annotate("", end, (0, 0), arrowprops={"arrowstyle": "-|>", "color": "black", "linewidth": 1.2})
            axes.text(*(1.3 * end), name, fontsize=9, ha="center", va="center")
    axes.set_title(title, fontsize=10)
    axes.set_aspect("equal")
    axes.autoscale_view()
    axes.axis("off")


def main() -> None:
    """Draws the four views."""
    model = HandModel.load(default_models_dir() / FILE_NAME)
    figure, panels = plt.subplots(1, 4, figsize=(15, 5), width_ratios=(1.3, 1, 1, 1.1))
    out, thumb_side, up = np.eye(3)
    spread, bent, opposed, curled = np.zeros((4, 5, 4))
    spread[1:, 0] = np.deg2rad([18, 12, 12, 15])
    bent[INDEX] = np.deg2rad([0, 35, 45, 30])
    opposed[THUMB, 0] = np.deg2rad(40)
    curled[THUMB] = np.deg2rad([0, 25, 35, 45])
    abductions = [(finger, 0, f"{FINGERS[finger]}\nmcp_abduction" if finger == INDEX else "") for finger in range(1, 5)]
    flexions = [(INDEX, number, f"{joint}_flexion") for number, joint in enumerate(("mcp", "pip", "dip"), 1)]
    thumb_flexions = [(THUMB, number, f"{joint}_flexion") for number, joint in enumerate(("cmc", "mcp", "ip"), 1)]
    draw_panel(
        panels[0], model, spread, abductions, looking_against(out, up), "abduction, seen at the palm:\nto the thumb's side"
    )
    draw_panel(
        panels[1], model, bent, flexions, looking_against(thumb_side, up), "flexion, seen from the thumb:\ntowards the palm"
    )
    thumb = [(THUMB, 0, "cmc_abduction")]
    across, bend = model.abduction_axes[THUMB].astype(float), model.flexion_axes[THUMB, 0].astype(float)
    draw_panel(panels[2], model, opposed, thumb, looking_against(across, up), "abduction of the thumb:\nout of the palm")
    draw_panel(panels[3], model, curled, thumb_flexions, looking_against(bend, up), "flexion of the thumb:\nacross the palm")
    figure.tight_layout()
    figure.savefig(PICTURE, dpi=80)


if __name__ == "__main__":
    main()
