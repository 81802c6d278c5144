"""The page as a person sees it: Chromium draws the hand where the estimate is, in the scene, in the image and in recordings."""

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("viser")
browser = pytest.importorskip("browser")

from hand_mesh_ros.core.geometry.camera import project  # noqa: E402
from hand_mesh_ros.core.geometry.mirror import mirror_points  # noqa: E402
from hand_mesh_ros.core.hand.model import HandModel  # noqa: E402
from hand_mesh_ros.core.types import HandEstimate  # noqa: E402
from hand_mesh_ros.viewer.overlay import FINGER_COLOURS, SIDE_COLOURS  # noqa: E402
from hand_mesh_ros.viewer.page import Viewer  # noqa: E402
from hand_mesh_ros.viewer.snapshot import Snapshot  # noqa: E402

pytestmark = pytest.mark.skipif(browser.PROGRAM is None, reason="needs a browser: apt install chromium")

K = np.array([[300.0, 0, 159.5], [0, 300.0, 119.5], [0, 0, 1]])
IMAGE = np.full((240, 320, 3), 90, np.uint8)
# The software renderer shares the processor with other tests.
LONG_S = 60.0
# A drawing has arrived on the page if the picture no longer changes. The page fades in at the start.
SETTLED_S = 1.0


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[browser.Browser]":
    window = browser.Browser(tmp_path_factory.mktemp("profile"), (1600, 900))
    yield window
    window.close()


@pytest.fixture(scope="module")
def viewer(model: HandModel, window: "browser.Browser") -> Iterator[Viewer]:
    """A page that the window shows, with the surface as the only part of the scene that changes."""
    viewer = Viewer("127.0.0.1", 18441)
    viewer.set_faces(model.faces)
    panel = viewer._panel
    for layer in (panel._skeleton, panel._hypotheses, panel._camera, panel._frames):
        layer.value = False
    panel._ellipsoids.value = "none"
    window.open(viewer.address)
    assert browser.wait_for(lambda: viewer.is_watched, LONG_S), "the page does not connect"
    yield viewer
    viewer.close()


def show(viewer: Viewer, *hands: HandEstimate) -> None:
    viewer.show(Snapshot(IMAGE, K, None, hands, "working"))


def settled(window: "browser.Browser") -> np.ndarray:
    """The picture of the window after it has stopped changing, as signed integers."""
    last = window.picture()

    def is_still() -> bool:
        nonlocal last
        before, last = last, window.picture()
        return bool(np.abs(last.astype(int) - before).max() < 3)

    browser.wait_for(lambda: is_still() and is_still() and is_still(), LONG_S)
    return last.astype(int)


