"""Hands from image to image through the whole chain: states, ids, smoothing."""

from dataclasses import replace

import numpy as np
import pytest

from hand_mesh_ros.core.detect import crop
from hand_mesh_ros.core.detect.search import one_look
from hand_mesh_ros.core.hand.wrist_frame import wrist_rotation
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.types import Frame, HandDetection, HandEstimate
from hand_mesh_ros.synthetic.camera import LAP_S, SyntheticCamera, SyntheticView


@pytest.fixture(scope="module")
def pipelines() -> list[HandMeshPipeline]:
    return [
        HandMeshPipeline.default("cpu", threads=1, **options) for options in ({}, {"smooth_cutoff_hz": 0.0, "predict_ms": 0.0})
    ]


@pytest.fixture
def pipeline(pipelines) -> HandMeshPipeline:
    """As it is deployed."""
    pipelines[0].reset()
    return pipelines[0]


@pytest.fixture
def plain(pipelines) -> HandMeshPipeline:
    """Without smoothing and prediction."""
    pipelines[1].reset()
    return pipelines[1]


@pytest.fixture(scope="module")
def camera(pipelines) -> SyntheticCamera:
    return SyntheticCamera(pipelines[0].hand_model)


def stream(pipeline: HandMeshPipeline, views: list[SyntheticView | None], camera: SyntheticCamera) -> list[list[HandEstimate]]:
    """Answers to images at 30 Hz; None is an image without a hand."""
    blank = np.full((480, 640, 3), 127, np.uint8)
    images = [blank if view is None else view.rgb for view in views]
    return [pipeline.estimate(Frame(rgb, camera.camera_matrix, stamp_s=10 + index / 30)) for index, rgb in enumerate(images)]


def test_a_hand_out_of_sight_is_predicted_then_lost_and_keeps_its_id_if_it_is_back_soon(pipeline, camera):
    seen = [camera.at(0.3 + index / 30) for index in range(9)]
    answers = stream(pipeline, [*seen[:5], None, None, *seen[7:], *[None] * 5], camera)
    states = [[hand.state for hand in hands] for hands in answers]
    assert states[:9] == [["new"], *[["tracked"]] * 4, *[["predicted"]] * 2, *[["tracked"]] * 2]
    assert states[9:11] == [["predicted"]] * 2
    assert states[12:] == [[], []]
    assert len({hand.track_id for hands in answers for hand in hands}) == 1
    for index in (5, 6):
        (hand,) = answers[index]
        assert np.linalg.norm(hand.joints_m[0] - seen[index].joints_m[0]) < 0.1 * seen[index].joints_m[0, 2]
        assert hand.vertices_m.shape == answers[0][0].vertices_m.shape
        assert np.linalg.det(hand.joint_covariance_m2[0]) > np.linalg.det(answers[index - 1][0].joint_covariance_m2[0])


def test_smoothing_calms_a_still_hand_and_without_it_every_image_stands_alone(pipeline, plain, camera):
    # The motion repeats after a lap, the noise of the camera does not.
    still = [camera.at(0.3 + lap * LAP_S) for lap in range(12)]
    smooth, raw = ([hands[0].joints_m for hands in stream(each, still, camera)] for each in (pipeline, plain))

    def jitter(joints: list[np.ndarray]) -> float:
        return float(np.linalg.norm(np.diff(joints[4:], axis=0), axis=-1).mean())

    assert jitter(smooth) < 0.5 * jitter(raw)
    plain.reset()
    detection = None
    # From the third image on, the crop follows the velocity of the hand.
    for index, view in enumerate(still[:2]):
        frame = Frame(view.rgb, camera.camera_matrix, stamp_s=10 + index / 30)
        known, plan = ([], one_look(view.rgb)) if detection is None else ([detection], None)
        (detection,) = plain.detector.detect(frame, known, index == 0, plan)
        np.testing.assert_array_equal(plain.chain.answer(detection, frame).estimate.joints_m, raw[index])


