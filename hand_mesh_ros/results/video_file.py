"""Writes a video of overlays."""

from pathlib import Path

import cv2
import numpy as np

_CODEC = "mp4v"


class OverlayVideo:
    """An MP4 file. The file gets its name in `close`. Without images there is no file."""

    def __init__(self, path: Path, rate_hz: float) -> None:
        """Stores the path of the video and the number of images per second."""
        self.path, self._rate_hz = path, rate_hz
        self._unfinished = path.with_name(f".{path.stem}.unfinished{path.suffix}")
        self._writer: cv2.VideoWriter | None = None

    def write(self, rgb: np.ndarray) -> None:
        """Appends an image, (H, W, 3) uint8, with the size of the first image. An odd last row or column is removed.

        Raises:
            OSError: if the file cannot be written.
        """
        height, width = (length - length % 2 for length in rgb.shape[:2])  # the codec needs even lengths
        if self._writer is None:
            self._writer = cv2.VideoWriter(str(self._unfinished), cv2.VideoWriter.fourcc(*_CODEC), self._rate_hz, (width, height))
            if not self._writer.isOpened():
                raise OSError(f"{self.path} cannot be written: OpenCV opens no {_CODEC} video of {width}x{height} px there")
        self._writer.write(cv2.cvtColor(rgb[:height, :width], cv2.COLOR_RGB2BGR))

    def close(self) -> bool:
        """Completes the file. Returns whether there is a file."""
        if self._writer is None:
            return False
        self._writer.release()
        self._writer = None
        self._unfinished.replace(self.path)
        return True

    def discard(self) -> None:
        """Removes the new file. An older file with this name stays."""
        if self._writer is not None:
            self._writer.release()
        self._writer = None
        self._unfinished.unlink(missing_ok=True)
