"""Films of rendered hands in motion: bare, in gloves, or in the light of an infrared lamp at the camera."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.reach.pastes import grey
from benchmarks.reach.streams import Shot
from benchmarks.samples import hidden_joints
from hand_mesh_ros.core.geometry.camera import project
from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.geometry.rotations import rotation_about
from hand_mesh_ros.core.topology import FINGER_BASES, WRIST
from hand_mesh_ros.core.types import Side
from hand_mesh_ros.sources.assumed_camera import assumed_matrix
from hand_mesh_ros.synthetic import appearance
from hand_mesh_ros.synthetic.render import Light, render
from models_train.data.views import natural_rotations
from models_train.hands.poses import NATURAL_SHARE
from models_train.hands.sample import sample_hands, shipped_hand

SIZE = (640, 480)
CAMERA = assumed_matrix(*SIZE, 60.0)
# Linear rgb and gloss of gloves.
GLOVES = {
    "black glove": ((0.02, 0.02, 0.022), 0.05),
    "blue glove": ((0.05, 0.17, 0.55), 0.12),
    "white glove": ((0.75, 0.75, 0.72), 0.04),
    "orange glove": ((0.85, 0.25, 0.03), 0.06),
}
_NOISE_LEVELS = 3.0
# Fingers point up in most views of a person in front of a camera: smallest upward share of their direction.
_LEAST_UP = 0.3
# Reflectance of every skin tone in the near infrared, and brightness of a distant background and of the noise there.
_INFRARED_SKIN, _INFRARED_BACKGROUND, _INFRARED_NOISE = 0.55, (0.03, 0.2), 5.0


@dataclass(frozen=True)
class Actor:
    """A hand with its forearm. Points are relative to the mean of the joints, in camera axes."""

    joints_m: np.ndarray  # (21, 3)
    surface_m: np.ndarray  # (N, 3); the skin of the hand comes first
    faces: np.ndarray  # (M, 3)
    colours: np.ndarray  # (N, 3) linear rgb
    side: Side
    gloss: float = 0.05

    @property
    def skin_m(self) -> np.ndarray:
        """(V, 3) the surface without the forearm."""
        return self.surface_m[: len(shipped_hand().template_m)]

    def turned(self, rotation: np.ndarray) -> "Actor":
        """The hand after a rotation (3, 3) about the mean of its joints."""
        return replace(self, joints_m=self.joints_m @ rotation.T, surface_m=self.surface_m @ rotation.T)

    def in_glove(self, name: str) -> "Actor":
        """The hand in a glove of one colour. The forearm stays."""
        colour, gloss = GLOVES[name]
        colours = self.colours.copy()
        colours[: len(self.skin_m)] = colour
        return replace(self, colours=colours, gloss=gloss)


def actor(rng: np.random.Generator, side: Side) -> Actor:
    """Returns a random hand in a natural pose and view, of the held-out set, with fingers that point up."""
    hand = shipped_hand()
    batch = sample_hands(rng, 1, held_out=True, natural_share=NATURAL_SHARE)
    joints, skin = batch.joints_m[0], batch.vertices_m[0]
    sleeve, sleeve_faces, sleeve_colours = appearance.sleeve(hand, rng)
    skin_colours = appearance.skin_colours(hand, rng)
    if rng.random() < 0.5:
        sleeve_colours = np.broadcast_to(skin_colours.mean(0), sleeve_colours.shape)
    rotation = _upright(rng, joints)
    middle = joints.mean(0)
    surface = np.concatenate([skin, sleeve])
    joints, surface = (joints - middle) @ rotation.T, (surface - middle) @ rotation.T
    faces = np.concatenate([hand.faces, sleeve_faces + len(skin)])
    if side == "left":
        # A mirror image reverses the winding.
        joints, surface, faces = mirror_points(joints), mirror_points(surface), faces[:, ::-1]
    return Actor(joints, surface, faces, np.concatenate([skin_colours, sleeve_colours]), side)


def _upright(rng: np.random.Generator, joints_m: np.ndarray) -> np.ndarray:
    fingers = joints_m[list(FINGER_BASES[1:])].mean(0) - joints_m[WRIST]
    while True:
        rotation = natural_rotations(rng, 1)[0]
        if (rotation @ fingers)[1] < -_LEAST_UP * np.linalg.norm(fingers):
            return rotation


class Stage:
    """Light, background and noise of one film."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._background = (appearance.clouds if rng.random() < 0.3 else appearance.room)(SIZE, rng)
        self._noise = rng.normal(0, _NOISE_LEVELS, (*SIZE[::-1], 3)).round().astype(np.int16)
        brightness = np.exp(rng.normal(0, 0.25))
        direction = rng.normal(size=3) + np.array([0.0, -0.8, -0.8])
        sky = brightness * rng.uniform(0.25, 0.6)
        self._light = Light(
            direction=tuple(direction / np.linalg.norm(direction)),
            key=(brightness * rng.uniform(0.4, 1.0),) * 3,
            sky=(sky,) * 3,
            ground=(0.6 * sky,) * 3,
            shadows=True,
            occlusion=True,
        )
        self._swing = rng.uniform(0, 2 * np.pi, 2)
        self._axis = rng.normal(size=3)
        self._axis /= np.linalg.norm(self._axis)

    def wobbled(self, hand: Actor, image: int, index: int = 0) -> Actor:
        """Returns a hand with the small rotation that a free hand makes, for an image of the film."""
        angle = np.deg2rad(12.0) * np.sin(0.13 * image + self._swing[index % 2])
        return hand.turned(rotation_about(self._axis, np.array(angle)))

    def shot(self, hands: Sequence[Actor], centres_m: Sequence[np.ndarray]) -> Shot:
        """Returns an image of hands with their joints around the points `centres_m` (3,)."""
        light = replace(self._light, gloss=hands[0].gloss)
        colours = [hand.colours for hand in hands]
        rgb, depth = self._render(hands, centres_m, colours, light, self._background)
        # New noise takes longer than the detector, so the images use one noise field with random shifts.
        noise = np.roll(self._noise, self._rng.integers(0, self._noise.shape[0], 2), (0, 1))
        return _with_truth(np.clip(rgb + noise, 0, 255).astype(np.uint8), depth, hands, centres_m)

    def infrared_shot(self, hand: Actor, centre_m: np.ndarray) -> Shot:
        """Returns the image of an infrared camera with a lamp beside its lens.

        The light of the lamp decreases with the square of the distance. So the hand is bright, up to saturation, and the distant
        background is dark.
        """
        rng, exposure = self._rng, np.exp(self._rng.uniform(np.log(0.5), np.log(2.5)))
        surface = hand.surface_m + centre_m
        falloff = (centre_m[2] / np.maximum(surface[:, 2:], 0.1)) ** 2
        texture = 1 + 0.15 * (hand.colours.mean(1, keepdims=True) / hand.colours.mean() - 1)
        colours = np.repeat(np.clip(_INFRARED_SKIN * texture * falloff, 0, 4), 3, axis=1)
        light = Light((0.05, 0.0, -1.0), (exposure,) * 3, (0.03,) * 3, (0.03,) * 3, gloss=0.02, shadows=True)
        background = grey(self._background) * rng.uniform(*_INFRARED_BACKGROUND)
        rgb, depth = self._render([hand], [centre_m], [colours], light, background.astype(np.uint8))
        x, y = np.meshgrid(np.linspace(-1, 1, SIZE[0]), np.linspace(-0.75, 0.75, SIZE[1]))
        corner_falloff = 1 / (1 + 0.35 * (x * x + y * y)) ** 2
        noisy = rgb[..., 0] * corner_falloff + rng.normal(0, _INFRARED_NOISE, rgb.shape[:2])
        image = np.clip(noisy, 0, 255).astype(np.uint8)
        return _with_truth(np.repeat(image[..., None], 3, axis=2), depth, [hand], [centre_m])

    @staticmethod
    def _render(
        hands: Sequence[Actor],
        centres_m: Sequence[np.ndarray],
        colours: Sequence[np.ndarray],
        light: Light,
        background: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        starts = np.cumsum([0, *(len(hand.surface_m) for hand in hands)])
        surface = np.concatenate([hand.surface_m + centre for hand, centre in zip(hands, centres_m)])
        faces = np.concatenate([hand.faces + start for hand, start in zip(hands, starts)])
        picture = render(surface, faces, np.concatenate(colours), CAMERA, SIZE, light, background)
        return picture.rgb, picture.depth_m


def _with_truth(rgb: np.ndarray, depth_m: np.ndarray, hands: Sequence[Actor], centres_m: Sequence[np.ndarray]) -> Shot:
    joints = [hand.joints_m + centre for hand, centre in zip(hands, centres_m)]
    skins = [hand.skin_m + centre for hand, centre in zip(hands, centres_m)]
    hidden = [hidden_joints(points, skin, CAMERA, depth_m) for points, skin in zip(joints, skins)]
    keypoints = np.array([project(points, CAMERA) for points in joints])
    return Shot(rgb, keypoints, 1 - np.mean(hidden, axis=1))
