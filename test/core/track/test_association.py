"""One physical hand is one hand: whatever its side is called, and only if it is in one place."""

from types import SimpleNamespace

import numpy as np
import pytest

from hand_mesh_ros.core.hand.model import FILE_NAME, HandModel
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.track.association import duplicates


@pytest.fixture(scope="module")
def joints_m() -> np.ndarray:
    """A raised hand, its palm to the camera, half a metre away."""
    x, y, z = HandModel.load(default_models_dir() / FILE_NAME).joints_m.T
    return np.stack([y, -z, 0.5 - x], -1)


def hand(name: str, joints_m: np.ndarray, depth_std_m: float = 0.03, **changes: object) -> SimpleNamespace:
    """What is looked at of an estimate."""
    values = {"track_id": name, "joints_m": joints_m, "state": "tracked", "score": 0.9, "handedness_prob": 0.9}
    covariance = np.tile(np.diag([1e-5, 1e-5, depth_std_m**2]), (21, 1, 1))
    return SimpleNamespace(**{"scale_source": "prior", "joint_covariance_m2": covariance, **values, **changes})


def seen_as_other_side(joints_m: np.ndarray) -> np.ndarray:
    """The same hand with its fingers called in the opposite order: index is little, and so on; the thumb stays where it is."""
    return joints_m[[0, 1, 2, 3, 4, *(4 * finger + joint for finger in (4, 3, 2, 1) for joint in (1, 2, 3, 4))]]


def test_a_hand_reported_as_left_and_as_right_is_one(joints_m):
    rng = np.random.default_rng(0)
    # Bent the other way, and believed to be farther: every joint stays on its ray.
    twin = seen_as_other_side(joints_m) + rng.normal(0, 0.003, (21, 3))
    twin *= (1.1 - 2 * (twin[:, 2:] - 0.5)) * np.ones(3)
    # By names the joints are far from each other, by places they are not.
    assert np.linalg.norm(twin - joints_m, axis=-1).mean() > 0.03
    assert duplicates([hand("1", joints_m), hand("2", twin, state="new", score=1.0)]) == {"2"}
    assert duplicates([hand("2", twin, state="new", score=1.0), hand("1", joints_m)]) == {"2"}
    assert duplicates([hand("1", joints_m, state="new"), hand("2", twin, state="new", score=1.0)]) == {"1"}


@pytest.mark.parametrize("shift_m", [(0.03, 0, 0), (0, 0.12, 0), (0, 0, 0.2)])
def test_hands_side_by_side_above_and_far_behind_each_other_are_two(joints_m, shift_m):
    assert duplicates([hand("1", joints_m), hand("2", joints_m + shift_m)]) == set()


def test_known_distances_tell_hands_on_the_same_rays_apart(joints_m):
    behind = joints_m * 1.2
    assert duplicates([hand("1", joints_m), hand("2", behind)]) == {"2"}
    assert duplicates([hand("1", joints_m, 0.005), hand("2", behind, 0.005)]) == set()


def test_hands_that_cover_each_other_crosswise_are_two(joints_m):
    centre = joints_m[[0, 9]].mean(0)
    crosswise = (joints_m - centre) @ np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1.0]]) + centre + [0, 0, 0.04]
    assert duplicates([hand("1", joints_m), hand("2", crosswise)]) == set()


def test_without_places_none_is_a_duplicate(joints_m):
    assert duplicates([hand("1", joints_m), hand("2", joints_m, scale_source="none")]) == set()


def test_of_three_in_one_place_one_stays(joints_m):
    hands = [hand(str(index), joints_m + 0.001 * index, score=0.5 + 0.1 * index) for index in range(3)]
    assert duplicates(hands) == {"0", "1"}
