"""The viewer's page: what it sends to the browser, and that it sends the triangles once."""

import urllib.request
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from hand_mesh_ros.core.geometry.mirror import mirror_faces
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.types import HandEstimate
from hand_mesh_ros.viewer.hand_scene import PLACE_WITHOUT_CAMERA_M, ellipsoids
from hand_mesh_ros.viewer.page import Viewer
from hand_mesh_ros.viewer.snapshot import Snapshot

K = np.array([[300.0, 0, 159.5], [0, 300.0, 119.5], [0, 0, 1]])
IMAGE = np.full((240, 320, 3), 90, np.uint8)


@pytest.fixture
def viewer(model: HandModel) -> Iterator[Viewer]:
    viewer = Viewer("127.0.0.1", 18431)
    viewer.set_faces(model.faces)
    yield viewer
    viewer.close()


def show(viewer: Viewer, *hands: HandEstimate, camera_matrix: np.ndarray = K) -> None:
    viewer.show(Snapshot(IMAGE, camera_matrix, None, hands, "working", {"results out [Hz]": "30.0"}))


def parts(viewer: Viewer, name: str) -> dict:
    return viewer._drawings[name]._handles


def test_the_page_answers_and_nobody_watches_yet(viewer: Viewer) -> None:
    with urllib.request.urlopen(viewer.address, timeout=5) as page:
        assert page.status == 200
    assert not viewer.is_watched


def test_a_hand_is_drawn_where_it_is_and_moves_without_new_triangles(
    viewer: Viewer, make_hand: Callable[..., HandEstimate], model: HandModel
) -> None:
    hand = make_hand()
    show(viewer, hand)
    surface = parts(viewer, ("right", 0))["surface"]
    np.testing.assert_allclose(surface.vertices, hand.vertices_m, atol=1e-6)
    np.testing.assert_array_equal(surface.faces, model.faces)
    moved = make_hand(track_id="2", vertices_m=hand.vertices_m + 0.05)
    show(viewer, moved)
    assert parts(viewer, ("right", 0))["surface"] is surface
    np.testing.assert_allclose(surface.vertices, moved.vertices_m, atol=1e-6)
    assert parts(viewer, ("right", 0))["hypotheses"].points.shape == (3 * 20, 2, 3)


def test_left_hands_have_rewound_triangles_and_hands_that_are_gone_disappear(
    viewer: Viewer, make_hand: Callable[..., HandEstimate], model: HandModel
) -> None:
    show(viewer, make_hand(handedness="left"), make_hand(), make_hand())
    assert set(viewer._drawings) == {("left", 0), ("right", 0), ("right", 1)}
    np.testing.assert_array_equal(parts(viewer, ("left", 0))["surface"].faces, mirror_faces(model.faces))
    show(viewer, make_hand())
    assert parts(viewer, ("right", 0))["surface"].visible
    assert not any(handle.visible for handle in parts(viewer, ("left", 0)).values())
    assert not any(handle.visible for handle in parts(viewer, ("right", 1)).values())


def test_layers_are_switched_off_and_on(viewer: Viewer, make_hand: Callable[..., HandEstimate]) -> None:
    viewer._panel._spread.value = True
    show(viewer, make_hand())
    viewer._panel._spread.value, viewer._panel._surface.value, viewer._panel._ellipsoids.value = False, False, "none"
    show(viewer, make_hand())
    visible = {name for name, handle in parts(viewer, ("right", 0)).items() if handle.visible}
    assert visible == {"skeleton", "hypotheses"}


def test_a_hand_without_position_is_shown_in_a_fixed_place(viewer: Viewer, make_hand: Callable[..., HandEstimate]) -> None:
    joints_m = make_hand().joints_m - make_hand().joints_m[0]
    pose = np.full((4, 4), np.nan)
    nothing = np.full((21, 3, 3), np.nan)
    show(
        viewer,
        make_hand(scale_source="none", joints_m=joints_m, wrist_pose=pose, joint_covariance_m2=nothing, scale_rel_std=np.nan),
        camera_matrix=np.zeros((3, 3)),
    )
    lines = parts(viewer, ("right", 0))["skeleton"].points
    np.testing.assert_allclose(lines[0, 0], PLACE_WITHOUT_CAMERA_M, atol=1e-6)
    assert "not calibrated" in viewer._panel._hands.content


def test_hands_without_mesh_and_hypotheses_and_images_that_are_missing_are_no_error(
    viewer: Viewer, make_hand: Callable[..., HandEstimate]
) -> None:
    bare = make_hand(
        vertices_m=np.zeros((0, 3)),
        vertex_std_m=np.zeros(0),
        hypotheses_m=np.zeros((0, 21, 3)),
        weights=np.zeros(0),
        mode=np.zeros(0, int),
    )
    viewer.show(Snapshot(None, np.zeros((3, 3)), None, [bare]))
    assert set(parts(viewer, ("right", 0))) == {"skeleton", "ellipsoids"}


def test_panel_tells_rate_side_and_scale(viewer: Viewer, make_hand: Callable[..., HandEstimate]) -> None:
    show(viewer, make_hand())
    assert "30.0" in viewer._panel._status.content
    for text in ("right", "0.90", "score 0.80", "scale from prior ± 8 %", "3 hypotheses in 1 mode", "50.0) cm"):
        assert text in viewer._panel._hands.content
    show(viewer)
    assert "no hand" in viewer._panel._hands.content


def test_ellipsoids_have_the_axes_of_the_covariance() -> None:
    rng = np.random.default_rng(0)
    factors = 0.01 * rng.normal(size=(21, 3, 3))
    covariances = factors @ np.swapaxes(factors, 1, 2)
    (w, x, y, z), radii = (values.astype(float) for values in ellipsoids(covariances)[0].T), ellipsoids(covariances)[1]
    rotations = np.stack(
        [
            np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)], -1),
            np.stack([2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)], -1),
            np.stack([2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)], -1),
        ],
        axis=-2,
    )
    rebuilt = rotations @ (np.eye(3) * (radii[:, None] / 2.5003) ** 2) @ np.swapaxes(rotations, 1, 2)
    np.testing.assert_allclose(rebuilt, covariances, atol=1e-8)
