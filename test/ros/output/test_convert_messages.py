"""Estimates read back from their messages are the same numbers, in the order that msg/ promises."""

import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, Image, PointField

from hand_mesh_ros.core.topology import JOINT_NAMES, N_JOINTS
from hand_mesh_ros.msg import Hand
from hand_mesh_ros.ros.input.convert_frame import to_frame
from hand_mesh_ros.ros.input.convert_image import ConversionError
from hand_mesh_ros.ros.output import convert_hands


def over_the_wire(message):
    """What a subscriber sees."""
    return deserialize_message(serialize_message(message), type(message))


def rotation_of(quaternion) -> np.ndarray:
    x, y, z, w = quaternion.x, quaternion.y, quaternion.z, quaternion.w
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def test_a_frame_carries_stamp_frame_and_camera(header):
    image = Image(header=header, height=2, width=4, encoding="rgb8", step=12, data=bytes(range(24)))
    info = CameraInfo(width=4, height=2, k=[5.0, 0, 2, 0, 5, 1, 0, 0, 1])
    frame = to_frame(image, info, np.ones((2, 4), np.float32), rectified=False)
    assert frame.frame_id == "some_optical_frame"
    assert frame.stamp_s == pytest.approx(12.345678901, abs=1e-9)
    assert frame.is_calibrated
    assert not to_frame(image, None, None, rectified=False).is_calibrated
    with pytest.raises(ConversionError, match="3x3 px, the image 4x2"):
        to_frame(image, info, np.ones((3, 3), np.float32), rectified=False)


def test_every_field_of_a_hand_comes_back(header, make_estimate):
    estimate = make_estimate(handedness="left", state="predicted", scale_source="depth")
    array = over_the_wire(convert_hands.to_hands([estimate, make_estimate()], header, "some model"))
    hand = array.hands[0]
    assert array.header == header
    assert array.model_id == "some model"
    assert (hand.id, hand.side, hand.state, hand.scale_source) == ("5", Hand.SIDE_LEFT, Hand.STATE_PREDICTED, Hand.SCALE_DEPTH)
    assert (hand.side_prob, hand.score, hand.scale_rel_std) == (0.75, 0.875, 0.0625)
    assert (hand.reprojection_rmse_px, hand.n_modes) == (2.5, 2)
    for name, expected in {
        "joints": estimate.joints_m,
        "joint_confidence": estimate.joint_confidence,
        "keypoints_px": estimate.keypoints_px,
        "keypoint_confidence": estimate.keypoint_conf,
    }.items():
        np.testing.assert_allclose(getattr(hand, name), expected.ravel(), rtol=1e-6, err_msg=name)
    np.testing.assert_array_equal(hand.joint_flags, estimate.joint_flags)
    x, y, width, height = hand.bbox_px
    np.testing.assert_allclose(
        [x, y, x + width, y + height], [*estimate.keypoints_px.min(0), *estimate.keypoints_px.max(0)], 1e-5
    )


def test_covariances_are_their_upper_triangles_row_by_row(header, make_estimate):
    estimate = make_estimate()
    hand = over_the_wire(convert_hands.to_hand(estimate))
    for name, expected in {
        "joint_covariance": estimate.joint_covariance_m2,
        "articulation_covariance": estimate.articulation_covariance_m2,
    }.items():
        xx, xy, xz, yy, yz, zz = getattr(hand, name).reshape(N_JOINTS, 6).T
        rebuilt = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]).transpose(2, 0, 1)
        np.testing.assert_allclose(rebuilt, expected, rtol=1e-5, err_msg=name)


def test_the_wrist_pose_is_the_rotation_and_position_it_was(make_estimate):
    for _ in range(50):
        estimate = make_estimate()
        wrist = over_the_wire(convert_hands.to_hand(estimate)).wrist
        np.testing.assert_allclose(rotation_of(wrist.pose.orientation), estimate.wrist_pose[:3, :3], atol=1e-9)
        position = wrist.pose.position
        np.testing.assert_allclose([position.x, position.y, position.z], estimate.wrist_pose[:3, 3])
        np.testing.assert_allclose(wrist.covariance.reshape(6, 6), estimate.wrist_covariance)


@pytest.mark.parametrize("diagonal", [(1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)])
def test_quaternions_of_half_turns(diagonal):
    np.testing.assert_allclose(rotation_of(convert_hands.quaternion(np.diag(diagonal))), np.diag(diagonal), atol=1e-12)


def test_without_a_calibrated_camera_the_wrist_position_is_nan_and_samples_say_so(header, make_estimate):
    pose = np.eye(4)
    pose[:3, 3] = np.nan
    estimate = make_estimate(wrist_pose=pose, scale_source="none")
    hand = over_the_wire(convert_hands.to_hand(estimate))
    assert np.isnan(hand.wrist.pose.position.z)
    assert hand.scale_source == Hand.SCALE_NONE
    assert convert_hands.to_hypotheses(estimate, header).root_relative


