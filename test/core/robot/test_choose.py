"""No consumer of a side's topics mistakes one hand for another: between two hands there is a silence."""

from collections.abc import Callable

import numpy as np
import pytest

from hand_mesh_ros.core.robot.choose import RobotHands
from hand_mesh_ros.core.types import HandEstimate

SILENCE_S = 0.5
PERIOD_S = 1 / 30
Make = Callable[..., HandEstimate]


def ids(hands: RobotHands, stamp_s: float, *estimates: HandEstimate) -> list[str]:
    return [hand.track_id for hand in hands.choose(estimates, stamp_s)]


def test_another_hand_is_chosen_after_a_silence(make_hand: Make):
    hands, first, second = RobotHands(SILENCE_S), make_hand(track_id="1"), make_hand(track_id="2")
    assert ids(hands, 0.0, first, second) == ["1"]
    stamps = np.arange(1, 60) * PERIOD_S
    sent = [stamp_s for stamp_s in stamps if ids(hands, stamp_s, second) == ["2"]]
    assert SILENCE_S <= sent[0] < SILENCE_S + 2 * PERIOD_S
    assert len(sent) == sum(stamps >= sent[0])


def test_the_same_hand_goes_on_at_once_after_a_prediction(make_hand: Make):
    hands = RobotHands(SILENCE_S)
    assert ids(hands, 0.0, make_hand(track_id="1")) == ["1"]
    assert ids(hands, 0.1, make_hand(track_id="1", state="predicted")) == []
    assert ids(hands, 0.2, make_hand(track_id="1")) == ["1"]


def test_a_hand_that_changes_its_side_waits_for_the_hand_that_was_there(make_hand: Make):
    hands = RobotHands(SILENCE_S)
    assert ids(hands, 0.0, make_hand(track_id="1"), make_hand(handedness="left", track_id="2")) == ["2", "1"]
    changed = make_hand(handedness="left", track_id="1")
    assert ids(hands, 0.1, changed) == []
    assert ids(hands, 0.6, changed) == ["1"]


def test_a_stamp_is_sent_once(make_hand: Make):
    hands = RobotHands(SILENCE_S)
    assert ids(hands, 1.0, make_hand()) == [make_hand().track_id]
    assert ids(hands, 1.0, make_hand()) == []
    assert ids(hands, 1.1, make_hand()) == [make_hand().track_id]


def test_the_other_side_does_not_wait(make_hand: Make):
    hands = RobotHands(SILENCE_S)
    assert ids(hands, 0.0, make_hand(track_id="1")) == ["1"]
    assert ids(hands, 0.1, make_hand(handedness="left", track_id="2")) == ["2"]


@pytest.mark.parametrize("start_s", [0.0, 99.9])
def test_a_stream_that_begins_again_is_silent_first(make_hand: Make, start_s: float):
    hands = RobotHands(SILENCE_S)
    assert ids(hands, 100.0, make_hand(track_id="1")) == ["1"]
    assert ids(hands, start_s, make_hand(track_id="2")) == []
    assert ids(hands, start_s + 0.4, make_hand(track_id="2")) == []
    assert ids(hands, start_s + 0.6, make_hand(track_id="2")) == ["2"]
