"""Keeps the influence of depth over images without depth.

A hand with depth and the same hand without depth differ by a few millimetres in every coordinate. Where depth comes at half of
the rate of the images, the hand would step by this difference at every image. So images without depth get the difference of the
last image with depth. Later the difference fades out.
"""

from dataclasses import dataclass

import numpy as np

from hand_mesh_ros.core.track.one_euro import turn_between, turned
from hand_mesh_ros.core.track.shape import Shape

# Time after the last depth until which the difference counts in full, and after which the difference is not used [s].
_FULL_S, _END_S = 0.25, 1.0


@dataclass(frozen=True)
class _Difference:
    """What depth changed in one image."""

    farther: float  # factor on the position
    aside_m: np.ndarray  # (3,)
    turn: np.ndarray  # (3,) rotation vector in the camera frame
    points_m: np.ndarray  # (21 + V, 3) in the wrist frame

    @classmethod
    def between(cls, by_rays: Shape, with_depth: Shape) -> "_Difference":
        farther = float(with_depth.position_m[2] / by_rays.position_m[2])
        aside_m = with_depth.position_m - farther * by_rays.position_m
        turn = turn_between(with_depth.rotation, by_rays.rotation)
        return cls(farther, aside_m, turn, with_depth.points_m - by_rays.points_m)

    def applied(self, shape: Shape, share: float) -> Shape:
        position_m = shape.position_m * self.farther**share + share * self.aside_m
        return Shape(position_m, turned(shape.rotation, share * self.turn), shape.points_m + share * self.points_m)


class DepthBridge:
    """The difference that depth makes for one hand."""

    def __init__(self) -> None:
        """Starts without an image."""
        self._difference: _Difference | None = None
        self._measured_s = -np.inf

    def step(self, shape: Shape, by_rays: Shape | None, stamp_s: float) -> Shape:
        """The shape of the next image. Without depth, the last difference is added.

        Args:
            shape: of the estimate.
            by_rays: of the same image without its depth; None if depth had no influence on `shape`.
            stamp_s: of the image.
        """
        if by_rays is not None:
            self._difference, self._measured_s = _Difference.between(by_rays, shape), stamp_s
            return shape
        share = min((_END_S - (stamp_s - self._measured_s)) / (_END_S - _FULL_S), 1.0)
        if self._difference is None or share <= 0:
            return shape
        return self._difference.applied(shape, share)
