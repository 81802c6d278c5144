"""Pictures without a hand: pictures of installed packages, rendered rooms and arms, textures, text."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from hand_mesh_ros.synthetic import appearance

# Folders of pictures in packages. Packages that are not installed do not count. `pip install --no-deps` is enough.
_FOLDERS = (
    ("skimage", "data"),
    ("sklearn", "datasets/images"),
    ("matplotlib", "mpl-data/sample_data"),
    ("viser", "_assets/hdri"),
)
# Excluded pictures: the cameraman has hands, and the others are too small or show drawn signs.
_LEFT_OUT = {"camera.png", "logo2.png", "multipage.tif", "multipage_rgb.tif", "Minduka_Present_Blue_Pack.png"}
_MADE_OF_EACH_KIND = 8
_WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "while", "five", "wizards", "box", "0123456789"]


def hand_free(seed: int = 0) -> list[tuple[str, np.ndarray]]:
    """Returns names and pictures (H, W, 3) uint8 rgb, at least 60 with all packages. The same seed gives the same pictures."""
    return [*package_pictures(), *made_pictures(np.random.default_rng(seed))]


def package_pictures() -> list[tuple[str, np.ndarray]]:
    """Returns pictures of installed packages, with names."""
    pictures = {}
    for package, folder in _FOLDERS:
        spec = find_spec(package)
        root = Path(spec.origin).parent / folder if spec and spec.origin else None
        for path in sorted(root.iterdir()) if root and root.is_dir() else ():
            picture = cv2.imread(str(path)) if path.suffix in (".png", ".jpg") and path.name not in _LEFT_OUT else None
            if picture is not None:
                pictures[f"{package}/{path.name}"] = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    return list(pictures.items())


def made_pictures(rng: np.random.Generator, size: tuple[int, int] = (640, 480)) -> list[tuple[str, np.ndarray]]:
    """Returns some drawn pictures of each kind."""
    makers: dict[str, Callable[[tuple[int, int], np.random.Generator], np.ndarray]] = {
        "room": appearance.room,
        "clouds": appearance.clouds,
        "noise": _noise,
        "text": _text,
        "sticks": _sticks,
    }
    return [(f"{name} {index}", make(size, rng)) for name, make in makers.items() for index in range(_MADE_OF_EACH_KIND)]


def fitted(picture: np.ndarray, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Returns a random part of a picture, scaled to `size` (width, height)."""
    height, width = picture.shape[:2]
    gain = max(size[0] / width, size[1] / height)
    scaled = cv2.resize(picture, None, fx=gain, fy=gain, interpolation=cv2.INTER_AREA if gain < 1 else cv2.INTER_CUBIC)
    scaled = cv2.copyMakeBorder(
        scaled, 0, max(size[1] - scaled.shape[0], 0), 0, max(size[0] - scaled.shape[1], 0), cv2.BORDER_REPLICATE
    )
    left, top = (rng.integers(0, scaled.shape[axis] - size[1 - axis] + 1) for axis in (1, 0))
    return np.ascontiguousarray(scaled[top : top + size[1], left : left + size[0]])


def _noise(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    cells = max(2, int(size[1] * 10 ** rng.uniform(-1.5, 0)))
    return cv2.resize(rng.integers(0, 256, (cells, cells * size[0] // size[1], 3), dtype=np.uint8), size)


def _text(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    page = np.full((size[1], size[0], 3), rng.integers(180, 256), np.uint8)
    height = rng.uniform(0.4, 1.5)
    for row in np.arange(30 * height, size[1], 32 * height):
        line = " ".join(rng.choice(_WORDS, 30))
        cv2.putText(page, line, (10, int(row)), cv2.FONT_HERSHEY_SIMPLEX, height, (40, 40, 40), 1 + int(height), cv2.LINE_AA)
    return page


def _sticks(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Returns rounded bars in skin colours in front of a room. The bars look like arms, legs or single fingers."""
    picture = appearance.room(size, rng)
    for _ in range(rng.integers(4, 9)):
        tone = rng.uniform(0.25, 1.0) * np.array([235, 185, 155]) + rng.normal(0, 6, 3)
        start = rng.uniform(0, 1, 2) * size
        turn, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.6) * size[1]
        end = start + length * np.array([np.cos(turn), np.sin(turn)])
        width = int(rng.uniform(0.12, 0.35) * length)
        for share in np.linspace(1, 0.2, 6):  # darker at the border, like a round body
            colour = np.clip(tone * (1.05 - 0.35 * share), 0, 255).tolist()
            cv2.line(
                picture, start.astype(int).tolist(), end.astype(int).tolist(), colour, max(1, int(width * share)), cv2.LINE_AA
            )
    return cv2.GaussianBlur(picture, (0, 0), 1.2)
