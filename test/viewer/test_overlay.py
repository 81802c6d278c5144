"""The overlay draws where the numbers say, and only what may be drawn."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from hand_mesh_ros.core.geometry.camera import project
from hand_mesh_ros.core.types import HandEstimate
from hand_mesh_ros.viewer.overlay import FINGER_COLOURS, OverlayLayers, draw_overlay, draw_text

K = np.array([[300.0, 0, 159.5], [0, 300.0, 119.5], [0, 0, 1]])
BLACK = np.zeros((240, 320, 3), np.uint8)
ONLY = {"keypoints": False, "reprojection": False, "hypotheses": False, "label": False}


@pytest.mark.parametrize("joint", [4, 8, 20])
def test_keypoints_lie_on_their_pixels_in_their_fingers_colour(make_hand: Callable[..., HandEstimate], joint: int) -> None:
    hand = make_hand()
    image = draw_overlay(BLACK, [hand], K, layers=OverlayLayers(**(ONLY | {"keypoints": True})))
    u, v = np.round(hand.keypoints_px[joint]).astype(int)
    np.testing.assert_array_equal(image[v, u], FINGER_COLOURS[(joint - 1) // 4])
    assert not BLACK.any(), "the caller's image must stay"


def test_the_estimate_is_projected_with_the_camera(make_hand: Callable[..., HandEstimate]) -> None:
    hand = make_hand()
    image = draw_overlay(BLACK, [hand], K, layers=OverlayLayers(**(ONLY | {"reprojection": True})))
    for u, v in np.round(project(hand.joints_m, K)).astype(int):
        assert image[v - 1 : v + 2, u - 1 : u + 2].max() > 200
    shifted = draw_overlay(
        BLACK, [hand], np.add(K, [[0, 0, 40], [0, 0, 0], [0, 0, 0]]), layers=OverlayLayers(**(ONLY | {"reprojection": True}))
    )
    np.testing.assert_array_equal(shifted[:, 40:], image[:, :-40])


def test_without_a_calibrated_camera_only_the_keypoints_are_drawn(make_hand: Callable[..., HandEstimate]) -> None:
    hand = make_hand(scale_source="none")
    everything = draw_overlay(BLACK, [hand], np.zeros((3, 3)), layers=OverlayLayers(label=False))
    keypoints = draw_overlay(BLACK, [hand], K, layers=OverlayLayers(**(ONLY | {"keypoints": True})))
    np.testing.assert_array_equal(everything, keypoints)


def test_hands_behind_or_far_beside_the_camera_do_not_break_it(make_hand: Callable[..., HandEstimate]) -> None:
    hand = make_hand()
    behind = make_hand(joints_m=hand.joints_m - [0, 0, 1], hypotheses_m=hand.hypotheses_m - [0, 0, 1])
    beside = make_hand(keypoints_px=hand.keypoints_px + 1e7)
    assert draw_overlay(BLACK, [behind, beside], K).shape == BLACK.shape


def test_no_hand_no_change() -> None:
    np.testing.assert_array_equal(draw_overlay(BLACK + 7, [], K), BLACK + 7)


@pytest.mark.parametrize("unit", [1, 3])
def test_the_outline_of_a_text_follows_its_letters(unit: int) -> None:
    image = np.full((40 * unit, 130 * unit, 3), 120, np.uint8)
    draw_text(image, "right 0.95", (8 * unit, 25 * unit), (255, 170, 0), unit)
    letters = (image[..., 0] > 190).astype(np.uint8)
    near = cv2.dilate(letters, np.ones((4 * unit + 3, 4 * unit + 3), np.uint8))
    dark = image.max(axis=2) < 80
    assert dark.sum() > 100 * unit
    assert not (dark & (near == 0)).any()