def silhouette(viewer: Viewer, window: "browser.Browser", hand: HandEstimate, faces: np.ndarray) -> np.ndarray:
    """Pixels of the window, (H, W) bool, that the surface covers, computed from the browser's camera."""
    (client,) = viewer._server.get_clients().values()
    x, y, width, height = window.box("canvas")
    eye = client.camera
    w, i, j, k = eye.wxyz
    rotation = np.array(
        [
            [1 - 2 * (j * j + k * k), 2 * (i * j - k * w), 2 * (i * k + j * w)],
            [2 * (i * j + k * w), 1 - 2 * (i * i + k * k), 2 * (j * k - i * w)],
            [2 * (i * k - j * w), 2 * (j * k + i * w), 1 - 2 * (i * i + j * j)],
        ]
    )
    focal = 0.5 * height / np.tan(0.5 * eye.fov)
    matrix = np.array([[focal, 0, x + 0.5 * width], [0, focal, y + 0.5 * height], [0, 0, 1]])
    pixels = project((hand.vertices_m - eye.position) @ rotation, matrix)
    mask = np.zeros((900, 1600), np.uint8)
    for triangle in np.round(pixels[faces]).astype(np.int32):
        cv2.fillConvexPoly(mask, triangle, 1)
    return mask.astype(bool)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two masks."""
    return float((one & other).sum() / (one | other).sum())


def in_canvas(window: "browser.Browser", changed: np.ndarray) -> np.ndarray:
    """The changed pixels within the 3D view."""
    x, y, width, height = window.box("canvas")
    inside = np.zeros_like(changed)
    inside[y : y + height, x : x + width] = changed[y : y + height, x : x + width]
    return inside


@pytest.mark.parametrize("view", ["oblique", "front", "side"])
def test_the_surface_fills_the_view_and_lies_where_the_vertices_are(
    viewer: Viewer, window: "browser.Browser", make_hand: Callable[..., HandEstimate], model: HandModel, view: str
) -> None:
    hand = make_hand()
    show(viewer, hand)
    viewer._look(view)
    with_hand = settled(window)
    show(viewer)
    without = settled(window)
    drawn = in_canvas(window, np.abs(with_hand - without).max(axis=2) > 12)
    expected = silhouette(viewer, window, hand, model.faces)
    assert overlap(drawn, expected) > 0.9
    _, _, width, height = window.box("canvas")
    rows, columns = np.nonzero(expected)
    assert max(np.ptp(rows) / height, np.ptp(columns) / width) > 0.6, "the hand is small in the view"
    # Light from the viewer's side: no part of the hand is in the dark, and its colour is the one of its side.
    colours = with_hand[drawn & expected]
    assert np.percentile(colours.max(axis=1), 10) > 60
    assert np.corrcoef(colours.mean(axis=0), SIDE_COLOURS["right"])[0, 1] > 0.8


def test_opacity_changes_the_picture_also_while_no_image_arrives(
    viewer: Viewer, window: "browser.Browser", make_hand: Callable[..., HandEstimate]
) -> None:
    show(viewer, make_hand())
    solid = settled(window)
    viewer._panel._opacity.value = 0.3
    pale = settled(window)
    viewer._panel._opacity.value = 1.0
    changed = in_canvas(window, np.abs(solid - pale).max(axis=2) > 12)
    assert changed.sum() > 5000
    assert pale[changed].mean() < solid[changed].mean(), "the dark background does not shine through"


def test_two_hands_have_the_colours_of_their_sides_and_both_are_in_view(
    viewer: Viewer, window: "browser.Browser", make_hand: Callable[..., HandEstimate], model: HandModel
) -> None:
    right = make_hand()
    offset = np.array([0.12, 0, 0])
    right = make_hand(vertices_m=right.vertices_m + offset, joints_m=right.joints_m + offset)
    left = make_hand(
        track_id="2", handedness="left", vertices_m=mirror_points(right.vertices_m), joints_m=mirror_points(right.joints_m)
    )
    show(viewer, left, right)
    viewer._look("front")
    picture = settled(window)
    for hand in (left, right):
        mask = silhouette(viewer, window, hand, model.faces)
        colours = picture[in_canvas(window, mask)]
        assert len(colours) == mask.sum(), "the hand leaves the view"
        assert np.corrcoef(colours.mean(axis=0), SIDE_COLOURS[hand.handedness])[0, 1] > 0.8


@pytest.mark.parametrize("is_large", [False, True])
def test_the_image_shows_the_overlay_on_the_keypoints(
    viewer: Viewer, window: "browser.Browser", make_hand: Callable[..., HandEstimate], is_large: bool
) -> None:
    hand = make_hand()
    viewer._panel._is_large.value = is_large
    show(viewer, hand)
    picture = settled(window)
    x, y, width, height = window.box("img")
    viewer._panel._is_large.value = False
    assert width > (700 if is_large else 400)
    assert width / height == pytest.approx(320 / 240, rel=0.02)
    for joint in (4, 8, 12, 16, 20):
        u, v = hand.keypoints_px[joint] * width / 320
        colour = picture[round(y + v), round(x + u)]
        distances = np.linalg.norm(FINGER_COLOURS.astype(int) - colour, axis=1)
        assert distances.argmin() == (joint - 1) // 4
        assert distances.min() < 80
    np.testing.assert_allclose(picture[y + 5, x + 5], IMAGE[0, 0], atol=6)


def test_depth_appears_as_points_in_front_of_the_camera(
    viewer: Viewer, window: "browser.Browser", make_hand: Callable[..., HandEstimate]
) -> None:
    depth_m = np.zeros((240, 320), np.float32)
    depth_m[60:180, 80:240] = 0.6
    green = np.full((240, 320, 3), (0, 220, 0), np.uint8)
    assert not viewer._panel._depth.visible, "a control without an effect"
    viewer.show(Snapshot(green, K, None, [make_hand()], depth_m=depth_m))
    viewer._look("front")
    assert viewer._panel._depth.visible
    viewer._panel._depth.value = True
    with_depth = settled(window)
    viewer._panel._depth.value = False
    without = settled(window)
    points = in_canvas(window, (with_depth[..., 1] > 150) & (with_depth[..., 0] < 90) & (with_depth[..., 2] < 90))
    assert points.sum() > 5000
    assert not in_canvas(window, (without[..., 1] > 150) & (without[..., 0] < 90) & (without[..., 2] < 90)).any()


def test_plots_have_lines_and_labels_in_a_browser_that_connects_late(
    viewer: Viewer, window: "browser.Browser", make_hand: Callable[..., HandEstimate]
) -> None:
    def show_at(step: int) -> None:
        viewer.show(Snapshot(IMAGE, K, None, [make_hand()], stamp_s=1000 + 0.25 * step, latency_ms=70.0 + step % 2))

    for step in range(40):
        show_at(step)
    window.open("about:blank")
    window.open(viewer.address)
    assert browser.wait_for(lambda: viewer.is_watched and len(window.boxes(".u-wrap canvas")) == 2, LONG_S), "no plots"
    settled(window)
    show_at(40)
    picture = settled(window)
    for x, y, width, height in window.boxes(".u-wrap canvas"):
        plot = picture[y : y + height, x : x + width].max(axis=2)
        labels = plot[round(0.75 * height) :]
        bright = (labels > 110).sum(axis=0) > 0
        # Five labels from -20 s to 0 s stand below the plot.
        assert bright[: width // 4].any()
        assert bright[width // 2 - 20 : width // 2 + 40].any()
        assert bright[-width // 8 :].any()
        # The line covers the last half of the plot.
        assert (plot[: round(0.7 * height), round(0.6 * width) : round(0.9 * width)] > 110).any(axis=0).mean() > 0.9


def test_the_light_theme_is_light(viewer: Viewer, window: "browser.Browser", make_hand: Callable[..., HandEstimate]) -> None:
    show(viewer, make_hand())
    dark = settled(window)
    viewer._panel._theme.value = "light"
    light = settled(window)
    viewer._panel._theme.value = "dark"
    assert dark.mean() < 90
    assert light.mean() > 170


def test_a_recording_is_a_page_that_shows_the_hand_again(
    viewer: Viewer, window: "browser.Browser", make_hand: Callable[..., HandEstimate], tmp_path: Path
) -> None:
    hand = make_hand()
    show(viewer, hand)
    assert viewer._panel.playback.start_or_end() is None
    for step in range(5):
        show(viewer, make_hand(vertices_m=hand.vertices_m + 0.004 * step))
    (tmp_path / "scene.html").write_text(viewer._panel.playback.start_or_end())
    window.open((tmp_path / "scene.html").as_uri())

    def n_pixels_of_the_hand() -> int:
        picture = window.picture().astype(int)
        return int(((picture[..., 0] - picture[..., 2] > 40) & (picture[..., 0] > 100)).sum())

    assert browser.wait_for(lambda: n_pixels_of_the_hand() > 5000, LONG_S), "the recording shows no hand"
    window.open(viewer.address)
