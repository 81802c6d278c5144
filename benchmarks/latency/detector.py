"""Compares the detector with MediaPipe Hands 0.10.21, the source of its models: agreement, accuracy in the image, time.

    python -m benchmarks.latency.detector --data ../shared/data --mediapipe-python mediapipe_env/bin/python

`--data` names a folder with `real_dev/` (images/, annotations.npz) and `hand_video.mp4`. benchmarks/latency/mediapipe_hands.py
describes the environment of `--mediapipe-python`. Without this option the command prints only our figures.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from benchmarks.videos import read_video
from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.detect.detector import HandDetector, crop
from hand_mesh_ros.core.geometry.camera import project
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.types import Frame, HandDetection

PAD_PX = 64
SEARCH_EVERY = 15
_NO_CAMERA = np.zeros((3, 3))


def main() -> None:
    """Command line: see the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with real_dev/ and hand_video.mp4")
    parser.add_argument("--mediapipe-python", type=Path, help="Python of an environment with mediapipe 0.10.21")
    parser.add_argument("--threads", type=int, default=1, help="threads of each of our models")
    args = parser.parse_args()
    report_images(args.data / "real_dev", args.mediapipe_python, args.threads)
    for max_hands in (1, 2):
        report_video(args.data / "hand_video.mp4", args.mediapipe_python, args.threads, max_hands)


def report_images(folder: Path, mediapipe_python: Path | None, threads: int) -> None:
    """Prints the detected share, the side accuracy, the error in the image and the agreement on single images."""
    truth = np.load(folder / "annotations.npz")
    paths = [folder / "images" / name for name in truth["image"]]
    detector = HandDetector(default_models_dir(), PipelineConfig(threads=threads))
    hands = [detector.detect(Frame(read_padded(path), _NO_CAMERA)) for path in paths]
    expected_px = np.array([project(joints, k) for joints, k in zip(truth["joints_m"], truth["camera_matrix"])]) + PAD_PX
    ours_px = np.array([found[0].keypoints_px if found else np.full((21, 2), np.nan) for found in hands])
    sides = [found[0].handedness == side for found, side in zip(hands, truth["handedness"]) if found]
    say(f"{folder.name}: {len(paths)} images, padded by {PAD_PX} px")
    say(f"  found {sum(map(bool, hands))}, more than one hand in {sum(len(found) > 1 for found in hands)}")
    say(f"  correct side {np.mean(sides):.1%} of the found hands")
    say(f"  to ground truth: {spread(distances(ours_px, expected_px))} px")
    if mediapipe_python:
        theirs = run_mediapipe(mediapipe_python, "--images", *paths, "--pad", PAD_PX)
        say(f"  MediaPipe: found {np.sum(theirs['n_hands'] > 0)}")
        say(f"  MediaPipe to ground truth: {spread(distances(theirs['keypoints_px'], expected_px))} px")
        say(f"  ours to MediaPipe: {spread(distances(ours_px, theirs['keypoints_px']))} px")


def report_video(path: Path, mediapipe_python: Path | None, threads: int, max_hands: int) -> None:
    """Prints the time per frame and per stage during tracking."""
    detector = HandDetector(default_models_dir(), PipelineConfig(threads=threads, max_hands=max_hands))
    wall, cpu, counts, followed = [], [], [], []
    hands: list[HandDetection] = []
    for index, rgb in enumerate(read_video(path)):
        frame, search = Frame(rgb, _NO_CAMERA), index % SEARCH_EVERY == 0
        started, spent = time.perf_counter(), time.process_time()
        hands = detector.detect(frame, hands, search=search)
        wall.append(1e3 * (time.perf_counter() - started))
        cpu.append(1e3 * (time.process_time() - spent))
        counts.append(len(hands))
        if index % SEARCH_EVERY == 0 and hands:
            followed.append((rgb, hands[0].image_from_crop))
    say(f"{path.name}: {len(wall)} frames, at most {max_hands} hands, search for new hands every {SEARCH_EVERY} frames")
    say(f"  frames with 0, 1, 2 hands: {np.bincount(counts, minlength=3).tolist()}")
    say(f"  ours       {timing(wall, cpu)}")
    if mediapipe_python:
        theirs = run_mediapipe(mediapipe_python, "--video", path, "--max-hands", max_hands)
        say(f"  MediaPipe  {timing(theirs['wall_ms'], theirs['cpu_ms'])}; found in {np.sum(theirs['n_hands'] > 0)}")
    crops = [crop.cut(rgb, image_from_crop) for rgb, image_from_crop in followed]
    say(f"  palm       {stage(lambda item: detector.palms(item[0], 0.5), followed)}")
    say(f"  crop       {stage(lambda item: crop.cut(*item), followed)}")
    say(f"  landmarks  {stage(lambda image: detector.landmarks(image=image), crops)}")


def read_padded(path: Path) -> np.ndarray:
    """Returns an image (H, W, 3) uint8 rgb with reflected borders."""
    rgb = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    return cv2.copyMakeBorder(rgb, PAD_PX, PAD_PX, PAD_PX, PAD_PX, cv2.BORDER_REFLECT_101)


def run_mediapipe(python: Path, *arguments: object) -> dict[str, np.ndarray]:
    """Runs benchmarks/latency/mediapipe_hands.py and returns its result."""
    script = Path(__file__).with_name("mediapipe_hands.py")
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "result.npz"
        command = [str(item) for item in (python, script, "--output", output, *arguments)]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        with np.load(output) as arrays:
            return dict(arrays)


def distances(one_px: np.ndarray, other_px: np.ndarray) -> np.ndarray:
    """Returns the distances of corresponding points, without missing hands."""
    apart = np.linalg.norm(one_px - other_px, axis=-1)
    return apart[np.isfinite(apart)]


def spread(values: np.ndarray) -> str:
    return f"median {np.median(values):.2f}, mean {values.mean():.2f}, 90 % below {np.percentile(values, 90):.2f}"


def timing(wall_ms: np.ndarray, cpu_ms: np.ndarray) -> str:
    wall = f"mean {np.mean(wall_ms):.2f}, median {np.median(wall_ms):.2f}, 99 % below {np.percentile(wall_ms, 99):.2f} ms"
    return f"{wall}; processor time of all threads {np.mean(cpu_ms):.2f} ms"


def stage(call: Callable[..., object], items: list) -> str:
    """Times one call on each item."""
    wall, cpu = [], []
    for item in items:
        started, spent = time.perf_counter(), time.process_time()
        call(item)
        wall.append(1e3 * (time.perf_counter() - started))
        cpu.append(1e3 * (time.process_time() - spent))
    return timing(np.array(wall), np.array(cpu))


def say(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
