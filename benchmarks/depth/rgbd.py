"""Rendered hands in the view of an RGB-D camera: colours, a depth image with the sensor's faults, and the truth.

The depth image comes from one of the sensors of `hand_mesh_ros.synthetic.depth_sensors`, registered to the colour image. Nothing,
a box between hand and camera, or an object between palm and fingers hides parts of the hand.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import trimesh
from scipy.spatial.transform import Rotation

from benchmarks.samples import SIZE_REL_STD, Sample, flipped, hidden_joints
from hand_mesh_ros.core.topology import FINGERTIPS, MIDDLE_MCP
from hand_mesh_ros.core.types import Frame
from hand_mesh_ros.sources.assumed_camera import assumed_matrix
from hand_mesh_ros.synthetic import appearance
from hand_mesh_ros.synthetic.depth_sensors import Sensor, stereo
from hand_mesh_ros.synthetic.render import Light, render
from models_train.data.scenes import Part, random_object
from models_train.hands.sample import HandBatch, sample_hands, shipped_hand

SIZE_PX, FOV_DEG = (640, 480), 60.0
WALL_M = 1.8
# Hand sizes stay within this number of standard deviations.
_LARGEST = 2.0
_SHARE_BESIDE_OBJECT = 0.25
# Radius of a held object [m].
_HELD_M = 0.03
# Camera axes of a raised hand with the palm to the camera: x (out of the palm) towards the camera, z (fingers) up.
_RAISED = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]])

Obstacle = Literal["nothing", "in front", "held"]


@dataclass(frozen=True)
class Shot:
    """A hand with its truth."""

    sample: Sample  # its frame has the sensor's depth
    size: float  # of the hand, relative to the average
    obstacle: Obstacle  # an object between hand and camera, or between palm and fingers


class RgbdScenes:
    """Draws shots of raised hands in any gesture. The palm or the back faces the camera within about 60 degrees."""

    def __init__(self, seed: int | list[int], n_looks: int = 12) -> None:
        """Prepares skins and rooms. The same seed gives the same shots."""
        self._rng, self._hand = np.random.default_rng(seed), shipped_hand()
        self._camera_matrix = assumed_matrix(*SIZE_PX, FOV_DEG)
        self._skins = [appearance.skin_colours(self._hand, self._rng) for _ in range(n_looks)]
        self._sleeves = [appearance.sleeve(self._hand, self._rng) for _ in range(n_looks)]
        self._rooms = [appearance.room(SIZE_PX, self._rng) for _ in range(n_looks)]

    def shot(
        self,
        distance_m: float,
        sensor: Sensor = stereo,
        obstacle: Obstacle | None = None,
        hands: HandBatch | None = None,
        held: Part | None = None,
    ) -> Shot:
        """Returns a hand of adult size with its centre at this depth. The side is random.

        Args:
            distance_m: depth of the centre.
            sensor: of the depth.
            obstacle: for every hand the same; None for an object in front of a quarter of the hands.
            hands: one hand; None for a random hand.
            held: the held object in the frame of `hands`; None for a random object.
        """
        rng = self._rng
        hands, size = hands or sample_hands(rng, 1, held_out=True), adult_size(rng)
        rotation, middle = self._view(), hands.joints_m[0].mean(0)
        reach = 0.6 * (0.5 * np.array(SIZE_PX) * distance_m / self._camera_matrix[0, 0] - 0.08).clip(0.01)
        centre = np.array([*(reach * rng.uniform(-1, 1, 2)), distance_m])

        def place(points: np.ndarray) -> np.ndarray:
            return size * (points - middle) @ rotation.T + centre

        joints, vertices = place(hands.joints_m[0]), place(hands.vertices_m[0])
        sleeve, sleeve_faces, sleeve_colours = self._sleeves[rng.integers(len(self._sleeves))]
        skin = self._skins[rng.integers(len(self._skins))]
        parts = [(vertices, self._hand.faces, skin), (place(sleeve), sleeve_faces, sleeve_colours)]
        if obstacle is None:
            obstacle = "in front" if rng.random() < _SHARE_BESIDE_OBJECT else "nothing"
        if obstacle == "in front":
            parts.append(self._box(joints))
        if obstacle == "held" and held is not None:
            parts.append((place(held[0]), *held[1:]))
        elif obstacle == "held":
            parts.append(random_object(rng, 0.5 * (joints[MIDDLE_MCP] + joints[FINGERTIPS].mean(0)), _HELD_M))
        rgb, depth_m = self._picture(parts)
        hidden = hidden_joints(joints, vertices, self._camera_matrix, depth_m)
        frame = Frame(rgb, self._camera_matrix, sensor(depth_m, self._camera_matrix, rng))
        sample = Sample(f"{distance_m:g} m", frame, joints, "right", vertices, hidden)
        return Shot(flipped(sample) if rng.random() < 0.5 else sample, size, obstacle)

    def _view(self) -> np.ndarray:
        """Returns a random rotation camera_from_wrist, (3, 3)."""
        rng = self._rng
        turn = Rotation.from_euler("z", rng.choice([0, np.pi]) + rng.normal(0, 0.5))
        lean = Rotation.from_euler("z", rng.normal(0, 0.4))
        return lean.as_matrix() @ Rotation.from_rotvec(rng.normal(0, 0.3, 3)).as_matrix() @ _RAISED @ turn.as_matrix()

    def _box(self, joints_m: np.ndarray) -> Part:
        """Returns a box, at most the size of a phone, between the hand and the camera."""
        rng = self._rng
        box = trimesh.creation.box(rng.uniform(0.01, 0.06, 3))
        at = joints_m[rng.integers(21)] * (1 - rng.uniform(0.03, 0.15) / joints_m[:, 2].mean())
        points = box.vertices @ Rotation.random(random_state=rng).as_matrix().T + at
        return points, np.asarray(box.faces), np.tile(rng.uniform(0.02, 0.9, 3), (len(points), 1))

    def _picture(self, parts: list[Part]) -> tuple[np.ndarray, np.ndarray]:
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
