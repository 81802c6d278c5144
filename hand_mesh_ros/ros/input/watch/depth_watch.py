"""Watches the depth of one stream: its frame, its unit, and the images that have none."""

import time
from collections.abc import Callable

import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from hand_mesh_ros.core.stream.intake import Intake
from hand_mesh_ros.ros.input.inputs import Inputs
from hand_mesh_ros.ros.input.watch import depth_warnings
from hand_mesh_ros.ros.parameters import NodeConfig

# Interval between two looks at the values of depth, and at the pairs of images and depth [s].
_PERIOD_S = 0.25


class DepthWatch:
    """Warns of depth that no message alone shows to be wrong. Not thread-safe."""

    def __init__(self, inputs: Inputs, intake: Intake[Image | CompressedImage], warn: Callable[[str, str], None]) -> None:
        """Starts without images.

        Args:
            inputs: the topics.
            intake: pairs images and depth.
            warn: called with the subject and the text of each warning.
        """
        self._inputs, self._intake, self._warn = inputs, intake, warn
        self._paired_s = self._looked_s = 0.0
        self._implausible = ""

    def look_at_pairs(self, config: NodeConfig) -> None:
        """Warns of images without their depth while depth arrives."""
        now_s = time.monotonic()
        if now_s - self._paired_s < _PERIOD_S:
            return
        self._paired_s, figures = now_s, self._intake.pair_figures()
        if figures is None:
            return
        asked = config.depth_slop_ms, config.depth_wait_ms, config.max_age_ms
        topic, nearest_s = self._inputs.topic("depth"), self._intake.nearest_depth_s
        if text := depth_warnings.missing_depth(figures, topic, nearest_s, *asked):
            self._warn("pairs", text)

    def look_at_frames(self, depth: Image | CompressedImage, image: Image | CompressedImage) -> None:
        """Warns of depth in another frame than its image."""
        if frames := depth_warnings.other_frames(depth, image):
            self._warn(
                "frame of depth", depth_warnings.other_frame(frames, self._inputs.topic("depth"), self._inputs.topic("image"))
            )

    def look_at_values(self, depth_m: np.ndarray | None, scale: float, ratio: float | None) -> None:
        """Warns of depth in a wrong unit, and of depth without values.

        Args:
            depth_m: (H, W) in metres, 0 where depth is missing; None without depth.
            scale: the factor that depth was multiplied with.
            ratio: depth divided by the distance of the hands by their size, if no hand explains this ratio; else None.
        """
        topic, now_s = self._inputs.topic("depth"), time.monotonic()
        if depth_m is not None and now_s - self._looked_s > _PERIOD_S:
            self._looked_s, self._implausible = now_s, depth_warnings.implausible(depth_m, scale)
        if ratio is not None:
            self._warn("unit of depth", depth_warnings.wrong_unit(topic, ratio, scale))
        elif depth_m is not None and self._implausible:
            self._warn("unit of depth", f"{topic} {self._implausible}")
