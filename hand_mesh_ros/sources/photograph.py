"""Reads an image file and its depth as a frame."""

from pathlib import Path

import cv2
import numpy as np

from hand_mesh_ros.core.types import Frame
from hand_mesh_ros.sources import opencv_log
from hand_mesh_ros.sources.assumed_camera import GivenCamera

# Suffixes of image files in a folder.
SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".avif", ".jp2", ".gif"),
        *(".pbm", ".pgm", ".ppm", ".pnm", ".ras", ".hdr"),
    )
)
_MM_PER_M = 1000.0


def load(path: Path, camera: GivenCamera, depth: Path | None = None, mirrored: bool = False) -> Frame:
    """Returns the image, rotated by its EXIF orientation. A mirrored image is mirrored back.

    Args:
        path: path of the image.
        camera: known data of the camera.
        depth: file of the depth registered to the image, see `load_depth`.
        mirrored: True if image and depth are mirrored left to right, as in a selfie view.

    Raises:
        ValueError: if the file is missing, empty or not an image, or if the depth is invalid.
    """
    bgr = _decoded(path, cv2.IMREAD_COLOR)
    height, width = bgr.shape[:2]
    depth_m = None if depth is None else load_depth(depth, (height, width))
    frame = Frame(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), camera.matrix(width, height), depth_m)
    return frame.mirrored() if mirrored else frame


def load_depth(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """Returns depth along z, (H, W) float32 metres; 0 and NaN mean "no measurement".

    Args:
        path: 16-bit PNG in millimetres, or .npy of floating-point numbers in metres.
        shape: height and width of the image.

    Raises:
        ValueError: if the type of the file or the size of the depth is wrong.
    """
    depth_m = _depth_of_array(path) if path.suffix.lower() == ".npy" else _depth_of_png(path)
    if depth_m.shape != shape:
        size = "x".join(map(str, reversed(depth_m.shape)))
        raise ValueError(f"depth {path} is {size} px, the image is {shape[1]}x{shape[0]} px: register the depth to the image")
    return depth_m


def _depth_of_array(path: Path) -> np.ndarray:
    try:
        depth_m = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"depth {path} cannot be read as a numpy file: {error}") from error
    if not isinstance(depth_m, np.ndarray) or depth_m.dtype.kind != "f":
        kind = getattr(depth_m, "dtype", "an archive")
        raise ValueError(f"depth {path} holds {kind}, expected floating-point numbers in metres")
    return depth_m.astype(np.float32)


def _depth_of_png(path: Path) -> np.ndarray:
    depth_mm = _decoded(path, cv2.IMREAD_UNCHANGED)
    if depth_mm.dtype != np.uint16 or depth_mm.ndim != 2:
        channels = depth_mm.shape[2] if depth_mm.ndim == 3 else 1
        raise ValueError(f"depth {path} has {channels} channel(s) of {depth_mm.dtype}, expected one of uint16 in millimetres")
    return (depth_mm / _MM_PER_M).astype(np.float32)


def _decoded(path: Path, flags: int) -> np.ndarray:
    opencv_log.silence()
    try:
        str(path).encode()
    except UnicodeEncodeError as error:  # OpenCV would crash
        raise ValueError(f"the file name {str(path)!r} is not valid UTF-8: rename the file") from error
    if not path.is_file():
        raise ValueError(f"{path} is missing or is not a file")
    if not path.stat().st_size:
        raise ValueError(f"{path} is empty: it has 0 bytes")
    try:
        image = cv2.imread(str(path), flags)
    except cv2.error as error:  # for example if the image has too many pixels
        raise ValueError(f"{path} cannot be decoded: OpenCV reports {error.err}") from error
    if image is None:
        raise ValueError(f"{path} is not an image that OpenCV can read, or is damaged")
    return image
