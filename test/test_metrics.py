"""Measures against truths known by construction."""

import numpy as np
import pytest

from benchmarks import metrics
from hand_mesh_ros.core.geometry.mirror import mirror_points


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.fixture
def truth(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(0, 0.05, (6, 21, 3))


def rotation(rng: np.random.Generator) -> np.ndarray:
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


def test_a_turned_scaled_moved_copy_has_no_aligned_error(truth, rng):
    copy = 1.3 * truth @ rotation(rng).T + (0.1, -0.2, 0.6)
    np.testing.assert_allclose(metrics.pa_error(copy, truth), 0, atol=1e-9)
    assert np.all(metrics.root_relative_error(copy, truth) > 0.01)


def test_a_mirrored_cloud_is_wrong(truth):
    assert np.all(metrics.pa_error(mirror_points(truth), truth) > 0.01)


def test_alignment_never_hurts(truth, rng):
    guess = truth + rng.normal(0, 0.01, truth.shape)
    rms = np.sqrt((metrics.point_errors(guess, truth) ** 2).mean(-1))
    aligned = np.sqrt((metrics.point_errors(metrics.procrustes(guess, truth), truth) ** 2).mean(-1))
    assert np.all(aligned <= rms + 1e-12)


def test_root_relative_error_ignores_the_place_only(truth):
    np.testing.assert_allclose(metrics.root_relative_error(truth + np.array([0, 0, 0.3]), truth), 0, atol=1e-12)
    expected = 0.1 * np.linalg.norm(truth - truth[:, :1], axis=-1).mean(-1)
    np.testing.assert_allclose(metrics.root_relative_error(1.1 * truth, truth), expected)


def test_auc_of_constant_errors_is_the_rest_of_the_range():
    assert metrics.auc(np.zeros((4, 21))) == pytest.approx(1.0)
    assert metrics.auc(np.full((4, 21), 0.025)) == pytest.approx(0.5, abs=0.01)
    assert metrics.auc(np.full((4, 21), 0.051)) == 0.0


def test_auc_of_an_image_averages_to_that_of_all(rng):
    errors = rng.uniform(0, 0.06, (7, 21))
    assert np.mean([metrics.auc(image[None]) for image in errors]) == pytest.approx(metrics.auc(errors))


def test_f_scores_count_points_within_the_distances():
    cloud = np.arange(10.0)[:, None] * (1.0, 0, 0)
    assert metrics.f_scores(cloud, cloud, (0.01, 0.02)) == [1.0, 1.0]
    assert metrics.f_scores(cloud + np.array([0, 0.1, 0]), cloud, (0.09, 0.11)) == [0.0, 1.0]
    half = cloud.copy()
    half[5:, 1] = 0.5
    assert metrics.f_scores(half, cloud, (0.1,)) == pytest.approx([0.5])


def test_f_score_takes_the_nearest_point_whatever_its_number(rng):
    cloud = rng.normal(0, 0.05, (300, 3)) + 0.7
    assert metrics.f_scores(cloud[::-1], cloud, (1e-6,)) == [1.0]
    # Of half the points: all are right, half of the truth is found.
    assert metrics.f_scores(cloud[:150], cloud, (1e-6,)) == pytest.approx([2 / 3])


def test_best_of_is_the_least_and_one_is_itself(truth, rng):
    hypotheses = truth[:, None] + rng.normal(0, 0.01, (6, 4, 21, 3))
    errors = np.stack([metrics.pa_error(hypotheses[:, k], truth) for k in range(4)])
    np.testing.assert_allclose(metrics.best_of(hypotheses, truth), errors.min(0))
    np.testing.assert_allclose(metrics.best_of(hypotheses[:, :1], truth), errors[0])


def test_pairwise_distance_of_two_equals_theirs(truth):
    pair = np.stack([truth[0], truth[0]])
    pair[1, 1:, 2] += 0.021
    assert metrics.pairwise_distance(pair) == pytest.approx(0.020)
    assert metrics.pairwise_distance(pair[:1]) == 0.0


def test_energy_score_prefers_the_true_spread(rng):
    weights = np.full(16, 1 / 16)
    truths = rng.normal(size=(400, 21, 3))

    def score(spread: float) -> float:
        return np.mean([metrics.energy_score(spread * rng.normal(size=(16, 21, 3)), weights, truth) for truth in truths])

    assert score(1.0) < min(score(0.3), score(2.0))


def test_levels_are_uniform_under_the_true_covariance(rng):
    factor = rng.normal(size=(3, 3))
    errors = rng.normal(size=(20000, 3)) @ factor.T
    covariance = np.broadcast_to(factor @ factor.T, (20000, 3, 3))
    level = metrics.confidence_level(errors, covariance)
    for stated in (0.1, 0.5, 0.9, 0.99):
        assert (level <= stated).mean() == pytest.approx(stated, abs=0.015)
    assert (metrics.confidence_level(errors, 0.25 * covariance) <= 0.9).mean() < 0.6


def test_level_of_the_90_percent_radius():
    # 6.251389 is the 90 % quantile of the chi-square distribution with three degrees of freedom.
    error = np.array([[0.0, 0.0, 0.0], [np.sqrt(6.251389), 0.0, 0.0]])
    np.testing.assert_allclose(metrics.confidence_level(error, np.broadcast_to(np.eye(3), (2, 3, 3))), [0, 0.9], atol=1e-6)


def test_spearman_sees_order_alone(rng):
    values = rng.normal(size=50)
    assert metrics.spearman(values, np.exp(values)) == pytest.approx(1.0)
    assert metrics.spearman(values, -(values**3)) == pytest.approx(-1.0)
    assert metrics.spearman(values, np.ones(50)) == 0.0
    assert abs(metrics.spearman(rng.normal(size=5000), rng.normal(size=5000))) < 0.05


def test_spearman_shares_the_rank_of_ties():
    # Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: covariance 4.5, variances 4.5 and 5.
    assert metrics.spearman(np.array([0, 1, 1, 2]), np.array([1, 2, 3, 4])) == pytest.approx(4.5 / np.sqrt(4.5 * 5))


def test_bootstrap_interval_holds_the_truth_as_often_as_it_says(rng):
    hits = 0
    for _ in range(200):
        _, low, high = metrics.bootstrap_mean(rng.normal(1.0, 1.0, 60), rounds=300)
        hits += low <= 1.0 <= high
    assert 0.88 <= hits / 200 <= 0.99


def test_blocks_widen_the_interval_of_values_whose_neighbours_are_alike(rng):
    recordings = np.repeat(rng.normal(size=12), 10)
    single, blocks = (metrics.bootstrap_mean(recordings, block=block) for block in (1, 10))
    assert single[0] == blocks[0] == pytest.approx(recordings.mean())
    assert blocks[2] - blocks[1] > 2 * (single[2] - single[1])
    average, low, high = metrics.bootstrap_mean(recordings[:3], block=10)
    assert low == average == high


def test_paired_bootstrap_sees_a_small_steady_gain_under_large_variation(rng):
    difficulty = rng.exponential(10.0, 80)
    gain, _, high = metrics.paired_bootstrap(difficulty - 0.5 + rng.normal(0, 0.2, 80), difficulty)
    assert gain == pytest.approx(-0.5, abs=0.1)
    assert high < 0
    with pytest.raises(ValueError, match="shapes"):
        metrics.paired_bootstrap(difficulty, difficulty[:-1])
