"""A camera in front of a rendered, moving hand. Every image has the true joints, surface and depth."""

from dataclasses import dataclass

import numpy as np

from hand_mesh_ros.core.geometry.mirror import mirror_points, mirror_rotations
from hand_mesh_ros.core.geometry.rotations import rotation_about
from hand_mesh_ros.core.hand.kinematics import pose
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.types import Side
from hand_mesh_ros.sources.assumed_camera import assumed_matrix
from hand_mesh_ros.synthetic import appearance
from hand_mesh_ros.synthetic.depth_sensors import EXACT, SENSORS
from hand_mesh_ros.synthetic.render import Light, render

# Degrees per finger, thumb first: abduction of the base, then flexion of its three joints.
_OPEN = ((15, 5, 5, 0), (8, 2, 5, 2), (1, 2, 5, 2), (-5, 2, 5, 2), (-10, 2, 5, 2))
_RELAXED = ((5, 15, 15, 15), (2, 22, 30, 15), (0, 28, 35, 18), (-1, 32, 38, 20), (-2, 35, 40, 20))
_FIST = ((12, 26, 40, 46), (0, 75, 95, 55), (0, 78, 98, 58), (0, 78, 98, 58), (0, 75, 92, 52))
_POINT = ((12, 26, 40, 45), (2, 4, 6, 3), (0, 72, 95, 55), (0, 75, 96, 56), (0, 72, 90, 50))
_PINCH = ((18, 30, 22, 25), (0, 48, 48, 28), (-1, 22, 26, 14), (-4, 16, 20, 10), (-8, 12, 16, 8))
_COUNT_TWO = ((10, 30, 42, 45), (9, 3, 5, 2), (-7, 3, 5, 2), (0, 72, 95, 55), (0, 70, 90, 50))
# The hand holds each pose for a moment and then moves to the next pose. One lap contains all poses.
_GESTURES = np.deg2rad(np.array([_OPEN, _RELAXED, _FIST, _POINT, _COUNT_TWO, _OPEN, _PINCH, _RELAXED], float))
_HOLD = 0.35  # share of a gesture's time without motion
LAP_S = 12.0

# Camera axes of a raised hand with the palm to the camera: x (out of the palm) towards the camera, z (fingers) up.
_RAISED = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]])
# The hand rotates about a point of the palm, so that the palm stays in view [m along the fingers].
_PALM_M = 0.085
_NOISE_LEVELS = 2.0


@dataclass(frozen=True)
class SyntheticView:
    """One image with its truth, in metres in the camera's optical frame."""

    rgb: np.ndarray  # (H, W, 3) uint8
    depth_m: np.ndarray  # (H, W) float32 along z, of hand and sleeve, with the errors of the sensor; 0 for the background
    joints_m: np.ndarray  # (21, 3)
    vertices_m: np.ndarray  # (V, 3)
    camera_from_wrist: np.ndarray  # (4, 4) x out of the palm, z along the fingers, y = z cross x


