"""Random pictures of hands: skin, sleeve, light, background, objects in front of and in the hand, and camera faults."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import trimesh
from scipy.spatial.transform import Rotation

from hand_mesh_ros.core.geometry import rigid
from hand_mesh_ros.core.geometry.rotations import rotation_about
from hand_mesh_ros.core.topology import FINGERTIPS, MIDDLE_MCP
from hand_mesh_ros.synthetic import appearance
from hand_mesh_ros.synthetic.render import Light, render
from models_train.data.views import DISTANCE_M, natural_rotations
from models_train.hands.grasps import Solid, sample_grasp
from models_train.hands.poses import NATURAL_SHARE
from models_train.hands.sample import sample_hands, shipped_hand

SIZE_PX = (256, 256)
_SHARE_BARE, _SHARE_WITH_OBJECT, _SHARE_OCCLUDED, _SHARE_SHOWN = 0.5, 0.2, 0.08, 0.65
_FOV_DEG = (35.0, 110.0)
_FAR_M = 1.3
# Ranges of held-out skin tones; 0 is the lightest tone and 1 the darkest tone.
_HELD_OUT_TONES = ((0.25, 0.35), (0.7, 0.8))


# Vertices (N, 3) in the camera frame, faces (M, 3), linear rgb (N, 3).
Part = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Scene:
    """A picture of one right hand with its truth in the camera's optical frame."""

    rgb: np.ndarray  # (256, 256, 3) uint8
    camera_matrix: np.ndarray  # (3, 3)
    joints_m: np.ndarray  # (21, 3)
    vertices_m: np.ndarray  # (V, 3)
    depth_m: np.ndarray  # (256, 256) float32 along z of the nearest surface; 0 is background
    has_objects: bool  # in the hand or in front of it


