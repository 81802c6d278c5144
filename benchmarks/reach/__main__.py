"""Measures how the detector finds small, dark or covered hands; writes docs/reach.md and its plot.

    python -m benchmarks.reach --data ../shared/data/real_dev [--video hand.mp4] [--before old.json] [--out docs/reach.md]

The pictures without hands come from installed packages. `pip install --no-deps scikit-image scikit-learn` installs most pictures.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.reach import moving, pastes, pictures, tables
from benchmarks.reach.streams import Stream, false_hands, watch
from benchmarks.samples import PAD_PX
from benchmarks.videos import read_video
from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.detect.detector import HandDetector
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.types import Frame

SIDES_PX = (110, 80, 60, 45)
RESOLUTIONS = ((640, 480), (1280, 720), (1920, 1080))
FILMS = ("crossings", "returns", "materials")
PARTS = ("free", "worse", "rendered", "video", "crowd", "two cameras", "speeds", *FILMS, "small")
_IMAGES, _FREE_IMAGES = 30, 30
# Number of rendered hands of each kind, of moving hands, and of films or hands of each kind; seed of the films.
_RENDERED, _MOVING = 60, 8
_FILMS, _FILM_SEED = {"crossings": 5, "returns": 5, "materials": 16}, 500


def main() -> None:
    """Command line: see the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with images/ and annotations.npz")
    parser.add_argument("--video", type=Path, help="video of one hand that is always in view")
    parser.add_argument("--every", type=int, default=1, help="use every n-th photograph")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="parts to measure; other parts come from --json")
    parser.add_argument("--before", type=Path, help="figures (--json) of an earlier version, for comparison")
    parser.add_argument("--out", type=Path, help="file for the page; the plot goes to images/ beside this file")
    parser.add_argument("--json", type=Path, help="file for the figures")
    args = parser.parse_args()
    config = PipelineConfig()
    detector = HandDetector(default_models_dir(), config)
    # With processor time, other programs on this machine do not use up the time limit of a plan.
    detector.clock = time.thread_time
    cutouts = pastes.cutouts(args.data)[:: args.every]
    figures: dict[str, Any] = json.loads(args.json.read_text()) if args.json and args.json.is_file() else {}
    measures: dict[str, Callable[[], Any]] = {
        "free": lambda: free(detector, config),
        "worse": lambda: worse(detector, cutouts),
        "rendered": lambda: rendered(detector),
        "speeds": lambda: moving.speeds(detector, config, followable(detector)),
        "small": lambda: small(detector, config, cutouts),
    }
    for part in FILMS:
        measures[part] = lambda part=part: film(detector, config, part)
    if args.video:
        measures["video"] = lambda: video(detector, config, args.video)
        measures["crowd"] = lambda: moving.crowd(detector, config, args.video)
        measures["two cameras"] = lambda: moving.two_cameras(detector, config, args.video)
    for name in args.parts:
        if name in measures:
            figures[name] = measures[name]()
            say(f"{name}: {figures[name]}")
            if args.json:
                args.json.write_text(json.dumps(figures, indent=1))
    if args.out:
        tables.write(args.out, figures, json.loads(args.before.read_text()) if args.before else {})


def small(detector: HandDetector, config: PipelineConfig, cutouts: list[pastes.Cutout]) -> list[dict[str, Any]]:
    """Returns the figures of shrunk hands in pictures, by size and resolution."""
    backgrounds = [picture for _, picture in pictures.hand_free()]
    rows = []
    for size in RESOLUTIONS:
        for side_px in SIDES_PX:
            rng = np.random.default_rng(side_px)
            sights = []
            for cutout in cutouts:
                paste = pastes.paste(cutout, side_px, backgrounds[rng.integers(len(backgrounds))], size, rng)
                sights.append(watch(Stream(detector, config), paste, _IMAGES))
            row = {"width": size[0], "height": size[1], "side_px": side_px} | tables.summary(sights)
            say(tables.line(row))
            rows.append(row)
    return rows


