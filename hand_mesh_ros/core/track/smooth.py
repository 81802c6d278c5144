"""One-Euro filters (Casiez, Roussel and Vogel 2012) over the estimates of one hand, and its motion over a short gap.

A slow hand is smoothed much, since there jitter shows; a fast one little, since there lag shows: the cutoff frequency of a
low-pass rises with the filtered speed. Wrist position, wrist rotation (in SO(3)) and articulation (in the wrist frame) have one
filter each. Times are those of the images, so it does not matter when an image was worked on.
"""

from dataclasses import dataclass, replace

import numpy as np

from hand_mesh_ros.core.config import TrackConfig
from hand_mesh_ros.core.topology import WRIST
from hand_mesh_ros.core.track.one_euro import OneEuro, turn_between, turned
from hand_mesh_ros.core.types import DEPTH_ANCHORED, OBSERVED, Frame, HandDetection, HandEstimate

# After a longer gap the past says nothing about the present: the filters begin again [s].
_LONGEST_GAP_S = 0.5
# A turn by one radian moves the fingers by about this much: so that one `beta` serves turns and shifts [m].
_LEVER_M = 0.1
# Growth of the standard deviations while a hand is not seen: of velocities [m/s, rad/s] and of accelerations [m/s^2, rad/s^2].
_SHIFT_STD = (0.2, 5.0)
_TURN_STD = (1.0, 20.0)
_ARTICULATION_STD = (0.3, 3.0)


class HandSmoother:
    """The filters of one followed hand."""

    def __init__(self, config: TrackConfig) -> None:
        """Begins without a past; `config` holds the cutoff and its rise with the speed."""
        self._config = config
        self._last: HandEstimate | None = None
        self._seen_s = -np.inf
        self._restart()

    def reconfigure(self, config: TrackConfig) -> None:
        """Uses another cutoff from now on; the state of the filters stays."""
        self._config = config
        cutoff_hz, beta = config.smooth_cutoff_hz, config.smooth_beta
        self._position.tune(cutoff_hz, beta)
        self._rotation.tune(cutoff_hz, beta * _LEVER_M)
        self._articulation.tune(cutoff_hz, beta)

    def step(self, estimate: HandEstimate, frame: Frame) -> HandEstimate:
        """The hand of the next image, smoothed; with a cutoff of 0 the same record.

        The hypotheses are carried along by the same turn, shift and change of shape, so they keep their spread. The covariances
        stay: they say how wrong one image may be, and images in a row mostly err alike, so little is averaged away.

        Args:
            estimate: of a hand that was seen.
            frame: its image. A stamp that repeats, goes back or skips more than half a second restarts the filters.
        """
        last, dt_s = self._last, frame.stamp_s - self._seen_s
        is_same = last is not None and (last.handedness, last.scale_source == "none") == (
            estimate.handedness,
            estimate.scale_source == "none",
        )
        if not is_same or not 0 < dt_s <= _LONGEST_GAP_S:
            self._restart()
        shape = _Shape.of(estimate)
        smoothed = _Shape(
            self._position.step(shape.position_m, dt_s),
            self._rotation.step(shape.rotation, dt_s),
            self._articulation.step(shape.points_m, dt_s),
        )
        if self._config.smooth_cutoff_hz:
            estimate = _with_reprojection(smoothed.applied_to(estimate), frame)
        self._last, self._seen_s = estimate, frame.stamp_s
        return estimate

    def predict(self, detection: HandDetection, frame: Frame) -> HandEstimate:
        """The hand of an image in which it was not seen: moved on with its last velocity, its articulation held.

        The covariances grow with the time since it was seen; no joint counts as observed, none has confidence.

        Args:
            detection: where its keypoints are supposed to be.
            frame: the image, later than the last one in which the hand was seen.

        Raises:
            ValueError: if the hand was never seen.
        """
        if self._last is None:
            raise ValueError(f"hand {detection.track_id} was never seen, there is nothing to predict from")
        gap_s = frame.stamp_s - self._seen_s
        now = _Shape.of(self._last)
        moved = _Shape(
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
        self._last = None
        self._seen_s = -np.inf


@dataclass(frozen=True)
class _Shape:
    """What is filtered."""

    position_m: np.ndarray  # (3,) of the wrist in the camera; 0 without calibration
    rotation: np.ndarray  # (3, 3) camera_from_wrist
    points_m: np.ndarray  # (21 + V, 3) joints and vertices in the wrist frame: one share for all keeps them on one hand

    @classmethod
    def of(cls, estimate: HandEstimate) -> "_Shape":
        position, rotation = estimate.joints_m[WRIST], estimate.wrist_pose[:3, :3]
        points = np.concatenate([estimate.joints_m, estimate.vertices_m])
        return cls(position, rotation, (points - position) @ rotation)

    def applied_to(self, estimate: HandEstimate) -> HandEstimate:
        """`estimate` with this place, attitude and articulation; its hypotheses moved likewise."""
        was, n_joints = _Shape.of(estimate), len(estimate.joints_m)
        points = self.points_m @ self.rotation.T + self.position_m
        change = (self.points_m - was.points_m)[:n_joints]
        hypotheses = (estimate.hypotheses_m - was.position_m) @ was.rotation + change
        pose = estimate.wrist_pose.copy()
        pose[:3, :3] = self.rotation
        if np.isfinite(pose[:3, 3]).all():
            pose[:3, 3] = self.position_m
        return replace(
            estimate,
            joints_m=points[:n_joints],
            vertices_m=points[n_joints:],
            hypotheses_m=hypotheses @ self.rotation.T + self.position_m,
            wrist_pose=pose,
        )


def _with_reprojection(estimate: HandEstimate, frame: Frame) -> HandEstimate:
    """The same with the error of these joints in the image. Joints without a place cannot be projected and keep theirs."""
    if estimate.scale_source == "none":
        return estimate
    return replace(estimate, reprojection_px=frame.reprojection_px(estimate.joints_m, estimate.keypoints_px))


def _with_growth(estimate: HandEstimate, gap_s: float) -> HandEstimate:
    """The same with covariances larger by what a hand may do in `gap_s`: velocities misjudged, and changed since."""

    def grown(stds: tuple[float, float]) -> float:
        return (stds[0] * gap_s) ** 2 + (0.5 * stds[1] * gap_s**2) ** 2

    eye, is_placed = np.eye(3), estimate.scale_source != "none"
    # Joints move with the wrist, turn about it with their distance from it, and by their own; the wrist itself only shifts.
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
