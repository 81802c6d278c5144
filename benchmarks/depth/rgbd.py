"""Rendered hands in the view of an RGB-D camera: colours, a depth image with the sensor's faults, and the truth.

The sensor is an active stereo camera. Its depth image is registered to the colour image. Noise: the disparity has a standard
deviation of 0.08 px. The depth noise is thus 0.08 z^2 / (f b) with a baseline b of 50 mm. Block matching makes the noise similar
over patches of some pixels. The depth is in whole millimetres. Faults: a shadow beside every outline that only one of the two
cameras sees, surfaces larger by up to 2 px, flying pixels between a surface and its background, holes on slanted surfaces, and
random patches of holes. The error of the disparity comes from Grunnet-Jepsen, Sweetser and Woodfill 2018, "Best-known-methods for
tuning Intel RealSense D400 depth cameras".
"""

from dataclasses import dataclass

import cv2
import numpy as np
import trimesh
from scipy.spatial.transform import Rotation

from benchmarks.samples import SIZE_REL_STD, Sample, flipped
from hand_mesh_ros.core.types import Frame
from hand_mesh_ros.sources.assumed_camera import assumed_matrix
from hand_mesh_ros.synthetic import appearance
from hand_mesh_ros.synthetic.render import Light, render
from models_train.hands.sample import sample_hands, shipped_hand

SIZE_PX, FOV_DEG = (640, 480), 60.0
WALL_M = 1.8
# Hand sizes stay within this number of standard deviations.
_LARGEST = 2.0
_BASELINE_M, _DISPARITY_STD_PX, _PATCH_PX = 0.05, 0.08, 2.5
_SHARE_BESIDE_OBJECT = 0.25
# Camera axes of a raised hand with the palm to the camera: x (out of the palm) towards the camera, z (fingers) up.
_RAISED = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]])


@dataclass(frozen=True)
class Shot:
    """A hand with its truth."""

    sample: Sample  # its frame has the sensor's depth
    size: float  # of the hand, relative to the average
    has_object: bool  # something is between hand and camera


