"""Figures about pairs tell a lower rate, a delay and other stamps apart."""

import math

import pytest

from hand_mesh_ros.core.stream.depth_pairs import DepthPairs, PairFigures

SLOP_NS = 15_000_000


def figures(
    late_s: float = 0.0,
    every: int = 1,
    shift_s: float = 0.0,
    without: int = 1,
    start_s: float = 50.0,
    pairs: DepthPairs | None = None,
) -> PairFigures | None:
    """Two seconds of images at 30 Hz. Every `without`th answer has no depth."""
    pairs, messages = pairs or DepthPairs(), []
    for number in range(60):
        taken_s = start_s + number / 30
        messages.append((taken_s + max(-late_s, 0.0), pairs.image_came, taken_s))
        if number % every == 0:
            messages.append((taken_s + max(late_s, 0.0), pairs.depth_came, taken_s + shift_s))
    for came_s, store, stamp_s in sorted(messages, key=lambda message: message[0]):
        store(int(1e9 * stamp_s), came_s)
    for number in range(60):
        pairs.image_answered(number % without != 0, start_s + number / 30)
    return pairs.figures(SLOP_NS, start_s + 2.0)


@pytest.mark.parametrize("late_s", [0.0, 0.12, -0.2])
def test_a_delay_is_measured_with_its_sign(late_s):
    found = figures(late_s=late_s)
    assert found.paired_share == 1
    assert found.delay_s == pytest.approx(abs(late_s), abs=1e-3)
    assert found.depth_is_later == (late_s > 0)
    assert found.image_hz == pytest.approx(30, rel=0.01)
    assert found.depth_hz == pytest.approx(30, rel=0.01)


def test_a_lower_rate_is_the_share_of_pairs():
    found = figures(every=2, without=2)
    assert found.paired_share == pytest.approx(0.5, abs=0.02)
    # The last image is after the last depth.
    assert (found.answered, found.without_depth) == (59, 30)
    assert found.depth_hz == pytest.approx(15, rel=0.01)


def test_other_stamps_give_no_pairs():
    assert figures(shift_s=0.0166).paired_share == 0
    # No image is between the stamps of this depth.
    assert math.isnan(figures(shift_s=-5.0).paired_share)


def test_a_pause_of_depth_and_the_time_before_it_do_not_count():
    pairs = DepthPairs()
    figures(shift_s=0.0166, pairs=pairs)
    assert pairs.figures(SLOP_NS, 60.0) is None
    assert figures(start_s=60.0, pairs=pairs).answered == 60
    assert figures(start_s=70.0, pairs=pairs).paired_share == 1


def test_images_after_the_last_depth_are_not_without_depth():
    pairs = DepthPairs()
    assert figures(without=60, pairs=pairs).without_depth == 1
    # Depth has ended. Some images wait in vain until the end is known.
    for number in range(30):
        now_s = 52.0 + number / 30
        pairs.image_came(int(1e9 * now_s), now_s)
        pairs.image_answered(False, now_s)
    assert pairs.figures(SLOP_NS, 53.0).without_depth <= 1


def test_depth_that_returns_is_not_of_a_lower_rate():
    pairs = DepthPairs()
    figures(without=60, pairs=pairs)
    for number in range(15):
        pairs.image_answered(False, 52.0 + number / 30)
    for number in range(9):
        now_s = 53.2 + number / 30
        pairs.depth_came(int(1e9 * now_s), now_s)
        pairs.image_came(int(1e9 * now_s), now_s)
        pairs.image_answered(True, now_s)
    assert pairs.figures(SLOP_NS, 53.5).without_depth == 0


def test_a_delay_that_begins_is_known_as_later_depth():
    pairs = DepthPairs()
    # Depth came just before its image.
    figures(late_s=-0.002, start_s=51.5, pairs=pairs)
    for number in range(12):
        taken_s = 53.5 + number / 30
        pairs.image_came(int(1e9 * taken_s), taken_s)
        pairs.depth_came(int(1e9 * taken_s), taken_s + 0.2)
        pairs.image_answered(False, taken_s + 0.06)
    found = pairs.figures(SLOP_NS, 53.9)
    assert found.delay_s == pytest.approx(0.2, abs=1e-3)
    assert found.depth_is_later
