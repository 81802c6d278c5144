"""Reads an image file and its camera from options of the command line."""

import argparse
from pathlib import Path

import cv2
import numpy as np

from hand_mesh_ros.core.types import Frame
from hand_mesh_ros.sources.assumed_camera import assumed_matrix


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `load`."""
    parser.add_argument("image", type=Path)
    parser.add_argument("--hfov", type=float, default=0.0, help="horizontal field of view [deg]; default: no positions")
    parser.add_argument("--k", type=float, nargs=4, metavar=("FX", "FY", "CX", "CY"), help="calibration [px], instead of --hfov")
    parser.add_argument("--mirrored", action="store_true", help="the image is a selfie view: mirrored left to right")


def load(options: argparse.Namespace) -> Frame:
    """Returns the image. A mirrored image is mirrored back.

    Raises:
        ValueError: if the file is not an image or the calibration is invalid.
    """
    bgr = cv2.imread(str(options.image), cv2.IMREAD_COLOR)
    if bgr is None:
        raise ValueError(f"{options.image} is missing or is not an image that OpenCV can read")
    frame = Frame(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), _camera_matrix(options, bgr.shape[1], bgr.shape[0]))
    return frame.mirrored() if options.mirrored else frame


def _camera_matrix(options: argparse.Namespace, width: int, height: int) -> np.ndarray:
    if options.k is None:
        return assumed_matrix(width, height, options.hfov)
    fx, fy, cx, cy = options.k
    if not (fx > 0 and fy > 0):
        raise ValueError(f"--k has focal lengths {fx} and {fy} px; the two values must be positive")
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