class SyntheticCamera:
    """A calibrated camera without distortion, and one hand in front of it. The same seed and time give the same image."""

    def __init__(
        self,
        model: HandModel,
        size: tuple[int, int] = (640, 480),
        hfov_deg: float = 60.0,
        side: Side = "right",
        seed: int = 0,
        depth_sensor: str = EXACT,
    ) -> None:
        """Prepares colours, light and background.

        Args:
            model: the hand.
            size: width and height of the image in pixels.
            hfov_deg: horizontal field of view.
            side: side of the hand.
            seed: seed of skin, sleeve, background, light and the phases of the motion.
            depth_sensor: a name of `depth_sensors.SENSORS`, or `EXACT` for depth without errors.
        """
        rng = np.random.default_rng(seed)
        self._model, self._side, self._size, self._seed = model, side, size, seed
        self._sensor = None if depth_sensor == EXACT else SENSORS[depth_sensor]
        self.camera_matrix = assumed_matrix(*size, hfov_deg)
        sleeve_vertices, sleeve_faces, sleeve_colours = appearance.sleeve(model, rng)
        self._sleeve = sleeve_vertices
        self._faces = np.concatenate([model.faces, sleeve_faces + len(model.template_m)])
        self._colours = np.concatenate([appearance.skin_colours(model, rng), sleeve_colours])
        self._background = appearance.room(size, rng)
        self._light = Light(direction=(rng.uniform(-1, 1), rng.uniform(-1.0, -0.3), rng.uniform(-1.2, -0.5)), shadows=True)
        self._noise = rng.normal(0, _NOISE_LEVELS, (size[1] + 64, size[0] + 64, 3)).round().astype(np.int16)
        self._phases = rng.uniform(0, 2 * np.pi, 6)

    def at(self, time_s: float) -> SyntheticView:
        """Returns the view `time_s` after the start. The motion repeats after `LAP_S` seconds."""
        lap = time_s / LAP_S % 1.0
        camera_from_wrist = _wrist_path(lap, self._phases)
        joints, vertices = (self._placed(points, camera_from_wrist) for points in pose(self._model, _angles(lap)))
        surface = np.concatenate([vertices, self._placed(self._sleeve, camera_from_wrist)])
        picture = render(surface, self._faces, self._colours, self.camera_matrix, self._size, self._light, self._background)
        if self._side == "left":
            camera_from_wrist[:3, :3] = mirror_rotations(camera_from_wrist[:3, :3])
            camera_from_wrist[:3, 3] = mirror_points(camera_from_wrist[:3, 3])
        depth_m = self._sensed(picture.depth_m, time_s)
        return SyntheticView(self._with_noise(picture.rgb, time_s), depth_m, joints, vertices, camera_from_wrist)

    def _placed(self, points_m: np.ndarray, camera_from_wrist: np.ndarray) -> np.ndarray:
        """Returns points (N, 3) of the hand model in camera axes. A left hand is the mirror image of the right hand."""
        placed = points_m @ camera_from_wrist[:3, :3].T + camera_from_wrist[:3, 3]
        return mirror_points(placed) if self._side == "left" else placed

    def _sensed(self, depth_m: np.ndarray, time_s: float) -> np.ndarray:
        if self._sensor is None:
            return depth_m
        return self._sensor(depth_m, self.camera_matrix, np.random.default_rng([self._seed, round(time_s * 1e6), 1]))

    def _with_noise(self, rgb: np.ndarray, time_s: float) -> np.ndarray:
        """Adds sensor noise: a random part of one noise tile, because new noise would cost more time than rendering."""
        rng = np.random.default_rng([self._seed, round(time_s * 1e6)])
        row, column = rng.integers(0, 64, 2)
        height, width = rgb.shape[:2]
        return np.clip(rgb + self._noise[row : row + height, column : column + width], 0, 255).astype(np.uint8)


def _angles(lap: float) -> np.ndarray:
    """Returns joint angles, (5, 4) radians, at the share `lap` of the loop."""
    place = lap * len(_GESTURES)
    current, share = int(place) % len(_GESTURES), place % 1.0
    blend = np.clip((share - _HOLD) / (1 - _HOLD), 0, 1)
    # Minimum jerk: speed and acceleration are zero at the start and at the end, as in human motion.
    blend = blend**3 * (10 - 15 * blend + 6 * blend**2)
    return _GESTURES[current] + blend * (_GESTURES[(current + 1) % len(_GESTURES)] - _GESTURES[current])


def _wrist_path(lap: float, phases: np.ndarray) -> np.ndarray:
    """Returns camera_from_wrist, (4, 4). Each axis makes a whole number of swings per lap, so that the loop closes."""
    swing = np.sin(2 * np.pi * lap * np.array([1, 2, 3, 1, 2, 1]) + phases)
    turn, nod, lean = np.deg2rad([65.0, 22.0, 25.0]) * swing[:3]
    axes = np.eye(3)
    rotation = (
        rotation_about(axes[2], np.array(lean))
        @ rotation_about(axes[0], np.array(nod))
        @ _RAISED
        @ rotation_about(axes[2], np.array(turn))
    )
    palm = np.array([0.05, 0.02, 0.08]) * swing[3:] + (0.0, 0.01, 0.42)
    camera_from_wrist = np.eye(4)
    camera_from_wrist[:3, :3] = rotation
    camera_from_wrist[:3, 3] = palm - rotation[:, 2] * _PALM_M
    return camera_from_wrist
