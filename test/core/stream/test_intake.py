"""The worker gets the newest image, its own depth or none, and never an older image after a newer one."""

import threading
import time

import pytest

from hand_mesh_ros.core.stream.intake import Intake

MS = 1_000_000
START = 1_000_000 * MS


@pytest.fixture
def intake() -> Intake[str]:
    return Intake(depth_slop_s=0.005, depth_wait_s=0.05)


def test_the_newest_image_wins_and_the_others_are_counted(intake):
    for index in range(5):
        intake.put_image(f"image {index}", START + index * 33 * MS)
    assert intake.take(0) == ("image 4", None, False)
    assert intake.superseded == 4
    assert intake.take(0) is None


def test_an_image_is_taken_once_and_wakes_the_worker(intake):
    threading.Timer(0.05, intake.put_image, ("image", START)).start()
    started = time.monotonic()
    assert intake.take(5.0)[0] == "image"
    assert time.monotonic() - started < 1.0


def test_an_older_image_is_dropped_as_late(intake):
    intake.put_image("new", START + 33 * MS)
    intake.put_image("old", START)
    assert intake.take(0)[0] == "new"
    assert intake.late == 1
    assert intake.take(0) is None


def test_an_image_sent_again_is_answered_again(intake):
    for _ in range(2):
        intake.put_image("image", START)
        assert intake.take(0)[0] == "image"


def test_a_restarted_source_is_taken_and_reported_once(intake):
    intake.put_image("end of the bag", START + 10_000 * MS)
    assert intake.take(0) == ("end of the bag", None, False)
    intake.put_image("start of the bag", START)
    intake.put_image("second of the bag", START + 33 * MS)
    assert intake.take(0) == ("second of the bag", None, True)
    intake.put_image("third of the bag", START + 66 * MS)
    assert intake.take(0) == ("third of the bag", None, False)
    assert intake.restarts == 1


@pytest.mark.parametrize("depth_first", [True, False])
def test_an_image_gets_the_depth_of_its_stamp_in_either_order(intake, depth_first):
    intake.put_depth("other depth", START - 33 * MS)
    if depth_first:
        intake.put_depth("depth", START + 3 * MS)
    intake.put_image("image", START)
    if not depth_first:
        intake.put_depth("depth", START + 3 * MS)
    assert intake.take(0) == ("image", "depth", False)
    assert intake.unpaired == 0


def test_depth_that_lags_by_two_images_still_pairs(intake):
    for index in range(8):
        intake.put_image(f"image {index}", START + index * 33 * MS)
        intake.put_depth(f"depth {index - 2}", START + (index - 2) * 33 * MS)
        taken = intake.take(0)
        if index >= 2:
            assert taken == (f"image {index - 2}", f"depth {index - 2}", False)


def test_an_image_whose_depth_does_not_come_is_used_without_it_after_the_wait(intake):
    intake.put_depth("depth of long ago", START - 20 * MS)
    intake.put_image("image", START)
    assert intake.take(0) is None
    started = time.monotonic()
    assert intake.take(1.0) == ("image", None, False)
    assert 0.02 < time.monotonic() - started < 0.5
    assert intake.unpaired == 1
    assert intake.nearest_depth_s == pytest.approx(0.02)


def test_depth_that_is_past_the_image_ends_the_wait(intake):
    intake.put_depth("depth of another clock tick", START + 16 * MS)
    intake.put_image("image", START)
    assert intake.take(0) == ("image", None, False)
    assert intake.unpaired == 1


def test_without_depth_nobody_waits(intake):
    intake.put_image("image", START)
    assert intake.take(0) == ("image", None, False)


def test_closing_wakes_the_worker_with_nothing(intake):
    threading.Timer(0.05, intake.close).start()
    started = time.monotonic()
    assert intake.take(5.0) is None
    assert time.monotonic() - started < 1.0
