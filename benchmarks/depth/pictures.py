"""Draws hands with the measured points, before and after depth bends the fingers, seen from the side.

    python -m benchmarks.depth.pictures --out docs/images/depth_fit.png

Rows: rigid, bent. Columns: fist, pinch, a held cylinder. The stereo camera of `hand_mesh_ros.synthetic` is 0.5 m away. Green
points are at most 5 mm from the surface of the mesh in this view, red points are in front of the surface, blue points behind.
The number is the mean distance of the joints from the truth.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import trimesh

from benchmarks.depth.rgbd import RgbdScenes, Shot
from benchmarks.depth.variants import VARIANTS
from benchmarks.measure import look
from hand_mesh_ros.core.geometry.camera import project, rays_from_pixels
from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.geometry.rotations import rotation_about
from hand_mesh_ros.core.hand.kinematics import pose
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.topology import FINGERTIPS, MIDDLE_MCP
from hand_mesh_ros.synthetic.depth_sensors import stereo
from hand_mesh_ros.synthetic.render import render
from models_train.data.scenes import Part
from models_train.hands.sample import HandBatch, shipped_hand

# Degrees per finger, thumb first: abduction of the base, then flexion of the three joints.
_POSES = {
    "fist": ((10, 25, 40, 50), (0, 85, 100, 67), (0, 88, 102, 68), (0, 88, 102, 68), (0, 85, 95, 63)),
    "pinch": ((35, 20, 25, 40), (2, 52, 62, 41), (0, 30, 35, 23), (-3, 25, 30, 20), (-6, 20, 28, 19)),
    "cylinder": ((38, 15, 20, 25), (1, 45, 55, 37), (0, 50, 60, 40), (-1, 52, 60, 40), (-2, 52, 55, 37)),
}
_SEED, _AWAY_M, _RADIUS_M, _LENGTH_M = 7, 0.5, 0.02, 0.16
# Size of a panel [px], its focal length [px], and the turn of the view about the vertical axis.
_PANEL_PX, _FOCAL_PX, _TURN_DEG = 220, 640.0, 55.0
_NEAR_M, _AROUND_M = 0.005, 0.11
_COLOURS = {"on": (60, 200, 60), "in front": (230, 60, 50), "behind": (70, 110, 240)}


def main() -> None:
    """Command line: see the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/images/depth_fit.png"))
    args = parser.parse_args()
    pipeline = HandMeshPipeline.default("cpu")
    columns = [_column(pipeline, name) for name in _POSES]
    cv2.imwrite(str(args.out), cv2.cvtColor(np.hstack(columns), cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 9])


def _column(pipeline: HandMeshPipeline, name: str) -> np.ndarray:
    """Returns the panels of one pose, one below the other. The first shot with a found hand is used."""
    scenes = RgbdScenes(_SEED)
    hands, held = _hands(name)
    while True:
        shot = scenes.shot(_AWAY_M, stereo, "held" if held else "nothing", hands, held)
        (seen,) = look(pipeline.detector, [shot.sample])
        if seen.detection is not None:
            break
    panels = []
    for variant, title in (("rigid", "before"), ("bent", "after")):
        estimate = VARIANTS[variant](pipeline, seen.detection, shot.sample.frame)
        panel = _panel(estimate.vertices_m, pipeline.hand_model.faces, shot, estimate.handedness == "left")
        error_mm = 1e3 * np.linalg.norm(estimate.joints_m - shot.sample.joints_m, axis=-1).mean()
        text = f"{name}, {title}: {error_mm:.0f} mm"
        panels.append(cv2.putText(panel, text, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (20, 20, 20), 1, cv2.LINE_AA))
    return np.vstack(panels)


def _hands(name: str) -> tuple[HandBatch, Part | None]:
    """Returns the average hand in a pose, and the cylinder between palm and fingertips."""
    joints_m, vertices_m = pose(shipped_hand(), np.deg2rad(np.array(_POSES[name], float)))
    hands = HandBatch(joints_m[None], vertices_m[None])
    if name != "cylinder":
        return hands, None
    cylinder = trimesh.creation.cylinder(_RADIUS_M, _LENGTH_M, sections=24)
    across = rotation_about(np.array([1.0, 0, 0]), np.array(np.pi / 2))  # the axis of the cylinder is across the palm
    middle_m = 0.5 * (joints_m[MIDDLE_MCP] + joints_m[FINGERTIPS[1:]].mean(0))
    points_m = cylinder.vertices @ across.T + middle_m
    return hands, (points_m, np.asarray(cylinder.faces), np.tile([0.1, 0.2, 0.5], (len(points_m), 1)))


def _panel(vertices_m: np.ndarray, faces: np.ndarray, shot: Shot, is_left: bool) -> np.ndarray:
    """Returns the mesh with the measured points, (H, W, 3) uint8, from the side. A left hand is drawn as its mirror image."""
    frame, middle_m = shot.sample.frame, shot.sample.joints_m.mean(0)
    row, column = np.nonzero(frame.depth_m > 0)
    rays = rays_from_pixels(np.stack([column, row], -1), frame.camera_matrix)
    points_m = np.column_stack([rays, np.ones(len(rays))]) * frame.depth_m[row, column, None]
    points_m = points_m[np.linalg.norm(points_m - middle_m, axis=-1) < _AROUND_M][::3]
    if is_left:
        vertices_m, points_m, middle_m = (mirror_points(points) for points in (vertices_m, points_m, middle_m))
    turn = rotation_about(np.array([0.0, 1, 0]), np.array(np.deg2rad(_TURN_DEG)))
    mesh_m, cloud_m = ((points - middle_m) @ turn.T + (0, 0, _AWAY_M) for points in (vertices_m, points_m))
    centre = 0.5 * (_PANEL_PX - 1)
    k = np.array([[_FOCAL_PX, 0, centre], [0, _FOCAL_PX, centre], [0, 0, 1]])
    white = np.full((_PANEL_PX, _PANEL_PX, 3), 245, np.uint8)
    picture = render(mesh_m, faces, np.full_like(mesh_m, 0.55), k, (_PANEL_PX, _PANEL_PX), background=white)
    panel = picture.rgb.copy()
    x, y = np.round(project(cloud_m, k)).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < _PANEL_PX) & (y < _PANEL_PX)
    x, y, depth_m = x[inside], y[inside], cloud_m[inside, 2]
    surface_m = picture.depth_m[y, x]
    away_m = np.where(surface_m > 0, depth_m - surface_m, -np.inf)
    for name, chosen in (("behind", away_m > _NEAR_M), ("on", np.abs(away_m) <= _NEAR_M), ("in front", away_m < -_NEAR_M)):
        panel[y[chosen], x[chosen]] = _COLOURS[name]
    return panel


if __name__ == "__main__":
    main()
