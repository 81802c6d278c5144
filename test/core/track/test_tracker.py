"""Ids: stable while a hand is followed, never given twice."""

from dataclasses import replace

import numpy as np
import pytest

from hand_mesh_ros.core.track.tracker import Tracker
from hand_mesh_ros.core.types import HandDetection


@pytest.fixture
def unnamed() -> HandDetection:
    flat = np.zeros(21, np.float32)
    points = np.arange(42, dtype=np.float32).reshape(21, 2)
    return HandDetection(points, flat, flat + 1, np.zeros((21, 3), np.float32), "right", 0.9, 0.8, np.eye(3)[:2])


def test_a_hand_is_new_once_and_keeps_its_id(unnamed):
    tracker = Tracker()
    ((first, state),) = tracker.update([unnamed])
    assert state == "new"
    assert first.track_id
    assert tracker.following[0].track_id == first.track_id
    ((again, state),) = tracker.update([replace(unnamed, track_id=first.track_id)])
    assert (again.track_id, state) == (first.track_id, "tracked")


def test_ids_differ_and_are_never_given_again(unnamed):
    tracker = Tracker()
    given = [hand.track_id for _ in range(3) for hand, _ in tracker.update([unnamed, unnamed])]
    tracker.forget()
    assert not tracker.following
    given += [hand.track_id for hand, _ in tracker.update([unnamed])]
    assert len(set(given)) == 7


def test_an_image_without_hands_ends_the_tracks(unnamed):
    tracker = Tracker()
    tracker.update([unnamed])
    assert tracker.update([]) == []
    assert not tracker.following


DT_S = 1 / 30


def at(unnamed: HandDetection, x: float, **changes: object) -> HandDetection:
    """A hand with its palm's corner at `x` pixels."""
    return replace(unnamed, keypoints_px=hand_shape() + np.array([x, 0], np.float32), **changes)


def hand_shape() -> np.ndarray:
    """An upright hand of 100 px from the wrist to the finger bases: all that is looked at here."""
    points = np.zeros((21, 2), np.float32)
    points[1:] = [[15 * finger - 30, -100 - 20 * joint] for finger in range(5) for joint in range(4)]
    return points


def followed(tracker: Tracker, detection: HandDetection, images: int, speed_px: float = 0.0, stamp_s: float = 0.0) -> str:
    """Lets a hand be seen in some images, moving by `speed_px` between them; its id."""
    ((first, _),) = tracker.update([detection], stamp_s)
    for index in range(1, images):
        moved = replace(first, keypoints_px=detection.keypoints_px + np.array([index * speed_px, 0], np.float32))
        tracker.update([moved], stamp_s + index * DT_S)
    return first.track_id


def test_a_hand_that_is_missed_moves_on_for_a_while_and_is_then_lost(unnamed):
    tracker = Tracker(predict_s=0.1)
    name = followed(tracker, at(unnamed, 100), 12, speed_px=5)
    assert not tracker.missing
    for step in (1, 2):
        ((hand, state),) = tracker.update([], (11 + step) * DT_S)
        assert (hand.track_id, state) == (name, "predicted")
        np.testing.assert_allclose(hand.keypoints_px[0], [100 + 5 * (11 + step), 0], atol=0.1)
        assert tracker.following[0] is hand
        assert tracker.missing
    assert tracker.update([], 15 * DT_S) == []
    assert not tracker.following
    assert tracker.update([], 16 * DT_S) == []


@pytest.mark.parametrize(("images", "predict_s", "step_s"), [(2, 0.1, DT_S), (9, 0.0, DT_S), (9, 0.1, 0.0), (9, 0.1, 0.2)])
def test_what_is_hardly_known_switched_off_unstamped_or_too_late_is_lost_at_once(unnamed, images, predict_s, step_s):
    tracker = Tracker(predict_s=predict_s)
    followed(tracker, at(unnamed, 100), images)
    assert tracker.update([], (images - 1) * DT_S + step_s) == []


@pytest.mark.parametrize("by_detector", [True, False])
def test_a_hand_that_comes_back_keeps_its_id(unnamed, by_detector):
    tracker = Tracker(predict_s=0.1)
    name = followed(tracker, at(unnamed, 100), 6, speed_px=5)
    ((predicted, _),) = tracker.update([], 6 * DT_S)
    back = at(unnamed, 140, track_id=predicted.track_id if by_detector else "")
    ((hand, state),) = tracker.update([back], 7 * DT_S)
    assert (hand.track_id, state) == (name, "tracked")
    np.testing.assert_array_equal(hand.keypoints_px, back.keypoints_px)


@pytest.mark.parametrize(("x", "size"), [(400, 1.0), (125, 2.0)])
def test_a_hand_elsewhere_or_of_another_size_is_another_one(unnamed, x, size):
    tracker = Tracker(predict_s=0.1)
    name = followed(tracker, at(unnamed, 100), 6, speed_px=5)
    other = replace(unnamed, keypoints_px=(size * hand_shape() + [x, 0]).astype(np.float32))
    states = {hand.track_id: state for hand, state in tracker.update([other], 6 * DT_S)}
    assert states.pop(name) == "predicted"
    assert list(states.values()) == ["new"]


