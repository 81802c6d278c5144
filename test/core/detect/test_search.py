"""Laws of the search of a stream: every part comes in turn, doubtful hands wait for a second image."""

from dataclasses import replace

import numpy as np
import pytest

from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.detect.example_view import example_view
from hand_mesh_ros.core.detect.search import Search
from hand_mesh_ros.core.detect.tiles import Tile, layout
from hand_mesh_ros.core.hand.model import FILE_NAME, HandModel
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.types import Frame, HandDetection


@pytest.fixture(scope="module")
def hand() -> HandDetection:
    return example_view(HandModel.load(default_models_dir() / FILE_NAME))[1]


@pytest.fixture
def frame() -> Frame:
    rgb = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    return Frame(rgb, np.zeros((3, 3)))


def test_every_part_is_searched_in_turn(frame: Frame) -> None:
    search, seen, parts = Search(PipelineConfig()), set(), set(layout(640, 480, 45.0))
    for _ in range(60):
        plan = search.plan(frame, [], [])
        plan.visited += plan.tiles[:2]
        seen |= set(plan.visited)
        search.settle(plan, [])
    assert parts <= seen
    # A part that comes again is cut smaller, around its most interesting place.
    assert all(any(lies_in(cut, part) for part in parts if part.is_square) for cut in seen - parts)
    assert len(seen - parts) > 5


def lies_in(cut: Tile, part: Tile) -> bool:
    inside = part.left <= cut.left and part.top <= cut.top
    return inside and cut.left + cut.width <= part.left + part.width and cut.top + cut.height <= part.top + part.height


def test_a_hand_in_a_part_waits_for_a_second_image(frame: Frame, hand: HandDetection) -> None:
    search = Search(PipelineConfig())
    plan = search.plan(frame, [], [])
    part = next(tile for tile in plan.tiles if not tile.is_whole)
    plan.note(hand, part)
    assert search.settle(plan, [hand]) == []
    (waiting,) = search.waiting
    again = replace(hand, track_id=waiting.track_id)
    (reported,) = search.settle(search.plan(frame, [], []), [again])
    assert reported.track_id == ""
    assert search.waiting == []


@pytest.mark.parametrize(
    ("shift_px", "size", "waits"), [(0.0, 1.0, False), (60.0, 1.0, False), (900.0, 1.0, True), (0.0, 3.0, True)]
)
def test_a_hand_in_place_of_a_lost_hand_does_not_wait(
    frame: Frame, hand: HandDetection, shift_px: float, size: float, waits: bool
) -> None:
    search = Search(PipelineConfig())
    middle = hand.keypoints_px.mean(0)
    moved = (size * (hand.keypoints_px - middle) + middle + np.array([shift_px, 0])).astype(np.float32)
    again = replace(hand, keypoints_px=moved)
    plan = search.plan(frame, [replace(hand, track_id="7")], [])
    plan.note(again, next(tile for tile in layout(640, 480, 45.0) if not tile.is_whole))
    assert search.settle(plan, [again]) == ([] if waits else [again])
    # While the followed hand is still found, a second hand near it waits.
    plan = search.plan(frame, [replace(hand, track_id="7")], [])
    plan.doubtful.append(again)
    assert len(search.settle(plan, [replace(hand, track_id="7"), again])) == 1


def test_a_hand_in_the_whole_image_does_not_wait(frame: Frame, hand: HandDetection) -> None:
    search = Search(PipelineConfig())
    plan = search.plan(frame, [], [])
    plan.note(hand, next(tile for tile in plan.tiles if tile.is_whole))
    assert search.settle(plan, [hand]) == [hand]


def test_a_still_picture_leaves_the_time_of_the_whole_image_to_its_parts(frame: Frame) -> None:
    search, whole = Search(PipelineConfig()), []
    for _ in range(9):
        plan = search.plan(frame, [], [])
        plan.visited += plan.tiles[:2]
        whole.append(any(tile.is_whole for tile in plan.visited))
        search.settle(plan, [])
    assert whole == 3 * [True, False, False]


def test_after_motion_the_whole_image_is_searched(frame: Frame) -> None:
    search = Search(PipelineConfig())
    noise = np.random.default_rng(1).normal(0, 3, frame.rgb.shape)
    noisy = replace(frame, rgb=np.clip(frame.rgb + noise, 0, 255).astype(np.uint8))
    entered = replace(frame, rgb=frame.rgb.copy())
    entered.rgb[200:280, 300:360] = 255 - entered.rgb[200:280, 300:360]
    plans = []
    for image in (frame, noisy, entered):
        plans.append(search.plan(image, [], []))
        plans[-1].visited += plans[-1].tiles[:1]
        search.settle(plans[-1], [])
    assert [plan.tiles[0].is_whole for plan in plans] == [True, False, True]


def test_after_a_followed_hand_the_whole_image_is_searched_at_once(frame: Frame, hand: HandDetection) -> None:
    search, followed = Search(PipelineConfig()), replace(hand, track_id="7")
    search.settle(search.plan(frame, [], []), [])
    for _ in range(2):
        plan = search.plan(frame, [followed], [])
        plan.visited += plan.tiles
        search.settle(plan, [followed])
    assert any(tile.is_whole for tile in search.plan(frame, [], []).tiles[:1])


def test_beside_a_followed_hand_one_part_is_searched_at_most(frame: Frame, hand: HandDetection) -> None:
    search = Search(PipelineConfig())
    plans = [search.plan(frame, [hand], []) for _ in range(24)]
    assert all(len(plan.tiles) == 1 for plan in plans)
    assert sum(plan.is_due for plan in plans) == 4


def test_after_a_loss_the_search_beside_a_followed_hand_is_more_frequent_for_a_while(frame: Frame, hand: HandDetection) -> None:
    search, lost = Search(PipelineConfig()), replace(hand, track_id="8")
    search.plan(frame, [hand, lost], [lost])
    due = [search.plan(frame, [hand], []).is_due for _ in range(90)]
    assert 14 <= sum(due[:45]) <= 16
    assert sum(due[48:84]) == 6
    # Not if the lost hand is back.
    search.plan(frame, [hand, lost], [lost])
    assert sum(search.plan(frame, [hand, lost], []).is_due for _ in range(36)) == 6


def test_a_reset_forgets_what_waits(frame: Frame, hand: HandDetection) -> None:
    search = Search(PipelineConfig())
    plan = search.plan(frame, [], [])
    plan.doubtful.append(hand)
    search.settle(plan, [hand])
    search.reset()
    assert search.waiting == []
    assert search.settle(search.plan(Frame(np.zeros((2, 3, 3), np.uint8), np.zeros((3, 3))), [], []), []) == []
