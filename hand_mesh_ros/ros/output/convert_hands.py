"""Converts records of the core to the messages of msg/ and to PointCloud2.

Unbounded fields get an array.array made from a buffer. Assignment of a numpy array copies each element separately, which is slow.
"""

from array import array
from collections.abc import Sequence

import numpy as np
from geometry_msgs.msg import Point, PoseWithCovariance, Quaternion
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.topology import JOINT_NAMES, N_JOINTS, PARENTS
from hand_mesh_ros.core.types import HandEstimate, ScaleSource, Side, TrackState
from hand_mesh_ros.msg import Hand, HandArray, HandHypotheses, HandMesh, HandMeshArray, MeshTopology

SIDES: dict[Side, int] = {"left": Hand.SIDE_LEFT, "right": Hand.SIDE_RIGHT}
STATES: dict[TrackState, int] = {
    "new": Hand.STATE_NEW,
    "tracked": Hand.STATE_TRACKED,
    "predicted": Hand.STATE_PREDICTED,
    "lost": Hand.STATE_LOST,
}
SCALE_SOURCES: dict[ScaleSource, int] = {
    "none": Hand.SCALE_NONE,
    "prior": Hand.SCALE_PRIOR,
    "depth": Hand.SCALE_DEPTH,
    "user": Hand.SCALE_USER,
}
_UPPER_TRIANGLE = np.triu_indices(3)
_CLOUD_NAMES = ["x", "y", "z", "joint", "hand", "sample", "weight"]
_CLOUD_OFFSETS = [0, 4, 8, 12, 13, 14, 16]
CLOUD_POINT = np.dtype(
    {
        "names": _CLOUD_NAMES,
        "formats": ["<f4", "<f4", "<f4", "u1", "u1", "<u2", "<f4"],
        "offsets": _CLOUD_OFFSETS,
        "itemsize": 20,
    }
)
_FIELD_TYPES = {"<f4": PointField.FLOAT32, "|u1": PointField.UINT8, "<u2": PointField.UINT16}
_CLOUD_FIELDS = [
    PointField(name=name, offset=offset, datatype=_FIELD_TYPES[CLOUD_POINT[name].str], count=1)
    for name, offset in zip(_CLOUD_NAMES, _CLOUD_OFFSETS)
]


def to_hand(estimate: HandEstimate) -> Hand:
    """Returns one hand of HandArray."""
    low, high = estimate.keypoints_px.min(0), estimate.keypoints_px.max(0)
    mean = np.einsum("k,kjc->jc", estimate.weights, estimate.hypotheses_m)
    spread = np.linalg.norm(estimate.hypotheses_m - mean, axis=-1).mean() if len(estimate.weights) else np.nan
    return Hand(
        id=estimate.track_id,
        side=SIDES[estimate.handedness],
        side_prob=float(estimate.handedness_prob),
        score=float(estimate.score),
        state=STATES[estimate.state],
        wrist=to_pose(estimate.wrist_pose, estimate.wrist_covariance),
        joints=fixed(estimate.joints_m),
        joint_covariance=fixed(upper_triangles(estimate.joint_covariance_m2)),
        articulation_covariance=fixed(upper_triangles(estimate.articulation_covariance_m2)),
        joint_confidence=fixed(estimate.joint_confidence),
        joint_flags=np.ascontiguousarray(estimate.joint_flags, np.uint8),
        keypoints_px=fixed(estimate.keypoints_px),
        keypoint_confidence=fixed(estimate.keypoint_conf),
        bbox_px=fixed(np.concatenate([low, high - low])),
        scale_source=SCALE_SOURCES[estimate.scale_source],
        scale_rel_std=float(estimate.scale_rel_std),
        reprojection_rmse_px=float(estimate.reprojection_px),
        spread=float(spread),
        n_modes=estimate.n_modes,
    )


def to_hands(estimates: Sequence[HandEstimate], header: Header, model_id: str) -> HandArray:
    """Returns all hands of one image. The caller adds latency and counters."""
    return HandArray(header=header, hands=[to_hand(estimate) for estimate in estimates], model_id=model_id)


def header_of_points(estimates: Sequence[HandEstimate], header: Header) -> Header:
    """Returns the header for the points of these hands, given the header of their image.

    Points relative to the wrist are not points in the frame of the camera: there, the hand would touch the lens. They get an
    empty `frame_id`.
    """
    is_root_relative = any(estimate.scale_source == "none" for estimate in estimates)
    return Header(stamp=header.stamp) if is_root_relative else header


def to_meshes(estimates: Sequence[HandEstimate], header: Header, topology_id: str) -> HandMeshArray:
    """Returns the surfaces of all hands of one image. `frame_id` is empty if the vertices are relative to the wrists."""
    meshes = [
        HandMesh(
            id=estimate.track_id,
            side=SIDES[estimate.handedness],
            topology_id=topology_id,
            vertices=floats(estimate.vertices_m),
            vertex_std=floats(estimate.vertex_std_m),
        )
        for estimate in estimates
    ]
    return HandMeshArray(header=header_of_points(estimates, header), meshes=meshes)


