"""Images and image rate of a video file."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

# Frame rate of a video file without this information.
_COMMON_RATE_HZ = 30.0


def frame_rate_hz(path: Path) -> float:
    """Returns the frame rate from the video file. With wrong stamps the filters would restart at every image."""
    return cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FPS) or _COMMON_RATE_HZ


def read_video(path: Path) -> Iterator[np.ndarray]:
    """Yields the frames of a video, (H, W, 3) uint8 rgb.

    Raises:
        SystemExit: if the video cannot be opened.
    """
    # One decoding thread, because more threads would decode the next frames during a measurement.
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    if not video.isOpened():
        raise SystemExit(f"cannot open {path}")
    while True:
        ok, bgr = video.read()
        if not ok:
            return
        yield cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
