"""Random appearance of rendered hands: skin colours, a sleeve over the open wrist, a background."""

import cv2
import numpy as np

from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.place.skin_depth import vertex_normals
from hand_mesh_ros.core.topology import FINGER_JOINTS, FINGERTIPS

# Linear rgb of skin from light to dark. Other tones are mixtures of two of these tones.
_SKIN_TONES = np.array([[0.72, 0.48, 0.36], [0.60, 0.36, 0.25], [0.40, 0.21, 0.13], [0.20, 0.10, 0.06], [0.09, 0.045, 0.03]])
_SLEEVE_LENGTH_M = 0.3
_SLEEVE_RINGS = 6


def skin_colours(model: HandModel, rng: np.random.Generator, tone: float | None = None) -> np.ndarray:
    """Returns linear rgb per vertex, (V, 3): a tone, a lighter palm, redder knuckles and tips, pale nails, spots.

    Args:
        model: the hand.
        rng: source of randomness.
        tone: from 0 (lightest) to 1 (darkest); None for a random tone.
    """
    place = (rng.uniform() if tone is None else tone) * (len(_SKIN_TONES) - 1)
    lower = min(int(place), len(_SKIN_TONES) - 2)
    colour = _SKIN_TONES[lower] + (place - lower) * (_SKIN_TONES[lower + 1] - _SKIN_TONES[lower])
    palmar = np.clip(0.5 + vertex_normals(model.template_m, model.faces)[:, 0], 0, 1)
    # The palm of dark skin is much lighter.
    palm_colour = 0.55 * colour + 0.45 * np.maximum(colour, _SKIN_TONES[1]) * (1.1, 1.0, 1.0)
    colours = colour + palmar[:, None] * (palm_colour - colour)
    red = _near(model, model.joints_m[FINGER_JOINTS[:, :3].ravel()], 0.010) * (1 - palmar)
    red = np.maximum(red, _near(model, model.joints_m[FINGERTIPS], 0.012) * palmar)
    colours = colours * (1 + 0.35 * red[:, None] * (0.35, -0.45, -0.40))
    nails = _near(model, model.joints_m[FINGERTIPS] - (0.006, 0, 0.003), 0.006) * (palmar < 0.3)
    colours = colours + 0.35 * nails[:, None] * (np.array([0.80, 0.55, 0.48]) * (0.4 + 0.6 * colour[0]) - colours)
    return np.clip(colours * (1 + 0.05 * _mottling(model, rng))[:, None], 0, 1).astype(np.float32)


