"""Laws of the parts of an image: they cover it, show every hand well, and the promising ones come first."""

import numpy as np
import pytest

from hand_mesh_ros.core.detect.search import Plan, whole_plan
from hand_mesh_ros.core.detect.tiles import coarse, interest, layout

SIZES = ((1, 1), (3, 900), (640, 480), (1280, 720), (3840, 2160))


@pytest.mark.parametrize("size", SIZES)
def test_parts_lie_in_the_image_and_each_size_covers_it(size: tuple[int, int]) -> None:
    tiles = layout(*size, 45.0)
    assert tiles[0].is_whole
    assert not any(tile.is_whole for tile in tiles[1:])
    for tile in tiles:
        assert 0 <= tile.left <= tile.left + tile.width <= size[0]
        assert 0 <= tile.top <= tile.top + tile.height <= size[1]
    for side in {max(tile.width, tile.height) for tile in tiles}:
        of_size = [tile for tile in tiles if max(tile.width, tile.height) == side]
        assert min(tile.left for tile in of_size) == 0
        assert max(tile.left + tile.width for tile in of_size) == size[0]
        assert max(tile.top + tile.height for tile in of_size) == size[1]


def test_every_smallest_hand_lies_within_a_part_that_shows_it_large_enough() -> None:
    tiles = layout(640, 480, 45.0)
    for centre in np.random.default_rng(0).uniform((23, 23), (616, 456), (200, 2)):
        low, high = centre - 22, centre + 22
        fitting = [
            tile
            for tile in tiles
            if (low >= (tile.left, tile.top)).all() and (high <= (tile.left + tile.width, tile.top + tile.height)).all()
        ]
        assert max(45 / max(tile.width, tile.height) for tile in fitting) > 0.25


@pytest.mark.parametrize("size", SIZES)
def test_one_colour_promises_nothing(size: tuple[int, int]) -> None:
    rgb = np.full((size[1], size[0], 3), 120, np.uint8)
    tiles = layout(*size, 45.0)
    promise, _ = interest(tiles, coarse(rgb, 45.0))
    assert promise[0] == 1
    assert not promise[1:].any()
    assert len(whole_plan(rgb, 45.0).tiles) == 1


def test_what_moves_promises_most() -> None:
    rng = np.random.default_rng(1)
    before = rng.integers(100, 130, (480, 640, 3), dtype=np.uint8)
    after = before.copy()
    after[300:345, 400:445] = rng.integers(0, 255, (45, 45, 3), dtype=np.uint8)
    tiles = layout(640, 480, 45.0)
    promise, _ = interest(tiles, coarse(after, 45.0), coarse(before, 45.0))
    promise[0] = 0
    assert tiles[int(promise.argmax())].contains(np.array([422, 322]))


def test_a_close_up_lies_in_its_part_and_shows_the_place() -> None:
    part = next(tile for tile in layout(640, 480, 45.0)[::-1] if tile.is_square)
    for place in np.random.default_rng(0).uniform(0, 1, (50, 2)) * (part.width, part.height) + (part.left, part.top):
        cut = part.close_up(place)
        assert cut.width < part.width
        assert part.left <= cut.left <= place[0] <= cut.left + cut.width <= part.left + part.width
        assert part.top <= cut.top <= place[1] <= cut.top + cut.height <= part.top + part.height


def test_a_plan_always_does_one_part_and_then_keeps_its_time() -> None:
    tiles = layout(640, 480, 45.0)
    plan = Plan(tiles, budget_s=0.02, step_s=0.01)
    assert plan.has_time(1.0)
    plan.visited.append(tiles[0])
    assert plan.has_time(0.005)
    assert not plan.has_time(0.015)