class RgbdScenes:
    """Draws shots of raised hands in any gesture. The palm or the back faces the camera within about 60 degrees."""

    def __init__(self, seed: int, n_looks: int = 12) -> None:
        """Prepares skins and rooms. The same seed gives the same shots."""
        self._rng, self._hand = np.random.default_rng(seed), shipped_hand()
        self._camera_matrix = assumed_matrix(*SIZE_PX, FOV_DEG)
        self._skins = [appearance.skin_colours(self._hand, self._rng) for _ in range(n_looks)]
        self._sleeves = [appearance.sleeve(self._hand, self._rng) for _ in range(n_looks)]
        self._rooms = [appearance.room(SIZE_PX, self._rng) for _ in range(n_looks)]

    def shot(self, distance_m: float) -> Shot:
        """Returns a hand of adult size with its centre at this depth. The side is random."""
        rng = self._rng
        hands, size = sample_hands(rng, 1, held_out=True), adult_size(rng)
        rotation, middle = self._view(), hands.joints_m[0].mean(0)
        reach = 0.6 * (0.5 * np.array(SIZE_PX) * distance_m / self._camera_matrix[0, 0] - 0.08).clip(0.01)
        centre = np.array([*(reach * rng.uniform(-1, 1, 2)), distance_m])

        def place(points: np.ndarray) -> np.ndarray:
            return size * (points - middle) @ rotation.T + centre

        joints, vertices = place(hands.joints_m[0]), place(hands.vertices_m[0])
        sleeve, sleeve_faces, sleeve_colours = self._sleeves[rng.integers(len(self._sleeves))]
        skin = self._skins[rng.integers(len(self._skins))]
        parts = [(vertices, self._hand.faces, skin), (place(sleeve), sleeve_faces, sleeve_colours)]
        has_object = bool(rng.random() < _SHARE_BESIDE_OBJECT)
        if has_object:
            parts.append(self._object(joints))
        rgb, depth_m = self._picture(parts)
        frame = Frame(rgb, self._camera_matrix, sense(depth_m, self._camera_matrix, rng))
        sample = Sample(f"{distance_m:g} m", frame, joints, "right", vertices)
        return Shot(flipped(sample) if rng.random() < 0.5 else sample, size, has_object)

    def _view(self) -> np.ndarray:
        """Returns a random rotation camera_from_wrist, (3, 3)."""
        rng = self._rng
        turn = Rotation.from_euler("z", rng.choice([0, np.pi]) + rng.normal(0, 0.5))
        lean = Rotation.from_euler("z", rng.normal(0, 0.4))
        return lean.as_matrix() @ Rotation.from_rotvec(rng.normal(0, 0.3, 3)).as_matrix() @ _RAISED @ turn.as_matrix()

    def _object(self, joints_m: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns a box, at most the size of a phone, between the hand and the camera."""
        rng = self._rng
        box = trimesh.creation.box(rng.uniform(0.01, 0.06, 3))
        at = joints_m[rng.integers(21)] * (1 - rng.uniform(0.03, 0.15) / joints_m[:, 2].mean())
        points = box.vertices @ Rotation.random(random_state=rng).as_matrix().T + at
        return points, np.asarray(box.faces), np.tile(rng.uniform(0.02, 0.9, 3), (len(points), 1))

    def _picture(self, parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
        """Returns colours (H, W, 3) uint8 and true depth (H, W) in metres, with a wall behind the scene."""
        rng = self._rng
        vertices, faces, colours = zip(*parts)
        offsets = np.cumsum([0, *(len(points) for points in vertices[:-1])])
        joined = np.concatenate([face + offset for face, offset in zip(faces, offsets)])
        light = Light(direction=(rng.uniform(-1, 1), rng.uniform(-1.0, -0.3), rng.uniform(-1.2, -0.5)), occlusion=True)
        surface = np.concatenate(vertices)
        room = self._rooms[rng.integers(len(self._rooms))]
        picture = render(surface, joined, np.concatenate(colours), self._camera_matrix, SIZE_PX, light, room)
        noisy = np.clip(picture.rgb + rng.normal(0, 3, picture.rgb.shape), 0, 255).astype(np.uint8)
        return noisy, np.where(picture.depth_m > 0, picture.depth_m, WALL_M)


def adult_size(rng: np.random.Generator) -> float:
    """Returns a random adult hand size, relative to the average."""
    return float(np.exp(SIZE_REL_STD * np.clip(rng.standard_normal(), -_LARGEST, _LARGEST)))


def sense(depth_m: np.ndarray, camera_matrix: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns the sensor's depth image (H, W) float32 for true depth (H, W) in metres; 0 marks missing depth."""
    focal, shape = camera_matrix[0, 0], depth_m.shape
    depth = depth_m.astype(np.float32)
    # Near surfaces grow over their outline by a random number of pixels.
    reach = rng.integers(0, 3)
    depth = cv2.erode(depth, np.ones((2 * reach + 1,) * 2, np.uint8))
    nearest, farthest = cv2.erode(depth, np.ones((3, 3), np.uint8)), cv2.dilate(depth, np.ones((3, 3), np.uint8))
    is_edge = farthest - nearest > 0.02 * depth
    flies = is_edge & (rng.random(shape) < 0.5)
    depth = np.where(flies, nearest + rng.random(shape).astype(np.float32) * (farthest - nearest), depth)
    noise = cv2.GaussianBlur(rng.standard_normal(shape).astype(np.float32), (0, 0), _PATCH_PX)
    noise *= _DISPARITY_STD_PX / noise.std()
    disparity = focal * _BASELINE_M / depth + noise
    measured = focal * _BASELINE_M / np.maximum(disparity, 0.1)
    # A slanted surface looks different in the two cameras, so the stereo match fails.
    slope = np.hypot(cv2.Sobel(depth, cv2.CV_32F, 1, 0), cv2.Sobel(depth, cv2.CV_32F, 0, 1)) / 8 * focal / depth
    is_lost = (slope > 4) & ~flies | (is_edge & (rng.random(shape) < 0.3))
    clouds = cv2.GaussianBlur(rng.standard_normal(shape).astype(np.float32), (0, 0), 6)
    is_lost |= clouds > np.quantile(clouds, 0.97)
    is_lost |= _shadow(depth, focal)
    return np.where(is_lost, 0, np.round(1e3 * measured) / 1e3).astype(np.float32)


def _shadow(depth: np.ndarray, focal: float) -> np.ndarray:
    """Returns (H, W) bool: a nearer surface hides the pixel from the second camera, one baseline to the right."""
    disparity = focal * _BASELINE_M / depth
    column = np.arange(depth.shape[1]) - disparity
    # A column is hidden if a column on its right moves past it in the view of the second camera.
    from_right = np.minimum.accumulate(column[:, ::-1], axis=1)[:, ::-1]
    return column > from_right + 1.0
