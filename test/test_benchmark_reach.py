"""Laws of the figures of rendered films: exchanged ids, wrong sides, double reports, and the time until a hand is back."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.reach.behaviour import crossing_figures, returning_figures
from benchmarks.reach.streams import Record, Shot
from hand_mesh_ros.core.types import HandDetection

IMAGES = 90
SHAPE = np.random.default_rng(0).normal(0, 30, (21, 2)).astype(np.float32)


def hand(x_px: float, name: str, side: str) -> HandDetection:
    flat = np.zeros(21, np.float32)
    points = SHAPE + np.array([x_px, 0], np.float32)
    return HandDetection(points, flat, flat + 1, np.zeros((21, 3), np.float32), side, 0.9, 0.8, np.eye(3)[:2], track_id=name)


def shot(image: int, hidden: range) -> Shot:
    """Two hands that change places from image 15 to 55. The second hand is hidden in some images."""
    way = float(np.clip((image - 15) / 40, 0, 1))
    places = [np.array([600 * way, 0]), np.array([600 - 600 * way, 0])]
    return Shot(
        np.zeros((1, 1, 3), np.uint8), np.array([SHAPE + place for place in places]), np.array([1.0, image not in hidden])
    )


def film(report, hidden: range = range(30, 40)) -> Record:
    record = Record()
    for image in range(IMAGES):
        now = shot(image, hidden)
        centres = [points.mean(0)[0] - SHAPE.mean(0)[0] for points in now.keypoints_px]
        record.add(now, report(image, *centres), 1.0)
    return record


def steady(image: int, first: float, second: float) -> list[HandDetection]:
    return [hand(first, "1", "left"), hand(second, "2", "right")]


def figures(report) -> dict[str, float]:
    return crossing_figures([film(report)], ("left", "right"))


def test_hands_that_keep_their_ids_have_no_faults():
    of = figures(steady)
    assert of["found"] == 1
    assert [of[key] for key in ("ids exchanged", "new ids", "wrong side", "double images", "others")] == 5 * [0]
    assert of["found again, longest [s]"] == 0


def test_exchanged_ids_wrong_sides_and_double_reports_count():
    def exchanged(image: int, first: float, second: float) -> list[HandDetection]:
        if image < 35:
            return steady(image, first, second)
        return [hand(first, "2", "left"), hand(second, "1", "left"), hand(second + 5, "3", "right")]

    of = figures(exchanged)
    assert of["ids exchanged"] == 1
    assert of["wrong side"] > 0.2
    assert of["double images"] == IMAGES - 35
    assert of["others"] == 0


def test_a_hand_that_comes_back_late_with_a_new_id():
    def late(image: int, first: float, second: float) -> list[HandDetection]:
        both = steady(image, first, second)
        if image < 30:
            return both
        return both[:1] if image < 46 else [both[0], replace(both[1], track_id="5")]

    of = figures(late)
    assert of["new ids"] == 1
    assert of["found again, longest [s]"] == pytest.approx(6 / 30)
    assert of["found"] == pytest.approx(1 - 6 / (2 * 75 - 10))


def test_the_wait_after_a_return_starts_when_the_hand_is_visible():
    def report(image: int, first: float, second: float) -> list[HandDetection]:
        both = [hand(second, "2", "right"), hand(first, "1", "left")]
        return both if image < 20 or image >= 67 else both[1:]

    record = film(report, hidden=range(20, 60))
    # The hand that leaves the image is the first one of a film.
    for index, now in enumerate(record.shots):
        record.shots[index] = replace(now, visible=now.visible[::-1])
    record.ids = [ids[::-1] for ids in record.ids]
    of = returning_figures([record])
    assert of["found again, longest [s]"] == pytest.approx(7 / 30)
    assert of["found again in 0.4 s"] == 1
