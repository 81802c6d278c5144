"""Smooths the estimates of one hand with One-Euro filters, and predicts the hand over a short gap.

Wrist position, wrist rotation (in SO(3)) and articulation (in the wrist frame) have one filter each. All times are image stamps,
so the processing time of an image has no influence.
"""

from dataclasses import replace

import numpy as np

from hand_mesh_ros.core.config import TrackConfig
from hand_mesh_ros.core.topology import WRIST
from hand_mesh_ros.core.track.depth_bridge import DepthBridge
from hand_mesh_ros.core.track.one_euro import OneEuro, turn_between, turned
from hand_mesh_ros.core.track.shape import Shape
from hand_mesh_ros.core.types import DEPTH_ANCHORED, OBSERVED, Frame, HandDetection, HandEstimate

# After a longer gap the filters restart, because the old state has no information about the current state [s].
_LONGEST_GAP_S = 0.5
# A rotation by one radian moves the fingers by about this distance [m]. With this factor, rotation and position use one `beta`.
_LEVER_M = 0.1
# Standard deviations of the velocity [m/s, rad/s] and of the acceleration [m/s^2, rad/s^2] while a hand is not detected.
_SHIFT_STD = (0.2, 5.0)
_TURN_STD = (1.0, 20.0)
_ARTICULATION_STD = (0.3, 3.0)


class HandSmoother:
    """The filters of one tracked hand."""

    def __init__(self, config: TrackConfig) -> None:
        """Starts without a previous estimate. `config` contains the cutoff and its increase with the speed."""
        self._config = config
        self._last: HandEstimate | None = None
        self._seen_s = -np.inf
        self._restart()

    def reconfigure(self, config: TrackConfig) -> None:
        """Uses another cutoff from now on. The state of the filters stays."""
        self._config = config
        cutoff_hz, beta = config.smooth_cutoff_hz, config.smooth_beta
        self._position.tune(cutoff_hz, beta)
        self._rotation.tune(cutoff_hz, beta * _LEVER_M)
        self._articulation.tune(cutoff_hz, beta)

    def step(self, estimate: HandEstimate, frame: Frame, by_rays: Shape | None = None) -> HandEstimate:
        """The smoothed estimate of the next image. With a cutoff of 0 the record is returned unchanged.

        The hypotheses get the same rotation, translation and change of shape, so their spread does not change. The covariances
        do not change. The covariances are for one image. The errors of successive images are correlated, so smoothing reduces the
        errors little.

        Args:
            estimate: estimate of a detected hand.
            frame: image of the hand. The filters restart if the stamp is equal to or before the previous stamp, or if the gap is
                longer than 0.5 s.
            by_rays: the hand of the same image without its depth; None if depth had no influence on the estimate.
        """
        last, dt_s = self._last, frame.stamp_s - self._seen_s
        is_same = last is not None and (last.handedness, last.scale_source == "none") == (
            estimate.handedness,
            estimate.scale_source == "none",
        )
        if not is_same or not 0 < dt_s <= _LONGEST_GAP_S:
            self._restart()
        shape = self._bridge.step(Shape.of(estimate), by_rays, frame.stamp_s)
        smoothed = Shape(
            self._position.step(shape.position_m, dt_s),
            self._rotation.step(shape.rotation, dt_s),
            self._articulation.step(shape.points_m, dt_s),
        )
        if self._config.smooth_cutoff_hz:
            estimate = _with_reprojection(smoothed.applied_to(estimate), frame)
        self._last, self._seen_s = estimate, frame.stamp_s
        return estimate

    def predict(self, detection: HandDetection, frame: Frame) -> HandEstimate:
        """Predicted estimate for an image without a detection of the hand: constant velocity and constant articulation.

        The covariances grow with the time since the last detection. No joint is marked as observed, and all confidences are 0.

        Args:
            detection: predicted keypoints of the hand.
            frame: the image, later than the last image with a detection of the hand.

        Raises:
            ValueError: if the hand was never detected.
        """
        if self._last is None:
            raise ValueError(f"hand {detection.track_id} was never detected and cannot be predicted")
        gap_s = frame.stamp_s - self._seen_s
        now = Shape.of(self._last)
        moved = Shape(
            now.position_m + gap_s * self._position.velocity, turned(now.rotation, gap_s * self._rotation.velocity), now.points_m
        ).applied_to(self._last)
        nothing = np.zeros_like(moved.joint_confidence)
        return replace(
            _with_growth(moved, gap_s),
            state="predicted",
            joint_confidence=nothing,
            joint_flags=moved.joint_flags & ~np.uint8(OBSERVED | DEPTH_ANCHORED),
            keypoints_px=detection.keypoints_px,
            keypoint_conf=nothing,
            reprojection_px=np.nan,
        )

    def _restart(self) -> None:
        cutoff_hz, beta = self._config.smooth_cutoff_hz, self._config.smooth_beta
        self._position = OneEuro(cutoff_hz, beta)
        self._rotation = OneEuro(cutoff_hz, beta * _LEVER_M, turn_between, turned)
        self._articulation = OneEuro(cutoff_hz, beta)
        self._bridge = DepthBridge()
        self._last = None
        self._seen_s = -np.inf


def _with_reprojection(estimate: HandEstimate, frame: Frame) -> HandEstimate:
    """The estimate with the reprojection error of its joints. Without a position the error cannot be computed and stays."""
    if estimate.scale_source == "none":
        return estimate
    return replace(estimate, reprojection_px=frame.reprojection_px(estimate.joints_m, estimate.keypoints_px))


def _with_growth(estimate: HandEstimate, gap_s: float) -> HandEstimate:
    """The estimate with larger covariances after `gap_s`, for the error of the velocity and for a change of the velocity."""

    def grown(stds: tuple[float, float]) -> float:
        return (stds[0] * gap_s) ** 2 + (0.5 * stds[1] * gap_s**2) ** 2

    eye, is_placed = np.eye(3), estimate.scale_source != "none"
    # A joint moves with the wrist, rotates about the wrist, and moves relative to the wrist. The wrist only moves itself.
    lever_m = np.linalg.norm(estimate.joints_m - estimate.joints_m[WRIST], axis=-1)
    shape = np.where(lever_m > 0, grown(_ARTICULATION_STD), 0.0)[:, None, None] * eye
    place = (lever_m**2 * grown(_TURN_STD) + is_placed * grown(_SHIFT_STD))[:, None, None] * eye
    wrist = np.diag(np.repeat([grown(_SHIFT_STD), grown(_TURN_STD)], 3))
    return replace(
        estimate,
        articulation_covariance_m2=estimate.articulation_covariance_m2 + shape,
        joint_covariance_m2=estimate.joint_covariance_m2 + shape + place,
        vertex_std_m=np.sqrt(estimate.vertex_std_m**2 + grown(_ARTICULATION_STD)),
        wrist_covariance=estimate.wrist_covariance + wrist,
    )