def test_unstamped_images_are_answered_as_they_are(pipeline, plain, camera):
    """Nothing says how much time lies between them."""
    for view in (camera.at(moment_s) for moment_s in (0.3, 0.5, 0.7)):
        frame = Frame(view.rgb, camera.camera_matrix)
        (smooth,), (raw,) = pipeline.estimate(frame), plain.estimate(frame)
        np.testing.assert_allclose(smooth.joints_m, raw.joints_m, atol=1e-9)


def both_sides(pipeline: HandMeshPipeline, frame: Frame) -> tuple[HandDetection, HandDetection]:
    """The hand as it is, and what the detector says of it when told that it is of the other side."""
    (hand,) = pipeline.detector.detect(frame)
    mistaken = replace(hand, handedness="left", handedness_prob=0.95, image_from_crop=crop.mirror(hand.image_from_crop))
    (other,) = pipeline.detector.detect(frame, [mistaken])
    assert (hand.handedness, other.handedness) == ("right", "left")
    return hand, other


@pytest.mark.parametrize("moment_s", [0.3, 1.6, 7.2])
def test_a_hand_taken_for_both_sides_is_one(pipeline, camera, monkeypatch, moment_s):
    frame = Frame(camera.at(moment_s).rgb, camera.camera_matrix, stamp_s=10.0)
    hands = both_sides(pipeline, frame)
    monkeypatch.setattr(pipeline.detector, "detect", lambda *_: list(hands))
    (hand,) = pipeline.estimate(frame)
    assert hand.track_id
    assert hand.state == "new"


def test_a_wrong_side_is_corrected_once_under_the_same_id(pipeline, camera, monkeypatch):
    frames = [Frame(camera.at(0.3).rgb, camera.camera_matrix, stamp_s=10 + index / 30) for index in range(15)]
    _, mistaken = both_sides(pipeline, frames[0])
    with monkeypatch.context() as patch:
        patch.setattr(pipeline.detector, "detect", lambda *_: [mistaken])
        hands = pipeline.estimate(frames[0])
    for frame in frames[1:]:
        hands += pipeline.estimate(frame)
    sides = [hand.handedness for hand in hands]
    assert len(hands) == len(frames)
    assert sides == sorted(sides)
    assert (sides[0], sides[1], sides[-1]) == ("left", "left", "right")
    assert len({hand.track_id for hand in hands}) == 1
    for hand in hands:
        # The attitude belongs to the side: x is out of the palm for both.
        np.testing.assert_allclose(hand.wrist_pose[:3, :3], wrist_rotation(hand.joints_m, hand.handedness), atol=1e-6)


@pytest.mark.parametrize(("gap_s", "state"), [(0.5, "tracked"), (3.0, "new")])
def test_after_a_pause_of_the_camera_hands_are_new(pipeline, camera, gap_s, state):
    rgb = camera.at(0.3).rgb
    pipeline.estimate(Frame(rgb, camera.camera_matrix, stamp_s=10.0))
    (hand,) = pipeline.estimate(Frame(rgb, camera.camera_matrix, stamp_s=10.0 + gap_s))
    assert hand.state == state


def test_one_person_has_one_hand_of_a_side_and_several_have_more(pipeline, camera):
    several = HandMeshPipeline.default("cpu", threads=1, one_per_side=False)
    rgb = camera.at(0.3).rgb
    twice, both = np.concatenate([rgb, rgb], axis=1), np.concatenate([rgb, rgb[:, ::-1]], axis=1)
    for image, of_one, of_several in ((twice, ["right"], ["right", "right"]), (both, ["left", "right"], ["left", "right"])):
        for each, sides in ((pipeline, of_one), (several, of_several)):
            each.reset()
            for index in range(3):
                hands = each.estimate(Frame(image, camera.camera_matrix, stamp_s=10 + index / 30))
                assert sorted(hand.handedness for hand in hands) == sides
