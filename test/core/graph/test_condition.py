"""What a camera sees of a hand, told from the palm: what changes it, and what must not."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hand_mesh_ros.core.graph.condition import SIGHT_SIZE, GraphCondition, line_of_sight
from hand_mesh_ros.core.topology import N_JOINTS

RNG = np.random.default_rng(0)
JOINTS_M = 0.05 * RNG.standard_normal((N_JOINTS, 3))
CONFIDENCE = RNG.uniform(0, 1, N_JOINTS)


def sight_of(camera_from_palm: np.ndarray, translation_m: np.ndarray) -> np.ndarray:
    placed = JOINTS_M @ camera_from_palm.T + translation_m
    return line_of_sight(placed[:, :2] / placed[:, 2:], CONFIDENCE, np.ones(N_JOINTS), camera_from_palm.T)


def test_a_roll_of_the_camera_changes_nothing():
    turn, place = Rotation.random(random_state=RNG).as_matrix(), np.array([0.05, -0.1, 0.6])
    roll = Rotation.from_rotvec([0, 0, 1.1]).as_matrix()
    np.testing.assert_allclose(sight_of(turn, place), sight_of(roll @ turn, roll @ place), atol=1e-5)


def test_a_turn_of_the_camera_about_its_centre_changes_nothing():
    """Where in the image the hand is does not matter: the virtual camera looks at it."""
    turn, place = Rotation.random(random_state=RNG).as_matrix(), np.array([0.0, 0.0, 0.6])
    pan = Rotation.from_rotvec([0.2, -0.3, 0.1]).as_matrix()
    # The centre of the rays is not quite that of the virtual view, so this holds up to the perspective of the hand itself.
    np.testing.assert_allclose(sight_of(turn, place), sight_of(pan @ turn, pan @ place), atol=0.05)


def test_from_afar_it_is_the_skeleton_without_what_lies_along_the_line_of_sight():
    turn, place = Rotation.random(random_state=RNG).as_matrix(), np.array([0.0, 0.0, 200.0])
    sight = sight_of(turn, place)
    ahead = turn[2]
    centred = JOINTS_M - JOINTS_M.mean(0)
    across = centred - np.outer(centred @ ahead, ahead)
    across /= np.sqrt((across**2).sum(-1).mean())
    np.testing.assert_allclose(sight[:, :3], across, atol=5e-3)
    np.testing.assert_allclose(sight[:, 3:6], np.tile(ahead, (N_JOINTS, 1)), atol=1e-3)
    np.testing.assert_allclose(sight[:, 7], CONFIDENCE, atol=1e-6)


def test_a_keypoint_that_is_not_given_changes_no_other():
    confidence = CONFIDENCE.copy()
    confidence[3] = 0
    rays = [JOINTS_M[:, :2] * 2, JOINTS_M[:, :2] * 2]
    rays[1] = np.where(np.arange(N_JOINTS)[:, None] == 3, np.nan, rays[1])
    one, other = (GraphCondition.nothing(1).with_rays(ray, confidence, np.eye(3)) for ray in rays)
    assert one.sight_given[0, 3] == other.sight_given[0, 3] == 0
    np.testing.assert_array_equal(np.delete(one.sight, 3, axis=1), np.delete(other.sight, 3, axis=1))
    assert np.all(np.isfinite(other.sight))


def test_one_condition_serves_any_number_of_samples():
    given = np.arange(N_JOINTS) < 9
    joints_m = np.where(given[:, None], JOINTS_M, np.nan)
    condition = GraphCondition.nothing(5).with_skeleton(joints_m, given).with_image(np.ones((6, 3, 2)))
    condition = condition.with_rays(JOINTS_M[:, :2], CONFIDENCE, np.eye(3))
    assert condition.joints_given.sum(1).tolist() == [9] * 5
    assert np.all(np.isfinite(condition.joints_m))
    assert condition.sight.shape == (5, N_JOINTS, SIGHT_SIZE)
    assert condition.features.shape == (5, 6, 3, 2)
    assert all(value.dtype == np.float32 for value in vars(condition).values())


def test_arrays_of_other_lengths_are_refused():
    nothing = GraphCondition.nothing(2)
    with pytest.raises(ValueError, match="sight_given"):
        GraphCondition(nothing.joints_m, nothing.joints_given, nothing.sight, nothing.sight_given[:1])
