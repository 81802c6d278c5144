"""The size of a user's hands: what images tell of it, what is believed, what is forgotten; and sizes from lengths."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from hand_mesh_ros.core.hand import model as hand_model
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.place.hand_lengths import HAND_LENGTH, MIDDLE_FINGER, PALM_WIDTH
from hand_mesh_ros.core.place.user_size import FLOOR_REL_STD, PRIOR, PRIOR_REL_STD, SIZE_LIMITS, Scale, SizeMeasure, UserScale
from hand_mesh_ros.core.types import DEPTH_ANCHORED, Frame, HandEstimate
from hand_mesh_ros.synthetic.camera import SyntheticCamera

STD = 0.06


def watch(user: UserScale, sizes: Sequence[float], start_s: float = 0.0, rate_hz: float = 10.0, std: float = STD) -> UserScale:
    """Shows one hand of these sizes, one an image."""
    for index, size in enumerate(sizes):
        user.step([SizeMeasure(math.log(size), std)], start_s + index / rate_hz)
    return user


def test_without_depth_it_is_what_was_given():
    assert UserScale().known == PRIOR
    given = Scale(0.93, 0.02, "user")
    user = UserScale(given)
    user.step([], 1.0)
    assert user.known == given
    assert user.images == 0


def test_it_settles_on_what_depth_says_and_says_so():
    rng = np.random.default_rng(0)
    user, stated = UserScale(), []
    for second in range(10):
        watch(user, 1.12 * np.exp(rng.normal(0, STD, 10)), second)
        stated.append(user.known.rel_std)
    assert user.known.source == "depth"
    assert user.known.factor == pytest.approx(1.12, rel=0.03)
    assert stated == sorted(stated, reverse=True)
    assert FLOOR_REL_STD * 0.9 < stated[-1] < 0.5 * PRIOR_REL_STD
    assert user.images == 100


def test_an_error_that_all_images_share_remains():
    user = watch(UserScale(Scale(1.0, 0.3, "prior")), [1.05] * 5000, std=0.02)
    assert user.known.rel_std == pytest.approx(FLOOR_REL_STD, rel=0.05)


def test_many_images_in_a_short_time_are_hardly_more_than_one():
    slow, quick = watch(UserScale(), [1.1] * 10, rate_hz=10), watch(UserScale(), [1.1] * 1000, rate_hz=1000)
    assert quick.known.rel_std == pytest.approx(slow.known.rel_std, rel=0.05)
    again = UserScale()
    for _ in range(100):
        again.step([SizeMeasure(math.log(1.1), STD)], 5.0)
    assert again.known == watch(UserScale(), [1.1]).known


def test_both_hands_of_an_image_count_as_one_of_them():
    both, one = UserScale(), UserScale()
    for index in range(20):
        one.step([SizeMeasure(math.log(1.08), STD)], 0.1 * index)
        both.step([SizeMeasure(math.log(1.08), STD), SizeMeasure(math.log(1.0), 3 * STD)], 0.1 * index)
    assert both.known == one.known


def test_the_stated_doubt_holds_the_errors():
    rng, outside = np.random.default_rng(1), 0
    for _ in range(200):
        size, bias = np.exp(0.063 * rng.standard_normal()), FLOOR_REL_STD * rng.standard_normal()
        # Errors stay alike for half a second.
        errors = np.repeat(rng.normal(0, STD, 12), 5) + bias
        known = watch(UserScale(), size * np.exp(errors)).known
        outside += abs(np.log(known.factor / size)) > 1.645 * known.rel_std
    assert outside / 200 < 0.15


def test_what_is_no_hand_of_this_user_is_not_believed():
    user = watch(UserScale(), [1.05] * 100)
    settled = user.known
    for wrong in ([0.6] * 5, [1.5] * 5, [3.0] * 5, [0.1] * 5):
        watch(user, wrong, 20.0)
    assert user.known == settled


def test_another_user_is_believed_after_a_while():
    user = watch(UserScale(), [1.2] * 50, std=0.02)
    watch(user, [0.75] * 150, 10.0, std=0.02)
    # What is expected of adults still counts a little.
    assert user.known.factor == pytest.approx(0.75, rel=0.06)


def test_a_moment_without_hands_changes_nothing_but_a_new_stream_does():
    user = watch(UserScale(), [1.1] * 50)
    settled = user.known
    for index in range(50):
        user.step([], 5.0 + 0.1 * index)
    assert user.known == settled
    user.reset()
    assert user.known == PRIOR


def test_a_size_given_by_the_user_is_the_start_and_survives_a_new_stream():
    given = Scale(0.9, 0.02, "user")
    user = watch(UserScale(given), [0.92] * 50)
    assert user.known.source == "user"
    assert 0.9 < user.known.factor < 0.92
    assert user.known.rel_std < 0.02
    user.reset()
    assert user.known == given


def test_depth_does_not_gain_by_being_asked_twice():
    first = watch(UserScale(), [1.1] * 200).known
    second = watch(UserScale(first), [1.1] * 200).known
    assert second.source == "depth"
    assert second.rel_std >= FLOOR_REL_STD


@pytest.mark.parametrize(("factor", "rel_std"), [(0.0, 0.1), (2.0, 0.1), (math.nan, 0.1), (1.0, 0.0), (1.0, math.nan)])
def test_sizes_that_no_hand_has_are_refused(factor, rel_std):
    with pytest.raises(ValueError, match="average size"):
        Scale(factor, rel_std, "user")


@pytest.fixture(scope="module")
def hand() -> HandModel:
    return HandModel.load(default_models_dir() / hand_model.FILE_NAME)


@pytest.mark.parametrize("length", [HAND_LENGTH, MIDDLE_FINGER, PALM_WIDTH], ids=lambda length: length.name)
def test_the_length_of_a_larger_hand_gives_its_size(hand, length):
    larger = replace(hand, template_m=1.08 * hand.template_m, joints_m=1.08 * hand.joints_m)
    # The skin around a knuckle is taken within a fixed distance, so a width grows a little less.
    scale = length.scale(hand, length.on_model(larger))
    assert scale.factor == pytest.approx(1.08, rel=0.01)
    assert length.proportion_std < scale.rel_std < PRIOR_REL_STD
    assert scale.source == "user"
    for wrong in (10 * length.on_model(hand), 0.0, -1.0, math.nan, math.inf, 1e3 * length.on_model(hand)):
        with pytest.raises(ValueError, match=f"{length.name} of .* give metres"):
            length.scale(hand, wrong)


def test_lengths_are_those_of_adults(hand):
    """Hand length, middle finger from the knuckle, and breadth over the knuckles: Gordon et al. 1989, men and women."""
    assert 0.180 < HAND_LENGTH.on_model(hand) < 0.195
    assert 0.095 < MIDDLE_FINGER.on_model(hand) < 0.112
    assert 0.078 < PALM_WIDTH.on_model(hand) < 0.093
    assert SIZE_LIMITS[0] < 0.7


@pytest.fixture(scope="module")
def pipeline() -> HandMeshPipeline:
    return HandMeshPipeline.default("cpu", threads=1)


def test_the_size_of_a_stream_stays_without_depth_and_without_hands_until_the_stream_ends(pipeline, hand):
    size, camera = 1.1, SyntheticCamera(hand)
    pipeline.reset()

    def show(moment_s: float, stamp_s: float, with_depth: bool) -> list[HandEstimate]:
        view = camera.at(moment_s)
        # Scaling a scene about the optical centre changes no pixel.
        depth_m = (size * view.depth_m).astype(np.float32) if with_depth else None
        return pipeline.estimate(Frame(view.rgb, camera.camera_matrix, depth_m, stamp_s=stamp_s))

    for index in range(12):
        (seen,) = show(0.3 + 0.04 * index, 10 + 0.2 * index, with_depth=True)
    assert seen.scale_source == "depth"
    settled = pipeline.user_scale.known
    assert settled.factor == pytest.approx(size, rel=0.07)
    assert settled.rel_std < 0.7 * PRIOR_REL_STD

    (without,) = show(0.8, 12.5, with_depth=False)
    assert (without.scale_source, without.scale_rel_std) == ("depth", settled.rel_std)
    wrist_m = size * camera.at(0.8).joints_m[0]
    assert np.linalg.norm(without.joints_m[0] - wrist_m) < 0.1 * wrist_m[2]
    assert not np.any(without.joint_flags & DEPTH_ANCHORED)

    nothing = np.full((480, 640, 3), 90, np.uint8)
    for index in range(8):
        pipeline.estimate(Frame(nothing, camera.camera_matrix, stamp_s=12.6 + 0.2 * index))
    (back,) = show(0.5, 14.5, with_depth=False)
    assert back.track_id != without.track_id
    assert back.scale_source == "depth"
    assert pipeline.user_scale.known == settled

    (restarted,) = show(0.5, 1.0, with_depth=False)
    assert restarted.scale_source == "prior"


class ResetWhileRead(UserScale):
    """Another thread resets it after a reader has begun."""

    is_armed = False

    def __getattribute__(self, name: str) -> object:
        value = super().__getattribute__(name)
        if name in ("images", "_state") and super().__getattribute__("is_armed"):
            self.is_armed = False
            self.reset()
        return value


def test_the_size_can_be_read_while_another_thread_resets_it():
    """Diagnostics read the size while images are answered."""
    user = ResetWhileRead()
    user.step([SizeMeasure(0.1, STD)], 1.0)
    user.is_armed = True
    assert 0 < user.known.rel_std < PRIOR_REL_STD, "the size before the reset"
    assert user.known == PRIOR
