"""Writes files under a temporary name first, so that a stopped program leaves no incomplete file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Adds the path to an error of the operating system that names no file, for example if the disk is full."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Gives a temporary path in the same folder. At the end of the block the file gets the name `path`.

    After an error in the block the temporary file is removed, and an older file `path` stays unchanged.
    """
    temporary = path.with_name(f".{path.stem}.unfinished{path.suffix}")
    try:
        with naming(path):
            yield temporary
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a text file in UTF-8."""
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_picture(path: Path, rgb: np.ndarray) -> None:
    """Writes an image, (H, W, 3) uint8. The suffix of the path chooses the format.

    Raises:
        ValueError: if OpenCV cannot write this format.
    """
    try:
        is_encoded, content = cv2.imencode(path.suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    except cv2.error as error:
        raise ValueError(f"{path}: OpenCV cannot write {path.suffix} files: {error}") from error
    if not is_encoded:
        raise ValueError(f"{path}: OpenCV cannot write this picture of {rgb.shape[1]}x{rgb.shape[0]} px as {path.suffix}")
    with written_whole(path) as temporary:
        temporary.write_bytes(content.tobytes())
