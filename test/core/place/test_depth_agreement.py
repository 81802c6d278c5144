"""The ratio of depth and distance by size: what shows a fault, and what a hand of another size can explain."""

import numpy as np
import pytest

from hand_mesh_ros.core.place.depth_agreement import DepthAgreement, depth_ratio
from hand_mesh_ros.core.place.user_size import FLOOR_REL_STD, PRIOR, Scale, SizeMeasure, UserScale, depth_doubt
from hand_mesh_ros.core.types import Frame

K = np.array([[300.0, 0, 159.5], [0, 300, 119.5], [0, 0, 1]])


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def watch(ratios: list[float], rate_hz: float = 10.0) -> DepthAgreement:
    agreement = DepthAgreement()
    for number, ratio in enumerate(ratios):
        agreement.step([ratio], number / rate_hz)
    return agreement


@pytest.mark.parametrize("factor", [0.001, 0.1, 1.0, 10.0, 1000.0])
def test_the_ratio_is_the_unit_of_depth_without_pixels_that_measure_nothing(rng, factor):
    joints_m = rng.normal([0.0, 0.0, 0.5], 0.03, (21, 3))
    keypoints_px = 300 * joints_m[:, :2] / joints_m[:, 2:] + (159.5, 119.5)
    depth_m = np.zeros((240, 320), np.float32)
    for (column, row), joint in zip(np.round(keypoints_px).astype(int), joints_m):
        depth_m[row, column] = factor * joint[2]
    frame = Frame(np.zeros((240, 320, 3), np.uint8), K, depth_m)
    assert depth_ratio(joints_m, keypoints_px, frame) == pytest.approx(factor, rel=0.05)
    # Keypoints outside of the image have no depth.
    assert depth_ratio(joints_m, keypoints_px + 5000, frame) is None
    assert depth_ratio(joints_m, keypoints_px, Frame(frame.rgb, K, 0 * depth_m)) is None


@pytest.mark.parametrize("ratio", [0.1, 0.55, 1.25, 2.0, 10.0])
def test_a_ratio_that_no_hand_has_is_a_fault(rng, ratio):
    assert watch(list(ratio * np.exp(rng.normal(0, 0.05, 20)))).fault(PRIOR) == pytest.approx(ratio, rel=0.05)


@pytest.mark.parametrize("ratio", [0.65, 0.8, 1.0, 1.15])
def test_a_ratio_that_a_child_or_a_large_adult_has_is_none_unless_the_size_is_known(ratio):
    agreement = watch(20 * [ratio])
    assert agreement.ratio == pytest.approx(ratio)
    assert agreement.fault(PRIOR) is None
    assert agreement.fault(Scale(ratio, 0.02, "user")) is None
    assert agreement.fault(Scale(1.25 * ratio, 0.02, "user")) == pytest.approx(ratio)


def test_few_images_and_ratios_that_change_show_nothing():
    assert watch(5 * [10.0]).ratio is None
    # A wall beside a moving hand.
    assert watch([2.0, 3.0, 4.0, 1.5, 2.5] * 5).ratio is None
    agreement = watch(20 * [10.0])
    agreement.step([], 10.0)
    assert agreement.ratio is None


def test_a_unit_that_changes_is_known_after_a_second():
    agreement = DepthAgreement()
    for number in range(180):
        stamp_s = number / 30
        agreement.step([1.0 if stamp_s < 5 else 10.0], stamp_s)
    assert agreement.fault(PRIOR) == pytest.approx(10.0)


@pytest.mark.parametrize("size", [0.8, 1.25])
def test_an_unlikely_size_widens_what_is_known_so_that_both_explanations_hold(size):
    seen = SizeMeasure(float(np.log(size)), 0.06)
    assert 2.5 * depth_doubt(seen, PRIOR) > abs(seen.log_size)
    user = UserScale()
    for number in range(100):
        user.step([seen], 0.1 * number)
    known = user.known
    assert abs(np.log(known.factor)) < 2 * known.rel_std
    assert abs(np.log(known.factor / size)) < 2 * known.rel_std
    # A size that depth gave once is no second opinion on depth.
    assert UserScale(known).without_depth == PRIOR


def test_a_usual_size_raises_no_doubt():
    for size in (0.9, 1.0, 1.1):
        assert depth_doubt(SizeMeasure(float(np.log(size)), FLOOR_REL_STD), PRIOR) == 0
