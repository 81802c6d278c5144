"""What RViz cannot stand never leaves: empty lists, zero scales, quaternions that are not unit, numbers that are not finite."""

import numpy as np
import pytest
from visualization_msgs.msg import Marker

from hand_mesh_ros.core.topology import BONES, N_JOINTS
from hand_mesh_ros.ros.output.markers import HandMarkers


def added(array) -> list[Marker]:
    return [marker for marker in array.markers if marker.action == Marker.ADD]


def corners(marker: Marker) -> np.ndarray:
    return np.array([[point.x, point.y, point.z] for point in marker.points])


def volume_sign(triangles: np.ndarray) -> float:
    return float(np.sign(np.einsum("fi,fi->", triangles[:, 0], np.cross(triangles[:, 1], triangles[:, 2]))))


def test_every_marker_is_one_that_rviz_accepts(header, make_estimate, surface):
    flat = np.zeros((N_JOINTS, 3, 3))
    flat[:, 0, 0] = 1e-4  # a covariance without volume
    estimates = [make_estimate(), make_estimate(track_id="6", articulation_covariance_m2=flat)]
    array = HandMarkers(surface.faces).build(estimates, header)
    for marker in added(array):
        orientation = marker.pose.orientation
        norm = np.linalg.norm([orientation.x, orientation.y, orientation.z, orientation.w])
        assert norm == pytest.approx(1)
        assert min(marker.scale.x, marker.scale.y, marker.scale.z) > 0
        assert marker.color.a > 0
        assert marker.header == header
        assert 0 < marker.lifetime.nanosec <= 500_000_000
        if marker.type in (Marker.TRIANGLE_LIST, Marker.LINE_LIST):
            assert len(marker.points) > 0
            assert np.isfinite(corners(marker)).all()
    assert len({(marker.ns, marker.id) for marker in array.markers}) == len(array.markers)


def test_bones_join_joints_and_triangles_follow_the_faces(header, make_estimate, surface):
    estimate = make_estimate()
    by_type = {marker.type: marker for marker in added(HandMarkers(surface.faces).build([estimate], header))}
    np.testing.assert_allclose(corners(by_type[Marker.LINE_LIST]), estimate.joints_m[BONES.ravel()])
    np.testing.assert_allclose(corners(by_type[Marker.TRIANGLE_LIST]), estimate.vertices_m[surface.faces.ravel()])


def test_a_left_hand_is_not_inside_out(header, make_estimate, surface):
    right = make_estimate()
    left = make_estimate(handedness="left", vertices_m=right.vertices_m * [-1, 1, 1])
    signs = []
    for estimate in (right, left):
        mesh = next(m for m in added(HandMarkers(surface.faces).build([estimate], header)) if m.type == Marker.TRIANGLE_LIST)
        signs.append(volume_sign(corners(mesh).reshape(-1, 3, 3)))
    assert signs[0] == signs[1] != 0


def test_ellipsoids_hold_ninety_percent_of_the_gaussian(header, make_estimate, surface, rng):
    covariance = np.diag([4e-6, 1e-6, 9e-6])
    estimate = make_estimate(articulation_covariance_m2=np.tile(covariance, (N_JOINTS, 1, 1)))
    array = HandMarkers(surface.faces).build([estimate], header)
    sphere = next(marker for marker in added(array) if marker.ns.endswith("articulation"))
    radii = np.sort([sphere.scale.x, sphere.scale.y, sphere.scale.z]) / 2
    samples = rng.normal(size=(20_000, 3)) * np.sqrt(np.sort(np.diag(covariance)))
    inside = (((samples / radii) ** 2).sum(-1) < 1).mean()
    assert inside == pytest.approx(0.9, abs=0.01)


def test_a_hand_that_is_gone_is_deleted_once_and_then_there_is_silence(header, make_estimate, surface):
    markers = HandMarkers(surface.faces)
    assert markers.build([], header) is None
    assert added(markers.build([make_estimate()], header))
    (marker,) = markers.build([], header).markers
    assert (marker.action, marker.header) == (Marker.DELETEALL, header)
    assert markers.build([], header) is None
    assert added(markers.build([make_estimate()], header)), "a hand that comes back is drawn again"


def test_a_hand_keeps_its_markers_when_another_comes_and_goes(header, make_estimate, surface):
    markers = HandMarkers(surface.faces)
    first = {(marker.ns, marker.id) for marker in added(markers.build([make_estimate()], header))}
    markers.build([make_estimate(track_id="9"), make_estimate()], header)
    array = markers.build([make_estimate()], header)
    assert {(marker.ns, marker.id) for marker in added(array)} == first
    assert all(marker.ns.startswith("hand_9/") for marker in array.markers if marker.action == Marker.DELETE)


def test_a_hand_without_a_place_is_left_out_and_deleted(header, make_estimate, surface):
    """Relative to the wrist, it would be shown at the lens of the camera."""
    markers = HandMarkers(surface.faces)
    assert markers.build([make_estimate(scale_source="none")], header) is None
    assert markers.build([make_estimate()], header) is not None
    array = markers.build([make_estimate(scale_source="none")], header)
    assert {marker.action for marker in array.markers} == {Marker.DELETEALL}


def test_what_is_not_finite_is_left_out(header, make_estimate, surface):
    markers = HandMarkers(surface.faces)
    broken = np.full((N_JOINTS, 3), np.nan)
    assert markers.build([make_estimate(joints_m=broken)], header) is None
    unknown = np.full((N_JOINTS, 3, 3), np.nan)
    array = markers.build([make_estimate(joint_covariance_m2=unknown, articulation_covariance_m2=unknown)], header)
    assert {marker.type for marker in array.markers} == {Marker.TRIANGLE_LIST, Marker.LINE_LIST}
