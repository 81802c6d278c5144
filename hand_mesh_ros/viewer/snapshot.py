"""The data of one drawing of the page."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hand_mesh_ros.core.geometry.lens import Distortion
from hand_mesh_ros.core.types import HandEstimate


@dataclass(frozen=True)
class Snapshot:
    """An image with its hands, in the camera's optical frame [m]."""

    rgb: np.ndarray | None  # (H, W, 3) uint8
    camera_matrix: np.ndarray  # (3, 3), all zero if unknown
    distortion: Distortion
    hands: Sequence[HandEstimate]
    headline: str = ""  # state of the chain, one line
    facts: dict[str, str] = field(default_factory=dict)  # rate, age, times per stage
    depth_m: np.ndarray | None = None  # (H, W) float32 along z, registered to rgb; 0 and NaN mean "no measurement"
    stamp_s: float = 0.0  # of the image
    latency_ms: float = float("nan")  # from the image to its result