def sleeve(model: HandModel, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns a tube of cloth from the wrist to the elbow, in the frame of the hand model.

    Returns:
        vertices (N, 3) metres, faces (M, 3), linear rgb (N, 3).
    """
    rim = model.template_m[_open_rim(model.faces)].astype(float)
    centre = rim.mean(0)
    # The first ring is over the skin. The second ring adds the thickness of the cloth. The other rings widen like a forearm.
    along = np.concatenate([[0.006, 0.004], np.linspace(-0.02, -_SLEEVE_LENGTH_M, _SLEEVE_RINGS - 2)])
    widths = np.concatenate([[1.02, 1.18], np.linspace(1.22, 1.7, _SLEEVE_RINGS - 2)])
    rings = centre + widths[:, None, None] * (rim - centre) * (1, 1, 0) + along[:, None, None] * (0, 0, 1)
    count = len(rim)
    first = np.arange(count) + count * np.arange(_SLEEVE_RINGS - 1)[:, None]
    following = (np.arange(count) + 1) % count + count * np.arange(_SLEEVE_RINGS - 1)[:, None]
    faces = np.concatenate(
        [np.stack([first, following, first + count], -1), np.stack([following, following + count, first + count], -1)]
    )
    colour = rng.uniform(0.02, 0.35) + rng.uniform(-0.02, 0.12, 3)
    folds = 1 + 0.12 * np.sin(40 * rings[..., 2] + rng.uniform(0, 6) + 3 * np.sin(60 * rings[..., 1]))
    colours = np.clip(colour * folds.reshape(-1, 1), 0, 1)
    return rings.reshape(-1, 3), faces.reshape(-1, 3), colours


def room(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Returns a blurred indoor scene with walls, boards and boxes, (H, W, 3) uint8."""
    width, height = size
    wall = rng.uniform(80, 190) + rng.uniform(-8, 8, 3)
    image = np.broadcast_to(wall, (height, width, 3)).astype(np.float32)
    image = np.ascontiguousarray(image + np.linspace(18, -28, height, dtype=np.float32)[:, None, None])
    for _ in range(9):
        place, extent = rng.uniform(-0.1, 1.1, 2) * size, rng.uniform(0.06, 0.6, 2) * size
        # Most furniture has the colour of the wall or grey-brown; few pieces are colourful.
        colour = np.clip(wall * rng.uniform(0.3, 1.2) + rng.uniform(4, 22) * rng.normal(0, 1, 3), 5, 245)
        corners = cv2.boxPoints((place.tolist(), extent.tolist(), rng.uniform(-3, 3)))
        cv2.fillConvexPoly(image, corners.astype(np.int32), colour.tolist(), cv2.LINE_AA)
    for octave in (4, 9, 24):
        grain = rng.normal(0, 3, (octave, octave, 1)).astype(np.float32)
        image += cv2.resize(grain, size, interpolation=cv2.INTER_CUBIC)[..., None]
    blurred = cv2.GaussianBlur(image, (0, 0), 0.008 * width)
    return np.clip(blurred, 0, 255).astype(np.uint8)


def clouds(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Returns noise of all scales, (H, W, 3) uint8, similar to leaves, gravel or clouds."""
    width, height = size
    image = np.broadcast_to(rng.uniform(50, 200) + rng.normal(0, 25, 3), (height, width, 3)).astype(np.float32)
    roughness = rng.uniform(0.4, 0.9)
    for octave in range(1, 7):
        grey, colour = (rng.normal(0, share, (2**octave, 2**octave, depth)) for share, depth in ((45, 1), (12, 3)))
        grain = (roughness**octave * (grey + colour)).astype(np.float32)
        image = image + cv2.resize(grain, size, interpolation=cv2.INTER_CUBIC)
    return np.clip(image, 0, 255).astype(np.uint8)


def _near(model: HandModel, points_m: np.ndarray, reach_m: float) -> np.ndarray:
    """Returns (V,) in 0..1: closeness of each vertex to the nearest point."""
    distance = np.linalg.norm(model.template_m[:, None] - points_m, axis=-1).min(1)
    return np.exp(-0.5 * np.square(distance / reach_m))


def _mottling(model: HandModel, rng: np.random.Generator) -> np.ndarray:
    """Returns smooth noise of unit variance over the surface, (V,)."""
    waves = rng.normal(0, 120, (3, 24))
    noise = np.cos(model.template_m @ waves + rng.uniform(0, 2 * np.pi, 24)).sum(1)
    return noise / noise.std()


def _open_rim(faces: np.ndarray) -> np.ndarray:
    """Returns the vertex ids around the only hole of the surface, in order.

    Raises:
        ValueError: if the surface is closed, or has several holes.
    """
    edges = {(int(a), int(b)) for face in faces for a, b in zip(face, np.roll(face, -1))}
    following = {a: b for a, b in edges if (b, a) not in edges}
    if not following:
        raise ValueError("the hand model's surface is closed: a sleeve needs an open wrist")
    loop = [next(iter(sorted(following)))]
    while (vertex := following[loop[-1]]) != loop[0]:
        loop.append(vertex)
    if len(loop) != len(following):
        raise ValueError(f"the hand model's surface has several holes: {len(loop)} of {len(following)} rim vertices are in one")
    return np.array(loop)