class SceneMaker:
    """Draws scenes. Skins and rooms take long to make, so the class makes a stock of these and combines them at random."""

    def __init__(
        self,
        rng: np.random.Generator,
        held_out: bool = False,
        n_skins: int = 40,
        n_rooms: int = 40,
        natural: bool = False,
        share_with_object: float = _SHARE_WITH_OBJECT,
        share_of_grasps: float = 0.0,
    ) -> None:
        """Prepares the stock.

        Args:
            rng: source of randomness.
            held_out: draw from the held-out set: poses, builds, skin tones and backgrounds.
            n_skins: number of skins and sleeves in stock.
            n_rooms: number of backgrounds in stock.
            natural: most poses are recorded poses, and most views show the palm or the back.
            share_with_object: share of the other hands with an object between palm and fingers. The object ignores the fingers.
            share_of_grasps: share of hands whose fingers close on an object.
        """
        self._share_with_object, self._share_of_grasps = share_with_object, share_of_grasps
        self._rng, self._hand, self._held_out, self._natural = rng, shipped_hand(), held_out, natural
        self._skins = [appearance.skin_colours(self._hand, rng, _tone(rng, held_out)) for _ in range(n_skins)]
        self._sleeves = [appearance.sleeve(self._hand, rng) for _ in range(n_skins)]
        background = appearance.clouds if held_out else appearance.room
        self._rooms = [background((384, 384), rng) for _ in range(n_rooms)]

    def scenes(self, n: int) -> list[Scene]:
        """Returns `n` pictures of `n` hands."""
        hands = sample_hands(self._rng, n, self._held_out, NATURAL_SHARE if self._natural else 0.0)
        return [self._scene(*self._with_grasp(*hand)) for hand in zip(hands.joints_m, hands.vertices_m)]

    def _with_grasp(self, joints_m: np.ndarray, vertices_m: np.ndarray) -> tuple[np.ndarray, np.ndarray, Solid | None]:
        """Replaces a share of the hands with grasps."""
        if not self._share_of_grasps or self._rng.random() >= self._share_of_grasps:
            return joints_m, vertices_m, None
        grasp = sample_grasp(self._rng, self._held_out)
        return grasp.joints_m, grasp.vertices_m, grasp.held

    def _scene(self, joints_m: np.ndarray, vertices_m: np.ndarray, held: Solid | None) -> Scene:
        rotation = natural_rotations(self._rng, 1)[0] if self._natural else _view(self._rng)
        middle = joints_m.mean(0)
        radius_m = np.linalg.norm(joints_m - middle, axis=-1).max()
        camera_matrix, centre = _camera(self._rng, radius_m, DISTANCE_M[1] if self._natural else _FAR_M)
        camera_from_wrist = rotation, centre - rotation @ middle, 1.0
        return self.scene_of(joints_m, vertices_m, camera_from_wrist, camera_matrix, held=held)

    def scene_of(
        self,
        joints_m: np.ndarray,
        vertices_m: np.ndarray,
        camera_from_wrist: tuple[np.ndarray, np.ndarray, float],
        camera_matrix: np.ndarray,
        with_objects: bool = True,
        held: Solid | None = None,
    ) -> Scene:
        """Returns a picture of a given right hand, with random skin, forearm, light, background and camera faults.

        Args:
            joints_m: (21, 3) in the wrist frame.
            vertices_m: (V, 3) in the wrist frame.
            camera_from_wrist: rotation (3, 3), translation (3,) in metres, scale.
            camera_matrix: (3, 3) of a picture of 256 x 256 px.
            with_objects: random objects are in the hand and in front of some hands.
            held: object of a grasp, None for a hand that grasps nothing. Such a hand holds no other object.
        """
        rng = self._rng

        def place(points: np.ndarray) -> np.ndarray:
            return rigid.transform(points, *camera_from_wrist)

        joints, vertices = place(joints_m), place(vertices_m)
        parts = [(vertices, self._hand.faces, self._skins[rng.integers(len(self._skins))])]
        parts.append(self._forearm(place, parts[0][2]))
        if held is not None:
            surface, faces = held.surface()
            parts.append((place(surface), faces, np.tile(_random_colour(rng), (len(surface), 1))))
        elif with_objects and rng.random() < self._share_with_object:
            parts.append(random_object(rng, 0.5 * (joints[MIDDLE_MCP] + joints[FINGERTIPS].mean(0)), 0.03))
        if with_objects and rng.random() < _SHARE_OCCLUDED:
            parts.append(random_object(rng, joints[rng.integers(21)] * rng.uniform(0.6, 0.9), 0.015))
        rgb, depth = _picture(rng, parts, camera_matrix, self._background())
        return Scene(rgb, camera_matrix, joints, vertices, depth, len(parts) > 2)

    def _forearm(self, place: Callable[[np.ndarray], np.ndarray], skin: np.ndarray) -> Part:
        """Returns a sleeve or a bare forearm, bent at the wrist."""
        sleeve, faces, colours = self._sleeves[self._rng.integers(len(self._sleeves))]
        bend = rotation_about(_unit(self._rng.normal(size=3)), self._rng.normal(0, 0.35))
        is_bare = self._rng.random() < _SHARE_BARE
        return place(sleeve @ bend.T), faces, np.broadcast_to(skin.mean(0), colours.shape) if is_bare else colours

    def _background(self) -> np.ndarray:
        rng = self._rng
        room = self._rooms[rng.integers(len(self._rooms))]
        row, column = rng.integers(0, room.shape[0] - SIZE_PX[0], 2)
        cut = room[row : row + SIZE_PX[1], column : column + SIZE_PX[0]]
        gain = rng.uniform(0.5, 1.2) * rng.uniform(0.85, 1.15, 3)
        return np.clip(cut[:, :: rng.choice([-1, 1])] * gain, 0, 255).astype(np.uint8)


def _tone(rng: np.random.Generator, held_out: bool) -> float:
    while True:
        tone = rng.uniform()
        if any(low <= tone <= high for low, high in _HELD_OUT_TONES) == held_out:
            return tone


def _view(rng: np.random.Generator) -> np.ndarray:
    """Returns a random rotation camera_from_wrist, (3, 3). Most views are near a raised hand in front of a camera."""
    if rng.random() >= _SHARE_SHOWN:
        return Rotation.random(random_state=rng).as_matrix()
    raised = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]])
    turn = Rotation.from_euler("z", rng.uniform(-np.pi, np.pi))
    swing = Rotation.from_rotvec(rng.normal(0, 0.6, 3))
    return (swing.as_matrix() @ raised) @ turn.as_matrix()


