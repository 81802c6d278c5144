"""Checks whose faults a test cannot make on a real machine, on records and folders."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
from sensor_msgs.msg import Image

from hand_mesh_ros.ros.checks import shared_memory, streams
from hand_mesh_ros.ros.checks.watch import Asked, Stream
from hand_mesh_ros.ros.input.diagnosis import Wire

PERIOD_NS = 33_333_333


def stream(stamps_ns: list[int]) -> Stream:
    return Stream(Wire("image", "/image", Image), False, ["/camera"], "", stamps_ns, stamps_ns, object())


def watched(image: list[int], info: list[int]) -> SimpleNamespace:
    return SimpleNamespace(image=stream(image), camera_info=stream(info), depth=stream([]))


def test_lost_images_are_counted_by_the_stamps_of_their_calibration() -> None:
    rng = np.random.default_rng(0)
    # A camera with an unsteady rate loses nothing.
    every = [1 + number * PERIOD_NS + int(rng.uniform(0, 0.9 * PERIOD_NS)) for number in range(100)]
    assert not streams.arrivals(watched(every, every), Asked())
    arrived = [stamp for stamp in every if rng.uniform() < 0.5]
    (finding,) = streams.arrivals(watched(arrived, every), Asked())
    assert 35 < float(finding.problem.split(" ")[0]) < 65
    assert "of the images on /image do not arrive" in finding.problem
    assert "fastdds_images.xml" in finding.cure
    assert not streams.arrivals(watched(arrived, [stamp + 1 for stamp in every]), Asked())


def test_shared_memory_that_is_too_small_for_two_images_is_named(tmp_path: Path) -> None:
    assert not shared_memory.space(tmp_path, 1000)
    (finding,) = shared_memory.space(tmp_path, 1 << 50)
    assert "two images need" in finding.problem
    assert "--shm-size" in finding.cure
    (finding,) = shared_memory.space(tmp_path / "none", 1000)
    assert "is missing" in finding.problem


def test_a_segment_that_is_smaller_than_an_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "fastdds_1").write_bytes(bytes(500_000))
    assert not shared_memory.segments(tmp_path, 400_000)
    (finding,) = shared_memory.segments(tmp_path, 921_600)
    assert "0.5 MB, an image has 0.9 MB" in finding.problem
