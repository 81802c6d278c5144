"""Fast hands, several people and several cameras: images without the hand, and ids that change."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.metrics import keypoint_error
from benchmarks.reach.pastes import Cutout, place
from benchmarks.reach.pictures import made_pictures
from benchmarks.reach.streams import Stream
from benchmarks.videos import read_video
from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.detect.detector import HandDetector

# Greatest speeds, in sides of the hand's picture per image. At 30 Hz, 0.25 is a hand that moves by 1.5 m/s at 20 cm per side.
SPEEDS = (0.05, 0.15, 0.25, 0.35)
_SIZE, _IMAGES, _SLOW_IMAGES = (640, 480), 45, 15
# The exposure time relative to the time between two images.
_EXPOSURE = 0.25
_NOISE_LEVELS = 3.0
# Mean keypoint error of a hand that counts as found, relative to its radius.
_ON = 0.6
_CROWD_IMAGES, _PARTS = 300, 4


def speeds(detector: HandDetector, config: PipelineConfig, hands: list[Cutout]) -> list[dict[str, Any]]:
    """Returns the share of images without the hand, and the number of additional ids, by speed."""
    backgrounds = [picture for name, picture in made_pictures(np.random.default_rng(5)) if name.startswith(("room", "clouds"))]
    rows = []
    for speed in SPEEDS:
        lost, ids = [], 0
        for index, hand in enumerate(hands):
            rng = np.random.default_rng(index)
            stream, names = Stream(detector, config), set()
            for number, (rgb, keypoints) in enumerate(movie(hand, backgrounds[index % len(backgrounds)], speed, rng)):
                on_it = {each.track_id for each in stream.step(rgb) if keypoint_error(each.keypoints_px, keypoints) < _ON}
                names |= on_it
                if number >= _SLOW_IMAGES:
                    lost.append(not on_it)
            ids += max(len(names) - 1, 0)
        rows.append({"speed": speed, "lost": float(np.mean(lost)), "new ids": ids, "hands": len(hands)})
    return rows


def movie(
    hand: Cutout, background: np.ndarray, speed: float, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields images (H, W, 3) of a hand that swings through the image, first slowly, and its keypoints (21, 2)."""
    side_px = rng.uniform(120, 180)
    swing, start, ratio = None, rng.uniform(0, 2 * np.pi, 2), np.array([1, rng.uniform(0.3, 0.7)])
    for index in range(_IMAGES):
        time = index if index >= _SLOW_IMAGES else 0.5 * (index * index / _SLOW_IMAGES + _SLOW_IMAGES)
        if swing is None:
            swing = 0.47 * (np.array(_SIZE) - place(hand, side_px, background, np.zeros(2, int))[2])
        rate = speed * side_px / swing[0] * ratio
        velocity = swing * rate * np.cos(start + rate * time)
        corner = (swing * (1 + np.sin(start + rate * time))).astype(int)
        blurred = replace(hand, rgb=_smeared(hand.rgb, _EXPOSURE * velocity * hand.rgb.shape[0] / side_px))
        rgb, keypoints, _ = place(blurred, side_px, background, corner)
        yield np.clip(rgb + rng.normal(0, _NOISE_LEVELS, rgb.shape), 0, 255).astype(np.uint8), keypoints


def _smeared(rgb: np.ndarray, way_px: np.ndarray) -> np.ndarray:
    """Returns the image with the blur of a motion by `way_px` (2,)."""
    reach = int(np.ceil(0.5 * np.linalg.norm(way_px)))
    if reach < 1:
        return rgb
    kernel, half = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32), (0.5 * way_px).round().astype(int)
    cv2.line(kernel, (reach - half).tolist(), (reach + half).tolist(), 1.0)
    return cv2.filter2D(rgb, -1, kernel / kernel.sum())


def crowd(detector: HandDetector, config: PipelineConfig, video: Path) -> dict[str, int]:
    """Returns ids and counts for four hands in one image: a video in four parts, with delays, two parts mirrored."""
    of_two_people = replace(config, max_hands=_PARTS, one_per_side=False)
    detector.reconfigure(of_two_people)
    stream = Stream(detector, of_two_people)
    names: list[set[str]] = [set() for _ in range(_PARTS)]
    complete = 0
    for rgb in _four(video):
        hands, middle = stream.step(rgb), np.array(rgb.shape[1::-1]) / 2
        for hand in hands:
            right, low = (hand.keypoints_px.mean(0) > middle).astype(int).tolist()
            names[right + 2 * low].add(hand.track_id)
        complete += len(hands) == _PARTS
    detector.reconfigure(config)
    return {"images": _CROWD_IMAGES, "with four hands": complete, "ids": sum(len(each) for each in names)}


def _four(video: Path) -> Iterator[np.ndarray]:
    """Yields 10 s of images with four copies of a video at half size."""
    small = [cv2.resize(rgb, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for rgb in read_video(video)]
    for index in range(_CROWD_IMAGES):
        parts = [small[(index + 150 * part) % len(small)][:, :: -1 if part % 2 else 1] for part in range(_PARTS)]
        yield np.vstack([np.hstack(parts[:2]), np.hstack(parts[2:])])


def two_cameras(detector: HandDetector, config: PipelineConfig, video: Path) -> dict[str, int]:
    """Returns ids and counts for two cameras whose images come in turn: a video, and the same video mirrored and later."""
    images = list(read_video(video))
    streams = Stream(detector, config), Stream(detector, config)
    names: list[set[str]] = [set(), set()]
    single = 0
    for index in range(_CROWD_IMAGES):
        later = np.ascontiguousarray(images[(index + 150) % len(images)][:, ::-1])
        for number, rgb in enumerate((images[index], later)):
            hands = streams[number].step(rgb)
            names[number] |= {hand.track_id for hand in hands}
            single += len(hands) == 1
    return {"images": 2 * _CROWD_IMAGES, "with one hand": single, "ids": sum(len(each) for each in names)}