def worse(detector: HandDetector, cutouts: list[pastes.Cutout]) -> dict[str, dict[str, float]]:
    """Returns found share, keypoint error and false hands in single photographs, original and with reduced quality."""
    rng = np.random.default_rng(3)
    kinds: dict[str, Callable[[pastes.Cutout], np.ndarray]] = {
        name: lambda cutout, change=change: change(cutout.rgb, rng) for name, change in pastes.WORSE.items()
    }
    kinds["half covered"] = lambda cutout: pastes.covered(cutout, rng)
    return {
        name: alone(detector, [pastes.Paste(each.name, make(each), each.keypoints_px) for each in cutouts])
        for name, make in kinds.items()
    }


def rendered(detector: HandDetector) -> dict[str, dict[str, float]]:
    """Returns found share, keypoint error and false hands in single rendered images, without the reflected border."""
    kinds = {
        "rendered, any pose and view": (41, False, False),
        "rendered, natural": (42, True, False),
        "rendered, with an object": (43, True, True),
    }
    inner, figures = slice(PAD_PX, -PAD_PX), {}
    for name, (seed, natural, objects) in kinds.items():
        hands = pastes.rendered(_RENDERED, seed, natural, objects)
        shown = [
            pastes.Paste(each.name, np.ascontiguousarray(each.rgb[inner, inner]), each.keypoints_px - PAD_PX) for each in hands
        ]
        figures[name] = alone(detector, shown)
    return figures


def alone(detector: HandDetector, images: list[pastes.Paste]) -> dict[str, float]:
    """Returns found share, mean keypoint error and number of other hands in single images."""
    found, errors, others = 0, [], 0
    for image in images:
        hands = detector.detect(Frame(image.rgb, np.zeros((3, 3))))
        apart = [np.linalg.norm(hand.keypoints_px - image.keypoints_px, axis=1).mean() / image.radius_px for hand in hands]
        on_it = [value for value in apart if value < 1]
        found += bool(on_it)
        errors += on_it[:1]
        others += len(hands) - bool(on_it)
    return {"found": found / len(images), "error": float(np.mean(errors)), "others": others}


def followable(detector: HandDetector) -> list[pastes.Cutout]:
    """Returns rendered hands that the detector finds in a still image."""
    hands = pastes.rendered(4 * _MOVING, 44, natural=True)
    return [hand for hand in hands if detector.detect(Frame(hand.rgb, np.zeros((3, 3))))][:_MOVING]


def film(detector: HandDetector, config: PipelineConfig, part: str) -> dict[str, dict[str, Any]]:
    """Returns the figures of rendered films of one part of `FILMS`."""
    from benchmarks.reach import behaviour  # only these parts need the renderer

    return getattr(behaviour, part)(detector, config, _FILMS[part], _FILM_SEED)


def free(detector: HandDetector, config: PipelineConfig) -> dict[str, float]:
    """Returns false hands and the time per image in pictures without hands, as single images and as streams of a still camera."""
    alone, in_streams, took_ms, per_picture = 0, 0, [], []
    for name, picture in pictures.hand_free():
        picture = pictures.fitted(picture, (640, 480), np.random.default_rng(len(name)))
        alone += len(detector.detect(Frame(picture, np.zeros((3, 3)))))
        images = pastes.Paste(name, picture, np.zeros((21, 2))).images(_FREE_IMAGES)
        count, times = false_hands(Stream(detector, config), images)
        if count:
            say(f"  a false hand in {name}")
        in_streams += count
        took_ms += times
        per_picture.append(count > 0)
    return {
        "pictures": len(per_picture),
        "false alone": alone,
        "false in streams": in_streams,
        "images": len(took_ms),
        "median_ms": float(np.median(took_ms)),
        "p99_ms": float(np.percentile(took_ms, 99)),
        "longest_ms": float(np.max(took_ms)),
    }


def video(detector: HandDetector, config: PipelineConfig, path: Path) -> dict[str, float]:
    """Returns the number of images with exactly one hand, and the time per image, in a video of one hand."""
    stream, counts, took_ms, names = Stream(detector, config), [], [], set()
    for rgb in read_video(path):
        hands = stream.step(rgb)
        counts.append(len(hands))
        names |= {hand.track_id for hand in hands}
        took_ms.append(stream.took_ms)
    return {
        "images": len(counts),
        "with one hand": int(np.sum(np.array(counts) == 1)),
        "ids": len(names),
        "median_ms": float(np.median(took_ms)),
        "p99_ms": float(np.percentile(took_ms, 99)),
        "longest_ms": float(np.max(took_ms)),
    }


def say(line: str) -> None:
    """Prints one line without a delay."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
