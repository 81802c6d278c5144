"""Runs MediaPipe Hands 0.10.21 on images or on a video, for comparison. MediaPipe needs numpy < 2, so use a separate environment:

    python3.11 -m venv mediapipe_env && mediapipe_env/bin/pip install mediapipe==0.10.21
    mediapipe_env/bin/python benchmarks/latency/mediapipe_hands.py --output result.npz --video hand.mp4 --max-hands 1

The result holds these values of the first hand in every image: keypoints_px (N, 21, 2) with pixel centres at integers, depth_px
(N, 21), world_m (N, 21, 3), label (N,) for a mirrored view. Values are NaN and "" for images without a hand. The result also
holds n_hands (N,), and wall_ms (N,) and cpu_ms (N,) of the call alone.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import mediapipe
import numpy as np


def main() -> None:
    """Command line: see the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--images", type=Path, nargs="*", default=[], help="image files, without tracking (static mode)")
    parser.add_argument("--pad", type=int, default=0, help="number of reflected pixels around each image")
    parser.add_argument("--video", type=Path, help="video file, with tracking")
    parser.add_argument("--max-hands", type=int, default=2)
    args = parser.parse_args()
    frames = read_video(args.video) if args.video else (read_image(path, args.pad) for path in args.images)
    with mediapipe.solutions.hands.Hands(
        static_image_mode=args.video is None, max_num_hands=args.max_hands, model_complexity=1
    ) as hands:
        rows = [look(hands, rgb) for rgb in frames]
    np.savez(args.output, **{name: np.array([row[name] for row in rows]) for name in rows[0]})


def read_image(path: Path, pad: int) -> np.ndarray:
    """Returns an image file as (H, W, 3) uint8 rgb, with reflected borders."""
    rgb = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    return cv2.copyMakeBorder(rgb, pad, pad, pad, pad, cv2.BORDER_REFLECT_101)


def read_video(path: Path) -> Iterator[np.ndarray]:
    """Yields the frames of a video, (H, W, 3) uint8 rgb."""
    video = cv2.VideoCapture(str(path))
    while True:
        ok, bgr = video.read()
        if not ok:
            return
        yield cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def look(hands: Any, rgb: np.ndarray) -> dict[str, Any]:
    """Returns the result of MediaPipe for one image, and the times."""
    wall, cpu = time.perf_counter(), time.process_time()
    answer = hands.process(rgb)
    times = {"wall_ms": 1e3 * (time.perf_counter() - wall), "cpu_ms": 1e3 * (time.process_time() - cpu)}
    if not answer.multi_hand_landmarks:
        nowhere = {"keypoints_px": np.full((21, 2), np.nan), "depth_px": np.full(21, np.nan), "world_m": np.full((21, 3), np.nan)}
        return {**nowhere, "label": "", "n_hands": 0, **times}
    height, width = rgb.shape[:2]
    marks = np.array([(mark.x * width, mark.y * height, mark.z * width) for mark in answer.multi_hand_landmarks[0].landmark])
    world = np.array([(mark.x, mark.y, mark.z) for mark in answer.multi_hand_world_landmarks[0].landmark])
    label = answer.multi_handedness[0].classification[0].label
    found = {"keypoints_px": marks[:, :2] - 0.5, "depth_px": marks[:, 2], "world_m": world}
    return {**found, "label": label, "n_hands": len(answer.multi_hand_landmarks), **times}


if __name__ == "__main__":
    main()