def test_a_hand_that_comes_back_with_the_other_side_is_looked_for_with_its_own(unnamed):
    tracker = Tracker(predict_s=0.1)
    name = followed(tracker, at(unnamed, 100, handedness_prob=0.95), 6)
    ((hand, state),) = tracker.update([at(unnamed, 110, handedness="left")], 6 * DT_S)
    assert (hand.track_id, hand.handedness, state) == (name, "right", "predicted")
    (wanted,) = tracker.following
    np.testing.assert_array_equal(wanted.keypoints_px, at(unnamed, 110).keypoints_px)
    np.testing.assert_array_equal(wanted.image_from_crop, unnamed.image_from_crop)
    assert 0.5 < wanted.handedness_prob < 0.95


def test_the_first_hand_of_a_side_keeps_it_and_the_other_waits(unnamed):
    tracker = Tracker(one_per_side=True)
    name = followed(tracker, at(unnamed, 100, score=0.8), 3)
    first, second = tracker.following[0], at(unnamed, 500, score=0.9)
    for index in range(20):
        reported = tracker.update([first, second], (3 + index) * DT_S)
        assert [(hand.track_id, state) for hand, state in reported] == [(name, "tracked")]
        second = next(hand for hand in tracker.following if hand.track_id != name)
    reported = tracker.update([second], 30 * DT_S)
    assert [(hand.track_id, state) for hand, state in reported] == [(second.track_id, "new")]


def test_a_hand_with_clearly_more_support_takes_its_side_over_once_and_for_all(unnamed):
    tracker = Tracker(one_per_side=True)
    weak = followed(tracker, at(unnamed, 100, score=0.55), 3)
    hands = [tracker.following[0], at(unnamed, 500, score=0.99)]
    reported = []
    for index in range(12):
        ((hand, _),) = tracker.update(hands, (3 + index) * DT_S)
        reported.append(hand.track_id)
        hands = list(tracker.following)
    assert reported[:4] == [weak] * 4
    assert len(set(reported[4:])) == 1
    assert weak not in reported[4:]


def test_of_two_new_hands_of_one_side_the_better_is_reported(unnamed):
    tracker = Tracker(one_per_side=True)
    ((hand, _),) = tracker.update([at(unnamed, 100, score=0.6), at(unnamed, 500, score=0.7)])
    assert hand.score == 0.7
    assert len(tracker.following) == 2


def test_hands_of_both_sides_and_of_several_people_are_all_reported(unnamed):
    both = [at(unnamed, 100), at(unnamed, 500, handedness="left")]
    assert len(Tracker(one_per_side=True).update(both)) == 2
    assert len(Tracker().update([*both, at(unnamed, 900)])) == 3


def test_never_more_hands_than_asked_for_and_seen_ones_go_first(unnamed):
    tracker = Tracker(max_hands=1, predict_s=0.1)
    name = followed(tracker, at(unnamed, 100), 6)
    ((hand, state),) = tracker.update([at(unnamed, 600)], 6 * DT_S)
    assert hand.track_id != name
    assert state == "new"


def test_a_dropped_hand_is_not_followed(unnamed):
    tracker = Tracker(predict_s=0.1)
    name = followed(tracker, at(unnamed, 100), 6)
    tracker.drop(name)
    assert not tracker.following
    assert tracker.update([], 6 * DT_S) == []


@pytest.mark.parametrize("images", [2, 3, 12])
@pytest.mark.parametrize(("later_s", "shift_px"), [(DT_S, 5.0), (2 * DT_S, 10.0), (1.0, 15.0), (0.0, 0.0), (-1.0, 0.0)])
def test_a_moving_hand_is_searched_where_it_will_be(unnamed, images, later_s, shift_px):
    """From the second image on, and for at most 0.1 s."""
    tracker = Tracker(predict_s=0.1)
    name = followed(tracker, at(unnamed, 100), images, speed_px=5)
    last = tracker.following[0]
    (hand,) = tracker.following_at((images - 1) * DT_S + later_s)
    assert hand.track_id == name
    np.testing.assert_allclose(hand.keypoints_px - last.keypoints_px, np.tile([shift_px, 0], (21, 1)), atol=0.01)
    np.testing.assert_array_equal(hand.image_from_crop, last.image_from_crop)
    assert tracker.following[0] is last


def test_a_hand_with_one_image_or_at_rest_is_searched_where_it_was(unnamed):
    for images in (1, 9):
        tracker = Tracker(predict_s=0.1)
        followed(tracker, at(unnamed, 100), images)
        (hand,) = tracker.following_at(images * DT_S)
        np.testing.assert_array_equal(hand.keypoints_px, at(unnamed, 100).keypoints_px)


def test_a_missing_hand_is_searched_at_its_predicted_position_after_the_seen_hands(unnamed):
    tracker = Tracker(predict_s=0.1)
    name = followed(tracker, at(unnamed, 100), 6, speed_px=5)
    tracker.update([at(unnamed, 600)], 6 * DT_S)
    seen, missing = tracker.following_at(7 * DT_S)
    assert seen.track_id != name
    assert missing.track_id == name
    np.testing.assert_allclose(missing.keypoints_px[0], [130, 0], atol=0.1)
