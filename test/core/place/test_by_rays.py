"""Place and size of skeletons whose place and size are known."""

import numpy as np
import pytest

from hand_mesh_ros.core.geometry.camera import project, rays_from_pixels
from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.geometry.rays import KEYPOINT_NOISE, ray_extent, translate_onto_rays
from hand_mesh_ros.core.place import by_rays
from hand_mesh_ros.core.place.user_size import PRIOR, Scale

K = np.array([[600.0, 0, 319.5], [0, 600, 239.5], [0, 0, 1]])
ONES = np.ones(21)
PLACE = np.array([0.05, -0.03, 0.55])


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(6)


@pytest.fixture
def skeleton(rng) -> np.ndarray:
    """(21, 3): about as large as a hand, wrist in the origin."""
    joints = rng.uniform((-0.06, -0.09, -0.04), (0.06, 0.09, 0.04), (21, 3))
    return joints - joints[0]


def rays_of(points: np.ndarray) -> np.ndarray:
    return points[..., :2] / points[..., 2:]


@pytest.mark.parametrize("place", [(0, 0, 0.3), (0.2, -0.15, 0.6), (-0.5, 0.3, 1.5)])
def test_exact_rays_give_the_exact_place_for_every_hypothesis(skeleton, rng, place):
    joints = np.stack([skeleton, 1.1 * skeleton, mirror_points(skeleton)])
    for k, candidate in enumerate(joints):
        translation, residual = translate_onto_rays(joints, rays_of(candidate + place), rng.uniform(0.1, 1, 21))
        np.testing.assert_allclose(translation[k], place, atol=1e-9)
        assert residual[k] < 1e-9


def test_it_minimises_the_distance_in_the_image(skeleton, rng):
    rays = rays_of(skeleton + PLACE) + rng.normal(0, 0.004, (21, 2))
    confidence = rng.uniform(0.2, 1, 21)
    translation, residual = translate_onto_rays(skeleton[None], rays, confidence)

    def cost(place: np.ndarray) -> float:
        return float(np.sqrt((confidence * ((rays_of(skeleton + place) - rays) ** 2).sum(-1)).sum() / confidence.sum()))

    assert residual[0] == pytest.approx(cost(translation[0]))
    others = [cost(translation[0] + step) for step in rng.normal(0, (0.002, 0.002, 0.02), (200, 3))]
    # The linear equations are not quite the distances in the image; two parts in a thousand is all that they may lose.
    assert residual[0] <= 1.002 * min(others)


def test_an_outlier_of_no_confidence_does_not_move_the_hand(skeleton):
    rays = rays_of(skeleton + PLACE)
    rays[8] += 0.5
    translation, residual = translate_onto_rays(skeleton[None], rays, np.where(np.arange(21) == 8, 0.0, 1.0))
    np.testing.assert_allclose(translation[0], PLACE, atol=1e-9)
    assert residual[0] < 1e-9


def test_size_and_distance_go_together(skeleton):
    translation, _ = translate_onto_rays(np.stack([skeleton, 1.2 * skeleton]), rays_of(skeleton + PLACE), ONES)
    np.testing.assert_allclose(translation[1], 1.2 * translation[0], atol=1e-9)


def test_impossible_input_gives_a_place_in_front_of_the_camera(skeleton, rng):
    hopeless = [np.zeros((21, 2)), np.full((21, 2), 0.3), rays_of(skeleton + PLACE) * -1, rng.normal(0, 3, (21, 2))]
    for rays in hopeless:
        translation, residual = translate_onto_rays(skeleton[None], rays, ONES)
        assert np.all(np.isfinite(translation))
        assert np.all(np.isfinite(residual))
        assert (skeleton + translation[0])[:, 2].min() > 0
    point = np.zeros((1, 21, 3))
    assert np.all(np.isfinite(translate_onto_rays(point, rays_of(skeleton + PLACE), ONES)[0]))


def test_one_skeleton_that_is_not_finite_spoils_no_other(skeleton):
    joints = np.stack([skeleton, skeleton * np.nan])
    translation, residual = translate_onto_rays(joints, rays_of(skeleton + PLACE), ONES)
    np.testing.assert_allclose(translation[0], PLACE, atol=1e-9)
    assert residual[1] == np.inf


@pytest.mark.parametrize("confidence", [np.zeros(21), -ONES, ONES * np.nan])
def test_impossible_confidence_is_refused(skeleton, confidence):
    with pytest.raises(ValueError, match="confidence"):
        translate_onto_rays(skeleton[None], rays_of(skeleton + PLACE), confidence)