def _camera(rng: np.random.Generator, radius_m: float, far_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns K (3, 3) and the hand's centre (3,). The hand fills 40 to 85 % of the picture, from 0.2 m to `far_m`."""
    distance = np.exp(rng.uniform(np.log(DISTANCE_M[0]), np.log(far_m)))
    share = rng.uniform(0.40, 0.85)
    focal = share * 0.5 * SIZE_PX[0] * distance / radius_m
    # The picture is a crop of a larger picture. The principal point may be anywhere in the field of view of the larger picture.
    reach = 0.7 * focal * np.tan(np.deg2rad(0.5 * rng.uniform(*_FOV_DEG)))
    aside = rng.uniform(-1, 1, 2) * min(reach, 0.7 * focal)
    middle = 0.5 * (np.array(SIZE_PX) - 1) + rng.uniform(-0.5, 0.5, 2) * (1 - share) * 0.5 * np.array(SIZE_PX)
    ray = np.array([*(aside / focal), 1.0])
    principal = middle - aside
    camera_matrix = np.array([[focal, 0, principal[0]], [0, focal, principal[1]], [0, 0, 1]])
    return camera_matrix, ray * distance


def random_object(rng: np.random.Generator, centre_m: np.ndarray, size_m: float) -> Part:
    """Returns a ball, box or cylinder of random size, rotation and colour. The radius varies about `size_m`."""
    radius = size_m * rng.uniform(0.5, 1.3)
    kind = rng.integers(3)
    if kind == 0:
        shape = trimesh.creation.icosphere(subdivisions=2, radius=radius)
    elif kind == 1:
        shape = trimesh.creation.box(2 * radius * rng.uniform(0.4, 1.6, 3))
    else:
        shape = trimesh.creation.cylinder(radius=0.7 * radius, height=radius * rng.uniform(2, 8), sections=20)
    turned = shape.vertices @ Rotation.random(random_state=rng).as_matrix().T + centre_m + rng.normal(0, 0.01, 3)
    return turned, np.asarray(shape.faces), np.tile(_random_colour(rng), (len(turned), 1))


def _random_colour(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(0.02, 0.9, 3)


def _picture(
    rng: np.random.Generator,
    parts: list[Part],
    camera_matrix: np.ndarray,
    background: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns colours (256, 256, 3) uint8 with camera faults, and depth (256, 256) in metres."""
    vertices, faces, colours = zip(*parts)
    offsets = np.cumsum([0, *(len(points) for points in vertices[:-1])])
    joined = np.concatenate([face + offset for face, offset in zip(faces, offsets)])
    brightness = np.exp(rng.normal(0, 0.25))
    key = brightness * rng.uniform(0.2, 1.0) * rng.uniform(0.85, 1.15, 3)
    sky = brightness * rng.uniform(0.2, 0.6) * rng.uniform(0.9, 1.1, 3)
    light = Light(
        direction=tuple(_unit(rng.normal(size=3) + np.array([0.0, -0.6, -0.6]))),
        key=tuple(key),
        sky=tuple(sky),
        ground=tuple(rng.uniform(0.3, 0.9) * sky),
        gloss=rng.uniform(0, 0.12),
        shadows=bool(rng.random() < 0.6),
        occlusion=True,
    )
    surface = np.concatenate(vertices)
    surface[:, 2] = np.maximum(surface[:, 2], 0.02)
    picture = render(surface, joined, np.concatenate(colours), camera_matrix, SIZE_PX, light, background)
    return _flaws(rng, picture.rgb), picture.depth_m


def _flaws(rng: np.random.Generator, rgb: np.ndarray) -> np.ndarray:
    """Adds blur of focus and motion, sensor noise and compression."""
    if rng.random() < 0.25:
        rgb = cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.4, 1.2))
    if rng.random() < 0.1:
        length = int(rng.integers(3, 8))
        kernel = np.zeros((length, length), np.float32)
        angle = rng.uniform(0, np.pi)
        ends = [
            (0.5 * (length - 1) * (1 + sign * np.array([np.cos(angle), np.sin(angle)]))).round().astype(int) for sign in (-1, 1)
        ]
        cv2.line(kernel, ends[0].tolist(), ends[1].tolist(), 1.0)
        rgb = cv2.filter2D(rgb, -1, kernel / kernel.sum())
    noisy = np.clip(rgb + rng.normal(0, rng.uniform(0, 5), rgb.shape), 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        packed = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 95))])[1]
        noisy = cv2.imdecode(packed, cv2.IMREAD_COLOR)
    return noisy


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)
