"""The synthetic camera: the same seed and time give the same image, and its truth is where the image shows it."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from hand_mesh_ros.core.geometry.camera import project
from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.hand.model import HandModel, bone_lengths
from hand_mesh_ros.core.hand.wrist_frame import wrist_rotation
from hand_mesh_ros.synthetic.appearance import room, skin_colours, sleeve
from hand_mesh_ros.synthetic.camera import LAP_S, SyntheticCamera

SIZE = (320, 240)
TIMES_S = (0.0, 3.1, 7.7, 12.4)


@pytest.fixture(scope="module")
def make_camera(model: HandModel) -> Callable[..., SyntheticCamera]:
    return lambda **options: SyntheticCamera(model, SIZE, **options)


def test_same_seed_and_time_give_the_same_image(make_camera: Callable[..., SyntheticCamera]) -> None:
    one, other = make_camera(seed=3), make_camera(seed=3)
    other.at(9.0)  # the order of the calls must not matter
    np.testing.assert_array_equal(one.at(1.25).rgb, other.at(1.25).rgb)
    assert np.any(one.at(1.25).rgb != make_camera(seed=4).at(1.25).rgb)
    assert np.any(one.at(1.25).rgb != one.at(1.3).rgb)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("time_s", TIMES_S)
def test_truth_is_where_the_depth_is(make_camera: Callable[..., SyntheticCamera], side: str, time_s: float) -> None:
    camera = make_camera(side=side)
    view = camera.at(time_s)
    pixels = np.round(project(view.vertices_m, camera.camera_matrix)).astype(int)
    inside = np.all((pixels >= 1) & (pixels < np.array(SIZE) - 1), axis=1)
    u, v = pixels[inside].T
    assert inside.mean() > 0.9, "the hand leaves the image"
    # Nothing of the hand is in front of the nearest surface around it: a vertex is seen or hidden.
    nearest_m = cv2.erode(np.where(view.depth_m > 0, view.depth_m, 10.0), np.ones((3, 3)))
    behind_m = view.vertices_m[inside, 2] - nearest_m[v, u]
    assert behind_m.min() > -0.002
    assert (np.abs(behind_m) < 0.003).mean() > 0.15, "share of vertices that are seen"


@pytest.mark.parametrize("side", ["right", "left"])
def test_truth_is_a_hand_of_its_side(make_camera: Callable[..., SyntheticCamera], model: HandModel, side: str) -> None:
    for time_s in TIMES_S:
        view = make_camera(side=side).at(time_s)
        np.testing.assert_allclose(bone_lengths(view.joints_m), model.bone_lengths_m, atol=1e-6)
        np.testing.assert_allclose(wrist_rotation(view.joints_m, side), view.camera_from_wrist[:3, :3], atol=0.15)
        np.testing.assert_allclose(view.joints_m[0], view.camera_from_wrist[:3, 3], atol=1e-6)
        assert np.linalg.det(view.camera_from_wrist) == pytest.approx(1.0)


def test_left_is_the_mirror_image_of_right(make_camera: Callable[..., SyntheticCamera]) -> None:
    right, left = make_camera(side="right").at(2.0), make_camera(side="left").at(2.0)
    np.testing.assert_allclose(left.joints_m, mirror_points(right.joints_m), atol=1e-12)
    np.testing.assert_allclose(left.depth_m[:, ::-1], right.depth_m, atol=1e-5)


def test_motion_is_smooth_and_closes(make_camera: Callable[..., SyntheticCamera]) -> None:
    camera = make_camera()
    np.testing.assert_allclose(camera.at(LAP_S + 1.0).joints_m, camera.at(1.0).joints_m, atol=1e-9)
    joints = np.stack([camera.at(time_s).joints_m for time_s in np.arange(0, LAP_S + 0.1, 0.1)])
    speeds = np.linalg.norm(np.diff(joints, axis=0), axis=-1) / 0.1
    assert speeds.max() < 1.2, "metres per second of a joint"
    assert speeds.mean() > 0.05, "the hand should move"


def test_the_hand_stays_well_inside_the_view(make_camera: Callable[..., SyntheticCamera]) -> None:
    for seed in range(3):
        camera = make_camera(seed=seed)
        pixels = np.stack([project(camera.at(t).joints_m, camera.camera_matrix) for t in np.arange(0, LAP_S, 0.8)])
        share_outside = np.any((pixels < 0) | (pixels > np.array(SIZE) - 1), axis=-1).mean()
        assert share_outside < 0.02


def test_sleeve_starts_at_the_wrist_and_leaves_the_hand_alone(model: HandModel) -> None:
    vertices, faces, colours = sleeve(model, np.random.default_rng(0))
    assert vertices[:, 2].max() < 0.01
    assert vertices[:, 2].min() < -0.25
    assert faces.max() == len(vertices) - 1
    assert np.all((colours >= 0) & (colours <= 1))


def test_looks_are_valid_colours_for_any_seed(model: HandModel) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        colours = skin_colours(model, rng)
        assert np.all((colours >= 0) & (colours <= 1))
        assert colours[:, 0].mean() > colours[:, 2].mean(), "skin is redder than blue"
        assert room((64, 48), rng).shape == (48, 64, 3)


def test_a_depth_sensor_adds_its_errors_to_the_depth_only(make_camera: Callable[..., SyntheticCamera]) -> None:
    exact, sensed, again = make_camera().at(2.0), *(make_camera(depth_sensor="time_of_flight").at(2.0) for _ in range(2))
    np.testing.assert_array_equal(sensed.rgb, exact.rgb)
    np.testing.assert_array_equal(sensed.depth_m, again.depth_m)
    both = (exact.depth_m > 0) & (sensed.depth_m > 0)
    error = np.abs(sensed.depth_m - exact.depth_m)[both]
    assert 0.0005 < np.median(error) < 0.02
    with pytest.raises(KeyError, match="laser"):
        make_camera(depth_sensor="laser")
