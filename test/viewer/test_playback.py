"""Pause and step, settings from the page, depth as points, plots and the view on the hands."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("viser")

from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.geometry.camera import project
from hand_mesh_ros.core.types import HandEstimate
from hand_mesh_ros.viewer.history import spread_mm, top
from hand_mesh_ros.viewer.live_settings import LABELS
from hand_mesh_ros.viewer.page import Viewer
from hand_mesh_ros.viewer.snapshot import Snapshot
from hand_mesh_ros.viewer.surroundings import depth_points
from hand_mesh_ros.viewer.view_point import DIRECTIONS, eye, placed, sphere

K = np.array([[300.0, 0, 159.5], [0, 300.0, 119.5], [0, 0, 1]])
IMAGE = np.full((240, 320, 3), 90, np.uint8)


@pytest.fixture
def changes() -> list[tuple[str, object]]:
    return []


@pytest.fixture
def viewer(changes: list) -> Iterator[Viewer]:
    viewer = Viewer("127.0.0.1", 18451, lambda name, value: changes.append((name, value)))
    yield viewer
    viewer.close()


def test_a_pause_takes_one_image_per_step(viewer: Viewer) -> None:
    playback = viewer._panel.playback
    assert [viewer.takes_next() for _ in range(3)] == [True] * 3
    playback.press("Pause")
    assert not viewer.takes_next()
    playback.press("Step")
    playback.press("Step")
    assert [viewer.takes_next() for _ in range(3)] == [True, True, False]
    playback.press("Play")
    assert viewer.takes_next()


def test_sliders_show_the_settings_and_report_only_changes_of_the_user(viewer: Viewer, changes: list) -> None:
    assert viewer._panel.settings is None, "sliders without a chain"
    viewer.show_settings(asdict(PipelineConfig(n_hypotheses=5, smooth_beta=700.0)))
    sliders = viewer._panel.settings._sliders
    assert set(sliders) == set(LABELS)
    assert (sliders["n_hypotheses"].value, sliders["smooth_beta"].value) == (5, 700.0)
    assert changes == []
    report = sliders["n_hypotheses"]._impl.update_cb[0]
    sliders["n_hypotheses"].value = 12
    report(SimpleNamespace(client=object()))
    assert changes == [("n_hypotheses", 12)]


def test_all_sliders_are_settings_that_may_change_while_the_chain_runs() -> None:
    live = {name for name, item in PipelineConfig.__dataclass_fields__.items() if item.metadata["live"]}
    assert set(LABELS) <= live


def test_points_of_depth_lie_on_their_pixels_with_their_colours() -> None:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 255, (240, 320, 3), np.uint8)
    depth_m = rng.uniform(0.3, 1.0, (240, 320)).astype(np.float32)
    depth_m[:100] = [0.0, np.nan] * 160
    distortion = np.array([0.1, -0.05, 0.001, 0.002, 0.0])
    points, colours = depth_points(Snapshot(rgb, K, distortion, [], depth_m=depth_m))
    assert 1000 < len(points) <= 25_000
    columns, rows = np.round(project(points, K, distortion)).astype(int).T
    np.testing.assert_array_equal(colours, rgb[rows, columns])
    np.testing.assert_allclose(points[:, 2], depth_m[rows, columns])
    assert rows.min() >= 100


@pytest.mark.parametrize("depth_m", [None, np.zeros((240, 320), np.float32), np.full((240, 320), np.nan, np.float32)])
def test_without_depth_there_are_no_points(depth_m: np.ndarray | None) -> None:
    assert len(depth_points(Snapshot(IMAGE, K, None, [], depth_m=depth_m))[0]) == 0
    assert len(depth_points(Snapshot(IMAGE, np.zeros((3, 3)), None, [], depth_m=np.ones((240, 320), np.float32)))[0]) == 0


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_hands_fit_into_the_view_from_each_direction(make_hand: Callable[..., HandEstimate], direction: str) -> None:
    hand = make_hand()
    centre, radius = sphere([hand])
    fov_rad = np.deg2rad(45)
    position = eye(centre, radius, DIRECTIONS[direction], fov_rad)
    forward = (centre - position) / np.linalg.norm(centre - position)
    offsets = hand.vertices_m - position
    angles = np.arccos(offsets @ forward / np.linalg.norm(offsets, axis=1))
    assert 0.5 * fov_rad / 2 < angles.max() < fov_rad / 2


@pytest.mark.parametrize("aspect", [0.5, 1.0, 1.6])
def test_the_image_of_the_camera_does_not_hide_hands_that_are_far_apart(aspect: float) -> None:
    centre, radius = np.array([0.0, 0.0, 1.2]), 0.4
    position, fov_rad = placed(centre, radius, "front", aspect)
    image_m = 0.2  # the frustum of a camera of 35 degrees ends here
    assert position[2] > image_m
    half = np.arctan(np.tan(fov_rad / 2) * min(1.0, aspect))
    assert np.arcsin(radius / (centre[2] - position[2])) < half < np.deg2rad(45)


def test_plots_end_at_a_round_number_and_start_again_with_the_source(
    viewer: Viewer, make_hand: Callable[..., HandEstimate]
) -> None:
    assert [top(np.array(values)) for values in ([], [3.0], [20.0] * 99 + [1000.0])] == [1.0, 5.0, 20.0]
    hand = make_hand(handedness="left")
    for number in range(50):
        viewer.show(Snapshot(IMAGE, K, None, [hand], stamp_s=number, latency_ms=number))
    ago_s, left, right = viewer._panel.history._spread.data
    assert (round(ago_s[0]), ago_s[-1], len(ago_s)) == (-20, 0.0, 21)
    np.testing.assert_allclose(left[1:], spread_mm(hand))
    assert np.isnan(right).all()
    np.testing.assert_allclose(viewer._panel.history._latency.data[1], [np.nan, *range(30, 50)])
    viewer.show(Snapshot(IMAGE, K, None, [hand], stamp_s=0.0, latency_ms=7.0))
    np.testing.assert_allclose(viewer._panel.history._latency.data[1], [np.nan, 7.0])