def test_spread_is_the_mean_distance_from_the_weighted_mean(make_estimate):
    samples = np.zeros((2, N_JOINTS, 3))
    samples[1, :, 0] = 0.04
    estimate = make_estimate(hypotheses_m=samples, weights=np.array([0.75, 0.25]), mode=np.zeros(2, int))
    assert convert_hands.to_hand(estimate).spread == pytest.approx((0.01 + 0.03) / 2)


def test_meshes_keep_vertices_and_name_their_topology(header, make_estimate, surface):
    estimates = [make_estimate(), make_estimate(handedness="left", track_id="6")]
    array = over_the_wire(convert_hands.to_meshes(estimates, header, surface.digest))
    assert array.header == header
    for mesh, estimate in zip(array.meshes, estimates):
        assert (mesh.id, mesh.topology_id) == (estimate.track_id, surface.digest)
        np.testing.assert_allclose(np.reshape(mesh.vertices, (-1, 3)), estimate.vertices_m, rtol=1e-6)
        np.testing.assert_allclose(mesh.vertex_std, estimate.vertex_std_m, rtol=1e-6)


def test_the_topology_holds_what_meshes_leave_out(surface):
    topology = over_the_wire(convert_hands.to_topology(surface))
    np.testing.assert_array_equal(np.reshape(topology.triangles, (-1, 3)), surface.faces)
    np.testing.assert_array_equal(topology.fingertip_vertices, surface.fingertip_vertices)
    assert topology.vertex_count == len(surface.template_m)
    assert tuple(topology.joint_names) == JOINT_NAMES
    assert topology.joint_parents[0] == -1
    assert (topology.topology_id, topology.licence) == (surface.digest, "CC0")


def test_hypotheses_come_back(header, make_estimate):
    estimate = make_estimate()
    message = over_the_wire(convert_hands.to_hypotheses(estimate, header))
    assert message.n == 3
    np.testing.assert_allclose(np.reshape(message.joints, (3, N_JOINTS, 3)), estimate.hypotheses_m, rtol=1e-6)
    np.testing.assert_allclose(message.weights, estimate.weights)
    np.testing.assert_array_equal(message.mode, estimate.mode)
    assert not message.root_relative


def test_the_cloud_holds_every_joint_of_every_sample_of_every_hand(header, make_estimate):
    estimates = [make_estimate(), make_estimate()]
    cloud = over_the_wire(convert_hands.to_joint_cloud(estimates, header))
    types = {PointField.FLOAT32: "<f4", PointField.UINT8: "u1", PointField.UINT16: "<u2"}
    layout = np.dtype(
        {
            "names": [item.name for item in cloud.fields],
            "formats": [types[item.datatype] for item in cloud.fields],
            "offsets": [item.offset for item in cloud.fields],
            "itemsize": cloud.point_step,
        }
    )
    points = np.frombuffer(cloud.data, layout)
    assert (cloud.height, cloud.width, cloud.row_step) == (1, 2 * 3 * N_JOINTS, len(cloud.data))
    assert cloud.is_dense
    assert cloud.header == header
    for point in points:
        estimate = estimates[point["hand"]]
        expected = estimate.hypotheses_m[point["sample"], point["joint"]]
        np.testing.assert_allclose([point["x"], point["y"], point["z"]], expected, rtol=1e-6)
        assert point["weight"] == estimate.weights[point["sample"]]
    assert len({(point["hand"], point["sample"], point["joint"]) for point in points}) == len(points)


def test_points_relative_to_the_wrist_are_not_in_the_frame_of_the_camera(header, make_estimate, surface):
    estimates = [make_estimate(scale_source="none"), make_estimate(scale_source="none", track_id="6")]
    assert convert_hands.to_joint_cloud(estimates, header).width == 0
    meshes = convert_hands.to_meshes(estimates, header, surface.digest)
    for message in (meshes, convert_hands.to_hypotheses(estimates[0], header)):
        assert (message.header.stamp, message.header.frame_id) == (header.stamp, "")
    assert header.frame_id


def test_sensor_msgs_py_reads_the_cloud(header, make_estimate):
    reason = "sensor_msgs_py comes with a full ROS installation only"
    point_cloud2 = pytest.importorskip("sensor_msgs_py.point_cloud2", reason=reason)
    estimate = make_estimate()
    points = point_cloud2.read_points(over_the_wire(convert_hands.to_joint_cloud([estimate], header)))
    assert points.dtype.names == ("x", "y", "z", "joint", "hand", "sample", "weight")
    positions = np.stack([points[axis] for axis in "xyz"], axis=-1).reshape(-1, N_JOINTS, 3)
    np.testing.assert_allclose(positions, estimate.hypotheses_m, rtol=1e-6)
    assert points["joint"].tolist() == [*range(N_JOINTS)] * len(estimate.weights)
    np.testing.assert_allclose(points["weight"].reshape(-1, N_JOINTS)[:, 0], estimate.weights)


def test_no_hands_make_empty_messages_under_the_images_header(header, surface):
    assert convert_hands.to_hands([], header, "m").header == header
    assert convert_hands.to_meshes([], header, surface.digest).meshes == []
    assert convert_hands.to_joint_cloud([], header).width == 0
