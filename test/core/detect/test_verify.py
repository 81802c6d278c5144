"""The probability that a result of the landmark model is a hand: right order of good and bad results."""

from dataclasses import replace

import numpy as np
import pytest

from hand_mesh_ros.core.detect import crop, verify
from hand_mesh_ros.core.detect.example_view import example_view
from hand_mesh_ros.core.detect.look import Look
from hand_mesh_ros.core.detect.palm import KEYPOINT_JOINTS, Palm
from hand_mesh_ros.core.hand.model import FILE_NAME, HandModel
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.topology import PALM_JOINTS
from hand_mesh_ros.core.types import HandDetection

SCALE = 900.0  # crop pixels per metre


@pytest.fixture(scope="module")
def model() -> HandModel:
    return HandModel.load(default_models_dir() / FILE_NAME)


@pytest.fixture(scope="module")
def good(model: HandModel) -> Look:
    """A clear look at a flat hand. Its two skeletons agree."""
    # In the template, x is out of the palm and z is along the fingers.
    world = np.stack([model.joints_m[:, 1], -model.joints_m[:, 2], -model.joints_m[:, 0]], -1)
    keypoints = SCALE * world
    keypoints[:, :2] += 112 - keypoints[:, :2].mean(0)
    keypoints[:, 2] *= 0.4  # the landmark model compresses z
    placed = crop.affine(np.array([300.0, 200.0]), np.eye(2), 180.0)
    return Look(keypoints, world, 0.98, 0.9, placed, np.zeros((192, 7, 7), np.float32), np.zeros(1152, np.float32))


def palm_of(seen: Look, score: float = 0.9, shift_px: float = 0.0) -> Palm:
    points = seen.keypoints_px[KEYPOINT_JOINTS] + [shift_px, 0]
    return Palm(np.array([*points.min(0), *np.ptp(points, axis=0)]), points, score)


def new_hand(palm: Palm, first: Look, again: Look, model: HandModel) -> float:
    return verify.probability(verify.first_features(palm, first, again, model.bone_lengths_m), verify.FIRST_WEIGHTS)


def moved(seen: Look, shift_px: float) -> Look:
    shift = np.array([[0, 0, shift_px], [0, 0, 0]])
    return replace(seen, image_from_crop=seen.image_from_crop + shift)


def scrambled(seen: Look) -> Look:
    """The same presence with keypoints in a random order, so that neither the bones nor the two skeletons match."""
    return replace(seen, keypoints_crop=seen.keypoints_crop[np.random.default_rng(1).permutation(21)])


def test_a_clear_hand_is_a_hand_and_each_doubt_makes_it_less_likely(good: Look, model: HandModel) -> None:
    clear = new_hand(palm_of(good), good, good, model)
    assert clear > 0.95
    faint = replace(good, presence=0.55)
    doubts = {
        "faint": new_hand(palm_of(good), faint, faint, model),
        "looks apart": new_hand(palm_of(good), moved(good, 60), good, model),
        "weak palm": new_hand(palm_of(good, score=0.26), good, good, model),
        "no skeleton": new_hand(palm_of(good), good, scrambled(good), model),
    }
    assert all(value < clear for value in doubts.values()), doubts
    assert doubts["no skeleton"] < 0.9
    assert new_hand(palm_of(good, 0.26), moved(faint, 60), scrambled(faint), model) < 0.05


def test_the_probability_does_not_depend_on_place_size_or_units(good: Look, model: HandModel) -> None:
    larger = replace(good, image_from_crop=3 * good.image_from_crop + np.array([[0, 0, 70], [0, 0, -40]]))
    values = [verify.first_features(palm_of(seen), seen, seen, model.bone_lengths_m) for seen in (good, larger)]
    np.testing.assert_allclose(*values, atol=1e-6)
    assert len(values[0]) == len(verify.FIRST_FEATURES) == len(verify.FIRST_WEIGHTS)


def test_a_followed_hand_survives_one_bad_image_and_is_dropped_after_several(good: Look, model: HandModel) -> None:
    def features(seen: Look, expected_px: np.ndarray) -> np.ndarray:
        return verify.followed_features(expected_px, seen, model.bone_lengths_m)

    fine = features(good, good.keypoints_px)
    bad = features(scrambled(replace(good, presence=0.6)), good.keypoints_px + 80)
    assert len(fine) == len(verify.FOLLOWED_FEATURES) == len(verify.FOLLOWED_WEIGHTS)
    chance = 0.8
    for _ in range(10):
        chance = verify.followed_probability(chance, fine)
    assert chance > 0.95
    chance = verify.followed_probability(chance, bad)
    assert chance > 0.5
    for _ in range(6):
        chance = verify.followed_probability(chance, bad)
    assert chance < 0.5


def test_the_extremes_stay_finite(good: Look, model: HandModel) -> None:
    for presence in (0.0, 1.0):
        point = replace(good, presence=presence, keypoints_crop=np.zeros((21, 3)), world_m=np.zeros((21, 3)))
        row = verify.followed_features(point.keypoints_px, point, model.bone_lengths_m)
        assert np.isfinite(row).all()
        for last in (0.0, 1.0):
            assert 0 <= verify.followed_probability(last, row) <= 1


def shifted(hand: HandDetection, shift_px: tuple[float, float], score: float) -> HandDetection:
    return replace(hand, keypoints_px=hand.keypoints_px + np.array(shift_px, np.float32), score=score)


def test_doubtful_hands_need_each_other(model: HandModel) -> None:
    hand = example_view(model)[1]
    weak = shifted(hand, (2, 0), 0.4)
    assert verify.agreed([shifted(hand, (0, 0), 0.5)], [], 0.5) == []
    assert verify.agreed([weak, shifted(hand, (0, 0), 0.3)], [], 0.5) == []  # 1 - 0.6 * 0.7 is too low
    (found,) = verify.agreed([weak, shifted(hand, (0, 0), 0.6)], [], 0.5)
    # Half of the log odds of 1 - 0.6 * 0.4.
    assert found.score / (1 - found.score) == pytest.approx((0.76 / 0.24) ** 0.5)
    assert verify.agreed([weak, shifted(hand, (0, 0), 0.6)], [], 0.8) == []
    far = (1000.0, 0.0)
    assert verify.agreed([weak, shifted(hand, far, 0.6)], [], 0.5) == []
    assert verify.agreed([weak, shifted(hand, (0, 0), 0.6)], [shifted(hand, (30, 0), 0.99)], 0.5) == []
    assert len(verify.agreed([weak, shifted(hand, (0, 0), 0.6)], [shifted(hand, far, 0.99)], 0.5)) == 1


def test_another_pose_on_the_same_keypoints_covers_the_hand(model: HandModel) -> None:
    hand = example_view(model)[1]
    fingers = np.setdiff1d(np.arange(21), PALM_JOINTS)
    renamed = replace(hand, keypoints_px=hand.keypoints_px.copy())
    renamed.keypoints_px[fingers] = hand.keypoints_px[fingers[::-1]]
    assert verify.is_covered(hand, renamed)
    assert not verify.on_same_hand(hand, renamed)
    size = float(np.linalg.norm(hand.keypoints_px[9] - hand.keypoints_px[0]))
    assert not verify.is_covered(hand, shifted(renamed, (size, 0), 0.9))
