"""Photographs of hands, shrunk and pasted into pictures without a hand, or with reduced quality."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.reach.pictures import fitted
from benchmarks.samples import PAD_PX, real_samples
from hand_mesh_ros.core.geometry.camera import project
from hand_mesh_ros.core.geometry.rays import ray_extent

# The photograph fades out over this share of its reflected border, because a sharp border would help the detector.
_FADE = 0.7
_NOISE_LEVELS = 3.0  # standard deviation of the noise of each image, in grey levels


@dataclass(frozen=True)
class Cutout:
    """A photograph with a reflected border, and the keypoints of its hand."""

    name: str
    rgb: np.ndarray  # (H, W, 3) uint8, `PAD_PX` around the photograph
    keypoints_px: np.ndarray  # (21, 2) in `rgb`


@dataclass(frozen=True)
class Paste:
    """A picture with one hand."""

    name: str
    rgb: np.ndarray  # (H, W, 3) uint8
    keypoints_px: np.ndarray  # (21, 2)

    @property
    def radius_px(self) -> float:
        """Root mean square distance of the joints from their middle."""
        return ray_extent(self.keypoints_px)

    def images(self, count: int) -> Iterator[np.ndarray]:
        """Yields the picture `count` times with different noise, as from a still camera."""
        rng = np.random.default_rng(len(self.name))
        # New noise for a 4K image takes longer than the detector, so the images use one noise field with random shifts.
        field = rng.normal(0, _NOISE_LEVELS, self.rgb.shape).astype(np.int16)
        for _ in range(count):
            shift = rng.integers(0, field.shape[0]), rng.integers(0, field.shape[1])
            yield np.clip(self.rgb + np.roll(field, shift, (0, 1)), 0, 255).astype(np.uint8)


def cutouts(folder: Path) -> list[Cutout]:
    """Returns the padded photographs of a folder in the format of `benchmarks.accuracy`."""
    return [
        Cutout(sample.name, sample.frame.rgb, project(sample.joints_m, sample.frame.camera_matrix))
        for sample in real_samples(folder)
    ]


def rendered(count: int, seed: int, natural: bool, objects: bool = False) -> list[Cutout]:
    """Returns rendered hands of the held-out set, with a reflected border; with `objects`, every hand holds an object."""
    from models_train.data.scenes import SceneMaker  # only this function needs the renderer

    share = {"share_with_object": 1.0} if objects else {}
    maker = SceneMaker(np.random.default_rng(seed), held_out=True, natural=natural, **share)
    return [
        Cutout(
            f"{seed}-{index}",
            cv2.copyMakeBorder(scene.rgb, *4 * [PAD_PX], cv2.BORDER_REFLECT_101),
            project(scene.joints_m, scene.camera_matrix) + PAD_PX,
        )
        for index, scene in enumerate(maker.scenes(count))
    ]


def paste(cutout: Cutout, side_px: float, picture: np.ndarray, size: tuple[int, int], rng: np.random.Generator) -> Paste:
    """Pastes a photograph, shrunk to `side_px` without its border, at a random place in a part of `picture` of `size`."""
    background = fitted(picture, size, rng)
    room = np.array(size) - _small(cutout, side_px).shape[1::-1]
    if room.min() < 0:
        raise ValueError(f"a paste of {size[0] - room[0]} px does not fit into {size[0]}x{size[1]}")
    corner = np.array([rng.integers(0, max(room[0], 0) + 1), rng.integers(0, max(room[1], 0) + 1)])
    rgb, keypoints, _ = place(cutout, side_px, background, corner)
    return Paste(f"{cutout.name} {side_px:g}", rgb, keypoints)


def place(
    cutout: Cutout, side_px: float, background: np.ndarray, corner: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns `background` with the shrunk photograph at `corner` (2,), its keypoints (21, 2), and its width and height."""
    small, whole = _small(cutout, side_px), cutout.rgb.shape[0]
    height, width = small.shape[:2]
    mask = cv2.resize(_mask(whole), (width, height), interpolation=cv2.INTER_AREA)[..., None]
    picture = background.astype(np.float32)
    window = picture[corner[1] : corner[1] + height, corner[0] : corner[0] + width]
    window += mask * (small - window)
    # Pixel centres are at integers.
    keypoints = (cutout.keypoints_px + 0.5) * (np.array([width, height]) / whole) - 0.5 + corner
    return picture.round().astype(np.uint8), keypoints, np.array([width, height])


def _small(cutout: Cutout, side_px: float) -> np.ndarray:
    gain = side_px / (cutout.rgb.shape[0] - 2 * PAD_PX)
    return cv2.resize(cutout.rgb, None, fx=gain, fy=gain, interpolation=cv2.INTER_AREA)


def _mask(whole: int) -> np.ndarray:
    """Returns (whole, whole): 1 on the photograph, with a smooth decrease to 0 in its border."""
    outside = np.maximum(np.abs(np.arange(whole) - (whole - 1) / 2) - (whole / 2 - PAD_PX), 0) / (_FADE * PAD_PX)
    share = np.clip(1 - np.hypot(outside[:, None], outside), 0, 1)
    return (share * share * (3 - 2 * share)).astype(np.float32)


def grey(rgb: np.ndarray, _: np.random.Generator | None = None) -> np.ndarray:
    """Returns an image (H, W, 3) without colours."""
    return cv2.cvtColor(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def _dark(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.clip(0.12 * rgb + rng.normal(0, 2, rgb.shape), 0, 255).astype(np.uint8)


def _flat(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns the photograph with little contrast, as in fog or with a dirty lens."""
    return np.clip(110 + 0.12 * (rgb - 110.0) + rng.normal(0, 1.5, rgb.shape), 0, 255).astype(np.uint8)


def _blurred(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns the blur of a hand that moves by 24 px during the exposure."""
    turn, kernel = rng.uniform(0, np.pi), np.zeros((25, 25), np.float32)
    way = (11.5 * np.array([np.cos(turn), np.sin(turn)])).round().astype(int)
    cv2.line(kernel, (12 - way).tolist(), (12 + way).tolist(), 1.0)
    return cv2.filter2D(rgb, -1, kernel / kernel.sum())


def _noisy(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.clip(rgb + rng.normal(0, 25, rgb.shape), 0, 255).astype(np.uint8)


WORSE: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "as it is": lambda rgb, _: rgb,
    "grey": grey,
    "dark": _dark,
    "flat": _flat,
    "blurred": _blurred,
    "noisy": _noisy,
}


def covered(cutout: Cutout, rng: np.random.Generator) -> np.ndarray:
    """Returns the photograph with a uniform cover on one side of a random line through the centre of the hand."""
    turn = rng.uniform(0, 2 * np.pi)
    along = np.array([np.cos(turn), np.sin(turn)])
    places = np.stack(np.meshgrid(np.arange(cutout.rgb.shape[1]), np.arange(cutout.rgb.shape[0])), -1)
    behind = (places - cutout.keypoints_px.mean(0)) @ along > 0
    return np.where(behind[..., None], rng.integers(40, 200, 3), cutout.rgb).astype(np.uint8)