def to_topology(model: HandModel) -> MeshTopology:
    """Returns the constant data of all meshes."""
    return MeshTopology(
        topology_id=model.digest,
        vertex_count=len(model.template_m),
        triangles=array("I", np.ascontiguousarray(model.faces, np.uint32).tobytes()),
        joint_names=list(JOINT_NAMES),
        joint_parents=PARENTS.astype(np.int8),
        fingertip_vertices=np.asarray(model.fingertip_vertices, np.uint32),
        licence=model.licence,
    )


def to_hypotheses(estimate: HandEstimate, header: Header) -> HandHypotheses:
    """Returns the joint samples of one hand. `frame_id` is empty if they are relative to the wrist."""
    return HandHypotheses(
        header=header_of_points([estimate], header),
        id=estimate.track_id,
        side=SIDES[estimate.handedness],
        n=len(estimate.weights),
        joints=floats(estimate.hypotheses_m),
        weights=floats(estimate.weights),
        mode=array("H", np.ascontiguousarray(estimate.mode, np.uint16).tobytes()),
        root_relative=estimate.scale_source == "none",
    )


def to_joint_cloud(estimates: Sequence[HandEstimate], header: Header) -> PointCloud2:
    """Returns the hypotheses of all hands with a known position. The field `hand` is the index in HandArray.hands."""
    clouds = [np.zeros(0, CLOUD_POINT)]
    for index, estimate in enumerate(estimates):
        if estimate.scale_source == "none":
            continue
        cloud = np.zeros((len(estimate.weights), N_JOINTS), CLOUD_POINT)
        for axis, name in enumerate("xyz"):
            cloud[name] = estimate.hypotheses_m[..., axis]
        cloud["joint"] = np.arange(N_JOINTS)
        cloud["hand"] = index
        cloud["sample"] = np.arange(len(cloud))[:, None]
        cloud["weight"] = np.asarray(estimate.weights)[:, None]
        clouds.append(cloud.ravel())
    points = np.concatenate(clouds)
    return PointCloud2(
        header=header,
        height=1,
        width=len(points),
        fields=_CLOUD_FIELDS,
        is_bigendian=False,
        point_step=CLOUD_POINT.itemsize,
        row_step=CLOUD_POINT.itemsize * len(points),
        data=array("B", points.tobytes()),
        is_dense=bool(all(np.isfinite(points[name]).all() for name in "xyz")),
    )


def quaternion(rotation: np.ndarray) -> Quaternion:
    """Converts a rotation, (3, 3), to a unit quaternion with w >= 0.

    The quaternion is the dominant eigenvector of Bar-Itzhack's symmetric matrix. This method needs no case distinction. If
    rounding errors affect the matrix, the result is the nearest rotation.
    """
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = np.asarray(rotation, float)
    symmetric = np.array(
        [
            [xx - yy - zz, xy + yx, xz + zx, zy - yz],
            [xy + yx, yy - xx - zz, yz + zy, xz - zx],
            [xz + zx, yz + zy, zz - xx - yy, yx - xy],
            [zy - yz, xz - zx, yx - xy, xx + yy + zz],
        ]
    )
    x, y, z, w = np.linalg.eigh(symmetric)[1][:, -1]
    sign = -1.0 if w < 0 else 1.0
    return Quaternion(x=sign * x, y=sign * y, z=sign * z, w=sign * w)


def to_pose(camera_from_wrist: np.ndarray, covariance: np.ndarray) -> PoseWithCovariance:
    """Returns a pose (4, 4) with its covariance (6, 6) in REP-103 order. NaN values remain NaN."""
    message = PoseWithCovariance(covariance=np.ascontiguousarray(covariance, np.float64).ravel())
    x, y, z = map(float, camera_from_wrist[:3, 3])
    message.pose.position = Point(x=x, y=y, z=z)
    message.pose.orientation = quaternion(camera_from_wrist[:3, :3])
    return message


def upper_triangles(covariances: np.ndarray) -> np.ndarray:
    """Converts covariances, (..., 3, 3), to xx, xy, xz, yy, yz, zz, (..., 6)."""
    return covariances[..., _UPPER_TRIANGLE[0], _UPPER_TRIANGLE[1]]


def fixed(values: np.ndarray) -> np.ndarray:
    """Returns flat float32 values for a fixed-length field. rclpy stores this numpy array directly."""
    return np.ascontiguousarray(values, np.float32).ravel()


def floats(values: np.ndarray) -> array:
    """Returns flat float32 values for a field of variable length."""
    return array("f", np.ascontiguousarray(values, np.float32).tobytes())
