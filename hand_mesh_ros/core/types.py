"""Records that the stages exchange. Field comments give shapes, units and frames. Constructors check the values."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from hand_mesh_ros.core.geometry import camera
from hand_mesh_ros.core.geometry.lens import Distortion
from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.topology import N_JOINTS

Side = Literal["left", "right"]
TrackState = Literal["new", "tracked", "predicted", "lost"]
ScaleSource = Literal["none", "prior", "depth", "user"]

# Bits of HandEstimate.joint_flags, as in msg/Hand.msg.
OBSERVED, DEPTH_ANCHORED, OCCLUDED, OUT_OF_IMAGE, FITTED = 1, 2, 4, 8, 16


def require_shape(name: str, array: np.ndarray, shape: tuple[int | None, ...]) -> None:
    """Raises ValueError if `array` does not have `shape`. None means any length."""
    if array.shape == shape:
        return
    if len(array.shape) != len(shape) or any(want not in (None, got) for got, want in zip(array.shape, shape)):
        raise ValueError(f"{name} has shape {array.shape}, expected {tuple('any' if n is None else n for n in shape)}")


@dataclass(frozen=True)
class Frame:
    """One camera image with the parameters of the camera.

    Raises:
        ValueError: if an array has the wrong shape or type, or K contains a number that is not finite.
    """

    rgb: np.ndarray  # (H, W, 3) uint8
    camera_matrix: np.ndarray  # (3, 3); all zero means "not calibrated"
    depth_m: np.ndarray | None = None  # (H, W) float32 along z, registered to rgb; 0 and NaN mean "no measurement"
    # (4, 5, 8, 12 or 14,) OpenCV coefficients, `geometry.lens.Fisheye`, or None for a rectified image
    distortion: Distortion = None
    stamp_s: float = 0.0
    frame_id: str = ""

    def __post_init__(self) -> None:
        require_shape("rgb", self.rgb, (None, None, 3))
        if self.rgb.dtype != np.uint8:
            raise ValueError(f"rgb has type {self.rgb.dtype}, expected uint8")
        if min(self.rgb.shape[:2]) < 1:
            raise ValueError(f"rgb is empty: {self.rgb.shape[1]}x{self.rgb.shape[0]} px")
        require_shape("camera_matrix", self.camera_matrix, (3, 3))
        if not np.all(np.isfinite(self.camera_matrix)):
            raise ValueError(f"camera_matrix contains numbers that are not finite: {self.camera_matrix.tolist()}")
        if self.depth_m is not None:
            require_shape("depth_m", self.depth_m, self.rgb.shape[:2])

    @property
    def is_calibrated(self) -> bool:
        return camera.is_calibrated(self.camera_matrix)

    def mirrored(self) -> "Frame":
        """The horizontally mirrored image with the camera model that fits the mirrored image. The function is its own inverse."""
        camera_matrix = self.camera_matrix.copy()
        if self.is_calibrated:
            camera_matrix[0, 2] = self.rgb.shape[1] - 1 - camera_matrix[0, 2]
            camera_matrix[0, 1] *= -1
        depth_m = None if self.depth_m is None else np.ascontiguousarray(self.depth_m[:, ::-1])
        distortion = self.distortion
        if isinstance(distortion, np.ndarray) and len(distortion) > 3:  # a fisheye is its own mirror image
            # Only p2, the second tangential coefficient of OpenCV, is odd in x. Thin prism and tilt coefficients are removed.
            distortion = np.concatenate([distortion[:3], -distortion[3:4], distortion[4:8]])
        return replace(
            self, rgb=np.ascontiguousarray(self.rgb[:, ::-1]), camera_matrix=camera_matrix, depth_m=depth_m, distortion=distortion
        )

    @property
    def working_camera_matrix(self) -> np.ndarray:
        """K, (3, 3). An uncalibrated camera gets an assumed K, which is good enough for shapes but not for positions."""
        if self.is_calibrated:
            return self.camera_matrix
        return camera.assumed_camera_matrix(self.rgb.shape[1], self.rgb.shape[0])

    def reprojection_px(self, points_m: np.ndarray, keypoints_px: np.ndarray) -> float:
        """Root mean square distance in pixels between projected points (N, 3) in the camera frame and keypoints (N, 2)."""
        pixels = camera.project(points_m, self.working_camera_matrix, self.distortion)
        return float(np.sqrt(np.mean(np.sum((pixels - keypoints_px) ** 2, axis=-1))))


def _unknown_errors() -> np.ndarray:
    return np.full(2, np.nan)


@dataclass(frozen=True)
class HandDetection:
    """One detected hand in one image. Coordinates are in the original image, also for left hands."""

    keypoints_px: np.ndarray  # (21, 2) float32
    # (21,) float32: depth relative to the wrist in pixels (same scale as keypoints_px), positive away from the camera;
    # NaN if there is no depth.
    keypoint_depth_px: np.ndarray
    keypoint_conf: np.ndarray  # (21,) float32 in 0..1
    # (21, 3) float32 metres in the axes of the line of sight (`camera.sight_from_camera`): 3D landmarks of the landmark model,
    # relative to the origin of that model; NaN if there are none.
    world_landmarks_m: np.ndarray
    handedness: Side
    handedness_prob: float  # probability of `handedness`, in 0..1
    score: float  # confidence that this is a hand, in 0..1
    # (2, 3): image pixel from landmark crop pixel. The crop of a left hand is mirrored, so its determinant is negative.
    image_from_crop: np.ndarray
    track_id: str = ""  # id of the detection in the previous image that this detection continues; empty if there is none
    features: np.ndarray | None = None  # (192, 7, 7) float32: feature map of the landmark model; a left hand is mirrored
    pooled_features: np.ndarray | None = None  # (1152,) float32: mean of its last map over the crop, as for `features`
    # (2,) logarithms of mean square errors per axis [m^2] that the corrector expects for landmarks of an average hand: after
    # similarity alignment, and about their mean; NaN if unknown
    log_errors: np.ndarray = field(default_factory=_unknown_errors)

    def __post_init__(self) -> None:
        require_shape("keypoints_px", self.keypoints_px, (N_JOINTS, 2))
        require_shape("keypoint_depth_px", self.keypoint_depth_px, (N_JOINTS,))
        require_shape("keypoint_conf", self.keypoint_conf, (N_JOINTS,))
        require_shape("world_landmarks_m", self.world_landmarks_m, (N_JOINTS, 3))
        require_shape("image_from_crop", self.image_from_crop, (2, 3))
        if not np.all(np.isfinite(self.keypoints_px)):
            raise ValueError("keypoints_px contains numbers that are not finite; drop the detection instead")

    @property
    def box_px(self) -> np.ndarray:
        """(4,) x, y, width, height of the smallest axis-aligned box around the keypoints."""
        low, high = self.keypoints_px.min(0), self.keypoints_px.max(0)
        return np.concatenate([low, high - low])


@dataclass(frozen=True)
class SeenHand:
    """One detected hand as a right hand in a pinhole camera: the input of every stage up to the aggregate.

    A left hand is mirrored in the plane x = 0 of the camera (`geometry.mirror`). The aggregate is mirrored back.
    """

    rays: np.ndarray  # (21, 2) undistorted x/z, y/z of the keypoints
    confidence: np.ndarray  # (21,) of each keypoint, above 0 and at most 1
    # (21,) depth relative to the wrist, divided by the distance of the hand, in the unit of `rays`; NaN if there is no depth
    depth: np.ndarray
    world_landmarks_m: np.ndarray  # (21, 3) as in `HandDetection`; NaN if there are none
    in_crop: np.ndarray  # (21, 2) positions of the keypoints in the landmark crop, -1 to 1
    features: np.ndarray | None  # (192, 7, 7) float32 as in `HandDetection`
    is_mirrored: bool  # True for a left hand
    # False if the lens model does not reach enough keypoints. Then the position of the hand is unknown.
    has_place: bool = True
    log_errors: np.ndarray = field(default_factory=_unknown_errors)  # (2,) as in `HandDetection`

    def __post_init__(self) -> None:
        require_shape("rays", self.rays, (N_JOINTS, 2))
        require_shape("confidence", self.confidence, (N_JOINTS,))

    @property
    def camera_rays(self) -> np.ndarray:
        """Rays (21, 2) of the original hand in the real camera."""
        return mirror_points(self.rays) if self.is_mirrored else self.rays


@dataclass(frozen=True)
class ViewEmbedding:
    """View of a right hand that the joint stage passes to the mesh stage."""

    embedding: np.ndarray  # (W,) float32
    virtual_from_camera: np.ndarray  # (3, 3) rotation into the virtual camera


@dataclass(frozen=True)
class Hypotheses:
    """Candidate skeletons of one right hand, in camera axes, relative to the wrist."""

    joints_m: np.ndarray  # (K, 21, 3) float32 metres, wrist in the origin, for a hand of average adult size
    log_weight: np.ndarray  # (K,) float32, a larger value is more likely
    view: ViewEmbedding | None = None

    def __post_init__(self) -> None:
        require_shape("joints_m", self.joints_m, (None, N_JOINTS, 3))
        require_shape("log_weight", self.log_weight, (len(self.joints_m),))


@dataclass(frozen=True)
class HandEstimate:
    """Estimate of one hand in one image; camera optical frame, metres.

    If the camera is not calibrated, or its lens model does not reach the hand, joints and vertices are relative to the wrist,
    `scale_source` is "none" and the position in `wrist_pose` is NaN.
    """

    track_id: str
    handedness: Side
    handedness_prob: float
    score: float
    state: TrackState
    joints_m: np.ndarray  # (21, 3)
    joint_covariance_m2: np.ndarray  # (21, 3, 3) of the absolute position: position of the hand and articulation
    articulation_covariance_m2: np.ndarray  # (21, 3, 3) after similarity alignment of the hand
    joint_confidence: np.ndarray  # (21,) in 0..1
    joint_flags: np.ndarray  # (21,) uint8 of OBSERVED | DEPTH_ANCHORED | OCCLUDED | OUT_OF_IMAGE | FITTED
    hypotheses_m: np.ndarray  # (K, 21, 3)
    weights: np.ndarray  # (K,) sum to 1
    mode: np.ndarray  # (K,) int, 0 is the main mode; the aggregate describes the main mode
    vertices_m: np.ndarray  # (V, 3)
    vertex_std_m: np.ndarray  # (V,)
    wrist_pose: np.ndarray  # (4, 4) camera_from_wrist; x out of the palm, z towards the middle MCP, y = z cross x
    wrist_covariance: np.ndarray  # (6, 6) x, y, z, rotations about the fixed axes x, y, z (REP-103)
    keypoints_px: np.ndarray  # (21, 2)
    keypoint_conf: np.ndarray  # (21,)
    scale_source: ScaleSource
    scale_rel_std: float
    reprojection_px: float  # root mean square distance between projected joints_m and keypoints_px
    timings_ms: Mapping[str, float] = field(default_factory=dict)  # per stage, for the whole image

    @property
    def n_modes(self) -> int:
        return int(self.mode.max()) + 1 if self.mode.size else 0
