"""The models of depth sensors have the errors that their documentation names."""

import numpy as np
import pytest

from hand_mesh_ros.synthetic.depth_sensors import BASELINE_M, SENSORS, stereo, time_of_flight

K = np.array([[554.0, 0, 319.5], [0, 554.0, 239.5], [0, 0, 1]])
SHAPE = (480, 640)


def box_before_wall() -> np.ndarray:
    depth_m = np.full(SHAPE, 1.8)
    depth_m[150:330, 250:390] = 0.5
    return depth_m


@pytest.mark.parametrize("distance_m", [0.5, 1.0])
def test_noise_of_stereo_grows_with_the_square_of_the_distance(distance_m):
    depth_m = stereo(np.full(SHAPE, distance_m), K, np.random.default_rng(0))
    measured = depth_m[depth_m > 0]
    assert 0.9 < len(measured) / depth_m.size < 0.99, "patches of holes"
    std = 0.08 * distance_m**2 / (K[0, 0] * 0.05)
    assert np.std(measured - distance_m) == pytest.approx(np.hypot(std, 0.001 / np.sqrt(12)), rel=0.15)


def test_outlines_of_stereo_have_a_shadow_and_flying_pixels():
    depth_m = stereo(box_before_wall(), K, np.random.default_rng(1))
    # The second camera is a baseline to the right. It does not see the background at the left of the box.
    shift = round(K[0, 0] * BASELINE_M * (1 / 0.5 - 1 / 1.8))
    shadow = depth_m[170:310, 250 - shift + 8 : 240]
    assert np.mean(shadow == 0) > 0.9
    assert np.mean(depth_m[170:310, 400:440] == 0) < 0.2
    flying = (depth_m > 0.55) & (depth_m < 1.7)
    assert flying.sum() > 50
    beside = np.zeros_like(flying)
    beside[140:340, 240:400] = True
    assert not np.any(flying & ~beside)


def test_noise_of_time_of_flight_is_independent_per_pixel_with_a_common_offset():
    images = [time_of_flight(np.full(SHAPE, 1.0), K, np.random.default_rng(seed)) for seed in range(40)]
    errors = np.array([image[image > 0].mean() - 1.0 for image in images])
    assert np.std(errors) == pytest.approx(0.003, rel=0.3)
    noise = images[0] - images[0][images[0] > 0].mean()
    assert np.std(noise) == pytest.approx(0.002, rel=0.1)
    assert abs(np.corrcoef(noise[:, :-1].ravel(), noise[:, 1:].ravel())[0, 1]) < 0.02


def test_outlines_of_time_of_flight_mix_near_and_far_without_a_shadow():
    depth_m = time_of_flight(box_before_wall(), K, np.random.default_rng(1))
    assert ((depth_m > 0.55) & (depth_m < 1.7)).sum() > 50
    assert np.mean(depth_m[170:310, 220:240] == 0) == 0


def test_a_hollow_is_too_far_for_time_of_flight_and_its_rim_is_not():
    depth_m = np.full(SHAPE, 0.5)
    depth_m[225:255, 305:335] = 0.53  # a pit of 30 mm in a plate
    measured = np.mean([time_of_flight(depth_m, K, np.random.default_rng(seed)) for seed in range(60)], axis=0)
    offset = measured[20:60, 20:60].mean() - 0.5
    assert measured[235:245, 315:325].mean() - 0.53 - offset > 0.004
    assert abs(measured[235:245, 380:400].mean() - 0.5 - offset) < 0.0005


@pytest.mark.parametrize("name", SENSORS)
def test_depth_is_in_millimetres_and_missing_where_nothing_can_be_measured(name):
    depth_m = SENSORS[name](np.full(SHAPE, 0.8), K, np.random.default_rng(0))
    np.testing.assert_allclose(1e3 * depth_m, np.round(1e3 * depth_m), atol=1e-3)
    for empty_m in (0.0, 0.15):
        assert not np.any(SENSORS[name](np.full(SHAPE, empty_m), K, np.random.default_rng(0)))