def test_the_covariance_is_that_of_the_errors(skeleton, rng):
    ray_std, joint_std = 2 / 600, 0.004
    errors = []
    for _ in range(600):
        seen = rays_of(skeleton + PLACE) + rng.normal(0, ray_std, (21, 2))
        guess = skeleton + rng.normal(0, joint_std, (21, 3))
        errors.append(translate_onto_rays(guess[None], seen, ONES)[0][0] - PLACE)
    rays = rays_of(skeleton + PLACE)
    stated = by_rays.translation_covariance(skeleton + PLACE, rays, ONES, ray_std, np.full(21, joint_std))
    # These errors are independent; the covariance is that of joints that err together.
    measured = np.cov(np.array(errors).T) * 21 / 6
    np.testing.assert_allclose(np.sqrt(np.diag(stated)), np.sqrt(np.diag(measured)), rtol=0.15)
    assert stated[2, 2] > 4 * stated[0, 0]


def test_the_covariance_exists_also_where_rays_meet(skeleton):
    covariance = by_rays.translation_covariance(skeleton + PLACE, np.zeros((21, 2)), ONES, 0.003, np.full(21, 0.005))
    assert np.all(np.linalg.eigvalsh(covariance) > 0)
    assert covariance[2, 2] > 1.0


def test_an_uncertain_size_moves_points_along_their_rays():
    covariance = by_rays.scale_covariances(PLACE[None], 0.08)[0]
    np.testing.assert_allclose(covariance @ PLACE, 0.08**2 * (PLACE @ PLACE) * PLACE)
    assert np.linalg.matrix_rank(covariance) == 1


@pytest.mark.parametrize("scale", [PRIOR, Scale(0.9, 0.02, "user"), Scale(1.1, 0.03, "depth")])
def test_size_and_its_doubt_go_into_the_place(skeleton, scale):
    rays, joint_std = rays_of(skeleton + PLACE), np.full(21, 0.004)
    location = by_rays.locate(skeleton, rays, ONES, joint_std, scale, gain=2.0)
    assert location.scale == scale
    np.testing.assert_allclose(location.translation_m, scale.factor * PLACE, atol=1e-9)
    np.testing.assert_allclose(location.from_rays_m, PLACE, atol=1e-9)
    np.testing.assert_array_equal(location.turn, np.eye(3))
    assert not location.is_anchored
    ray_std = KEYPOINT_NOISE * ray_extent(rays)
    alone = 2.0 * by_rays.translation_covariance(skeleton + PLACE, rays, ONES, ray_std, joint_std)
    np.testing.assert_allclose(location.covariance_m2, scale.factor**2 * alone, rtol=1e-6, atol=1e-12)
    # A joint's doubt is that of the place, and of the size along the joint's own ray.
    points = scale.factor * (skeleton + PLACE)
    stated = by_rays.place_covariances(points - points.mean(0), location.covariance)
    expected = scale.factor**2 * alone + by_rays.scale_covariances(points, scale.rel_std)
    np.testing.assert_allclose(stated, expected, rtol=1e-6, atol=1e-12)


def test_the_doubt_of_points_is_that_of_a_hand_shifted_grown_and_turned(skeleton, rng):
    root = rng.normal(0, (0.004, 0.003, 0.01, 0.03, 0.02, 0.03, 0.01), (7, 7))
    covariance = root @ root.T
    steps = rng.multivariate_normal(np.zeros(7), covariance, 4000)
    moved = skeleton + steps[:, None, :3] + steps[:, None, 3:4] * skeleton + np.cross(steps[:, None, 4:], skeleton)
    stated = by_rays.place_covariances(skeleton, covariance)
    for joint in range(0, 21, 5):
        np.testing.assert_allclose(stated[joint], np.cov(moved[:, joint].T), atol=0.1 * np.abs(stated[joint]).max())


def test_the_place_of_a_hand_seen_through_a_lens(skeleton):
    distortion = np.array([-0.25, 0.08, 0.0005, -0.0003, 0.0])
    pixels = project(skeleton + PLACE, K, distortion)
    rays = rays_from_pixels(pixels, K, distortion)
    location = by_rays.locate(skeleton, rays, ONES, np.full(21, 0.005), PRIOR, 1.0)
    np.testing.assert_allclose(location.translation_m, PLACE, atol=1e-3)
