"""The 3D scene around the hands: camera, axes of the frames, floor, light, and the depth image as points."""

from collections.abc import Sequence

import cv2
import numpy as np
import viser

from hand_mesh_ros.core.geometry.camera import is_calibrated, rays_from_pixels
from hand_mesh_ros.core.types import HandEstimate
from hand_mesh_ros.viewer.hand_scene import quaternions
from hand_mesh_ros.viewer.snapshot import Snapshot

_FRUSTUM_DEPTH_M = 0.06
_FRUSTUM_WIDTH_PX = 320
_AXES_M = 0.05
# The browser draws this number of points without delay, also without a GPU.
_MOST_POINTS = 20_000
_FARTHEST_M = 3.0
_FLOOR_COLOURS = {True: ((58, 62, 70), (84, 90, 100)), False: ((222, 224, 228), (190, 194, 200))}


class Surroundings:
    """Scene nodes that do not belong to one hand."""

    def __init__(self, scene: viser.SceneApi) -> None:
        """Creates the light and the frames."""
        self._scene = scene
        self._frustum: viser.CameraFrustumHandle | None = None
        self._frustum_shape = (0.0, 0.0)
        self._cloud: viser.PointCloudHandle | None = None
        self._axes: dict[str, viser.FrameHandle] = {}
        scene.set_up_direction("-y")
        scene.configure_default_lights(cast_shadow=False)
        # The default lights leave the side that faces the camera in the dark.
        scene.add_light_directional("/lights/key", intensity=0.9, position=(-0.5, -0.8, -0.6))
        scene.add_light_directional("/lights/fill", intensity=0.3, position=(0.9, -0.2, -0.5))
        self._place("camera", np.eye(4))
        self.set_theme(is_dark=True)

    def set_theme(self, is_dark: bool) -> None:
        """Draws the floor below the hand in the colours of the theme. Its cells of 5 cm show the scale."""
        cell, section = _FLOOR_COLOURS[is_dark]
        self._scene.add_grid(
            "/floor",
            width=1.2,
            height=1.2,
            plane="xz",
            cell_size=0.05,
            section_size=0.25,
            cell_color=cell,
            section_color=section,
            position=(0.0, 0.22, 0.5),
        )

    def show_camera(self, snapshot: Snapshot, is_wanted: bool) -> None:
        """Draws the frustum of the camera with the image, or hides the frustum."""
        rgb, focal = snapshot.rgb, snapshot.camera_matrix[1, 1]
        if rgb is None or not focal or not is_wanted:
            if self._frustum is not None and self._frustum.visible:
                self._frustum.visible = False
            return
        height, width = rgb.shape[:2]
        shape = (float(2 * np.arctan(0.5 * height / focal)), width / height)
        if self._frustum is None or shape != self._frustum_shape:
            self._frustum_shape = shape
            self._frustum = self._scene.add_camera_frustum(
                "/camera/frustum", *shape, scale=_FRUSTUM_DEPTH_M, color=(128, 134, 148), thickness=1.5, thickness_units="screen"
            )
        self._frustum.image = _at_most(rgb, _FRUSTUM_WIDTH_PX)
        if not self._frustum.visible:
            self._frustum.visible = True

    def show_frames(self, hands: Sequence[tuple[str, HandEstimate]], are_wanted: bool) -> None:
        """Draws the axes of the camera and of the wrists: x red, y green, z blue. Pairs hold the name and the hand of a frame."""
        shown = {"camera"} if are_wanted else set()
        for name, hand in hands:
            if are_wanted and hand.scale_source != "none" and np.isfinite(hand.wrist_pose).all():
                self._place(name, hand.wrist_pose)
                shown.add(name)
        for name, axes in self._axes.items():
            if axes.visible != (name in shown):
                axes.visible = name in shown

    def show_depth(self, snapshot: Snapshot, is_wanted: bool) -> None:
        """Draws the depth image as coloured points, or hides the points."""
        points, colours = depth_points(snapshot) if is_wanted else (np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint8))
        if self._cloud is None and len(points):
            self._cloud = self._scene.add_point_cloud(
                "/depth", points, colours, point_size=0.0012, point_shape="square", precision="float32"
            )
        elif self._cloud is not None and len(points):
            self._cloud.points, self._cloud.colors = points, colours
        if self._cloud is not None and self._cloud.visible != bool(len(points)):
            self._cloud.visible = bool(len(points))

    def _place(self, name: str, camera_from_frame: np.ndarray) -> None:
        axes = self._axes.get(name)
        if axes is None:
            axes = self._scene.add_frame(f"/frames/{name}", axes_length=_AXES_M, axes_radius=0.03 * _AXES_M)
            self._scene.add_label(f"/frames/{name}/name", name, position=(0.0, 0.0, 0.0), font_screen_scale=0.8)
            self._axes[name] = axes
        axes.wxyz, axes.position = quaternions(camera_from_frame[None, :3, :3])[0], camera_from_frame[:3, 3]


def depth_points(snapshot: Snapshot) -> tuple[np.ndarray, np.ndarray]:
    """Returns points (N, 3) in metres and their colours (N, 3) uint8 of a depth image; none without depth or calibration."""
    depth_m, rgb = snapshot.depth_m, snapshot.rgb
    if depth_m is None or rgb is None or not is_calibrated(snapshot.camera_matrix):
        return np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint8)
    valid = np.isfinite(depth_m) & (depth_m > 0) & (depth_m < _FARTHEST_M)
    step = max(1, int(np.ceil(np.sqrt(np.count_nonzero(valid) / _MOST_POINTS))))
    rows, columns = np.nonzero(valid[::step, ::step])
    rows, columns = rows * step, columns * step
    if not len(rows):
        return np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint8)
    rays = rays_from_pixels(np.stack([columns, rows], -1), snapshot.camera_matrix, snapshot.distortion)
    along_z = depth_m[rows, columns][:, None]
    points = np.concatenate([rays * along_z, along_z], axis=1)
    # Some pixels of a lens with strong distortion have no ray.
    has_ray = np.isfinite(points).all(axis=1)
    return points[has_ray].astype(np.float32), np.ascontiguousarray(rgb[rows, columns][has_ray])


def _at_most(rgb: np.ndarray, width: int) -> np.ndarray:
    if rgb.shape[1] <= width:
        return rgb
    return cv2.resize(rgb, (width, max(1, round(rgb.shape[0] * width / rgb.shape[1]))), interpolation=cv2.INTER_AREA)
