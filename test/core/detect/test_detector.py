"""The detector on rendered hands with known truth: place, side, mirroring, following, and images that hold no hand."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import pytest

from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.detect.detector import HandDetector, crop
from hand_mesh_ros.core.detect.search import Search
from hand_mesh_ros.core.geometry.camera import project
from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.geometry.rigid import align, transform
from hand_mesh_ros.core.geometry.rotations import rotation_about
from hand_mesh_ros.core.hand.kinematics import pose
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.types import Frame, HandDetection
from hand_mesh_ros.synthetic import appearance
from hand_mesh_ros.synthetic.render import render

NO_CAMERA = np.zeros((3, 3))
SIZE = (640, 480)
K = np.array([[550.0, 0, 319.5], [0, 550.0, 239.5], [0, 0, 1]])
# Camera axes of a raised hand with the palm to the camera: x (out of the palm) towards the camera, z (fingers) up.
RAISED = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]])
# Degrees: lean in the image, turn about the fingers, how far every finger joint is bent.
SCENES = ((0, 0, 4), (25, 20, 10), (-30, -25, 18), (70, 10, 6), (-100, -10, 12))


@dataclass(frozen=True)
class View:
    """A rendered right hand and its true joints (21, 3)."""

    rgb: np.ndarray
    joints_m: np.ndarray


def view_of(model: HandModel, lean_deg: float, turn_deg: float, bend_deg: float, x_m: float = 0.0) -> View:
    rng = np.random.default_rng(0)
    angles = np.deg2rad(np.array([[8, 1, 1, 1], [5, 1, 1, 1], [0, 1, 1, 1], [-5, 1, 1, 1], [-10, 1, 1, 1]])) * [
        1,
        *3 * [bend_deg],
    ]
    lean, turn = np.deg2rad([lean_deg, turn_deg])
    rotation = rotation_about(np.eye(3)[2], lean) @ RAISED @ rotation_about(np.eye(3)[2], turn)
    shift = np.array([x_m, 0.02, 0.45]) - rotation[:, 2] * 0.085
    joints, vertices = pose(model, angles)
    sleeve, sleeve_faces, sleeve_colours = appearance.sleeve(model, rng)
    surface = np.concatenate([vertices, sleeve]) @ rotation.T + shift
    faces = np.concatenate([model.faces, sleeve_faces + len(vertices)])
    colours = np.concatenate([appearance.skin_colours(model, rng), sleeve_colours])
    return View(render(surface, faces, colours, K, SIZE, background=appearance.room(SIZE, rng)).rgb, joints @ rotation.T + shift)


@pytest.fixture(scope="module")
def detector() -> HandDetector:
    return HandDetector(default_models_dir(), PipelineConfig(device="cpu"))


@pytest.fixture(scope="module")
def model() -> HandModel:
    return HandModel.load(default_models_dir() / "hand_model.npz")


@pytest.fixture(scope="module")
def views(model: HandModel) -> list[View]:
    return [view_of(model, *scene) for scene in SCENES]


def frame(rgb: np.ndarray) -> Frame:
    return Frame(rgb, NO_CAMERA)


def mirrored(hand: HandDetection, width: int) -> HandDetection:
    """The same hand in the image reversed left to right."""
    keypoints = np.array([width - 1, 0]) + hand.keypoints_px * np.array([-1, 1])
    image_from_crop = hand.image_from_crop * np.array([[-1], [1]]) + np.array([[0, 0, width - 1], [0, 0, 0]])
    return replace(
        hand,
        keypoints_px=keypoints.astype(np.float32),
        world_landmarks_m=mirror_points(hand.world_landmarks_m),
        handedness="left" if hand.handedness == "right" else "right",
        image_from_crop=image_from_crop,
    )


def angle_deg(rotation: np.ndarray) -> float:
    return float(np.rad2deg(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))))


def hand_size_px(detection: HandDetection) -> float:
    return float(detection.box_px[2:].max())


def test_rendered_hands_are_found_where_they_are(detector: HandDetector, views: list[View]) -> None:
    errors = []
    for view in views:
        (hand,) = detector.detect(frame(view.rgb))
        assert hand.handedness == "right"
        assert hand.handedness_prob > 0.5
        assert hand.track_id == ""
        truth = project(view.joints_m, K)
        errors.append(np.linalg.norm(hand.keypoints_px - truth, axis=1).mean() / hand_size_px(hand))
    assert np.median(errors) < 0.08


def test_depth_and_world_landmarks_are_in_camera_axes(detector: HandDetector, views: list[View]) -> None:
    for view in views:
        (hand,) = detector.detect(frame(view.rgb))
        assert hand.keypoint_depth_px[0] == 0
        truth = view.joints_m - view.joints_m[0]
        image_hand = np.column_stack([hand.keypoints_px, hand.keypoint_depth_px])
        for guess in (image_hand, hand.world_landmarks_m):
            rotation, translation, scale = align(guess.astype(float), truth, with_scale=True)
            assert angle_deg(rotation) < 60  # a mixed up axis gives more than 90
            error_m = np.linalg.norm(transform(guess, rotation, translation, scale) - truth, axis=1)
            assert error_m.mean() < 0.025


def test_a_mirrored_image_gives_the_mirrored_hand_of_the_other_side(detector: HandDetector, views: list[View]) -> None:
    for view in views[:4]:
        (hand,) = detector.detect(frame(view.rgb))
        (other,) = detector.detect(frame(np.ascontiguousarray(view.rgb[:, ::-1])))
        assert (hand.handedness, other.handedness) == ("right", "left")
        assert np.linalg.det(hand.image_from_crop[:, :2]) > 0 > np.linalg.det(other.image_from_crop[:, :2])
        expected = mirrored(hand, view.rgb.shape[1])
        assert np.linalg.norm(expected.keypoints_px - other.keypoints_px, axis=1).mean() < 2
        np.testing.assert_allclose(other.keypoint_depth_px, hand.keypoint_depth_px, atol=0.05 * hand_size_px(hand))
        np.testing.assert_allclose(other.world_landmarks_m, expected.world_landmarks_m, atol=5e-3)


def test_a_followed_left_hand_is_the_mirror_image_of_a_right_one(detector: HandDetector, views: list[View]) -> None:
    for view in views:
        last, width = detector.detect(frame(view.rgb))[0], view.rgb.shape[1]
        (hand,) = detector.detect(frame(view.rgb), [last])
        (other,) = detector.detect(frame(np.ascontiguousarray(view.rgb[:, ::-1])), [mirrored(last, width)])
        expected = mirrored(hand, width)
        assert other.handedness == "left"
        assert other.handedness_prob == pytest.approx(hand.handedness_prob, abs=0.02)
        np.testing.assert_allclose(other.image_from_crop[:, :2], expected.image_from_crop[:, :2], atol=1e-6)
        assert np.linalg.norm(other.keypoints_px - expected.keypoints_px, axis=1).mean() < 0.5
        np.testing.assert_allclose(other.keypoint_depth_px, expected.keypoint_depth_px, atol=0.02 * hand_size_px(hand))
        # The 8-bit model rounds the two crops, which differ by single grey levels, to different maps.
        np.testing.assert_allclose(other.world_landmarks_m, expected.world_landmarks_m, atol=4e-3)


def test_a_followed_hand_turns_with_the_image(detector: HandDetector, views: list[View]) -> None:
    for view in views:
        (last,) = detector.detect(frame(view.rgb))
        (hand,) = detector.detect(frame(view.rgb), [last])
        # A quarter turn to the left: new x is old y, new y runs against old x.
        turned = np.array([[0, 1], [-1, 0]])
        corner = np.array([0, view.rgb.shape[1] - 1])
        was = replace(last, keypoints_px=(last.keypoints_px @ turned.T + corner).astype(np.float32))
        (other,) = detector.detect(frame(np.ascontiguousarray(np.rot90(view.rgb))), [was])
        assert np.linalg.norm(hand.keypoints_px @ turned.T + corner - other.keypoints_px, axis=1).mean() < 0.5
        np.testing.assert_allclose(other.keypoint_depth_px, hand.keypoint_depth_px, atol=0.02 * hand_size_px(hand))
        world = hand.world_landmarks_m.copy()
        world[:, :2] = world[:, :2] @ turned.T
        np.testing.assert_allclose(other.world_landmarks_m, world, atol=4e-3)


def test_a_followed_hand_keeps_name_and_place_without_the_palm_model(detector: HandDetector, model: HandModel) -> None:
    hands = [replace(hand, track_id="hand 7") for hand in detector.detect(frame(view_of(model, *SCENES[0]).rgb))]
    for step in range(1, 12):
        view = view_of(model, 3 * step, 2 * step, 4 + step, 0.006 * step)
        hands = detector.detect(frame(view.rgb), hands, search=False)
        assert [hand.track_id for hand in hands] == ["hand 7"]
    truth = project(view.joints_m, K)
    assert np.linalg.norm(hands[0].keypoints_px - truth, axis=1).mean() < 0.12 * hand_size_px(hands[0])


def test_two_hands_of_either_side_keep_their_order(detector: HandDetector, views: list[View]) -> None:
    rgb = np.concatenate([views[0].rgb, views[0].rgb[:, ::-1]], axis=1)
    hands = detector.detect(frame(rgb))
    assert sorted(hand.handedness for hand in hands) == ["left", "right"]
    again = detector.detect(frame(rgb), [replace(hand, track_id=str(i)) for i, hand in enumerate(hands)])
    assert [hand.track_id for hand in again] == ["0", "1"]
    assert [hand.handedness for hand in again] == [hand.handedness for hand in hands]
    for before, after in zip(hands, again):
        assert np.linalg.norm(before.keypoints_px - after.keypoints_px, axis=1).mean() < 0.1 * hand_size_px(before)


def test_the_search_beside_a_followed_hand_takes_one_look_per_image(
    detector: HandDetector, views: list[View], monkeypatch: pytest.MonkeyPatch
) -> None:
    rgb = np.concatenate([views[0].rgb, views[2].rgb], axis=1)
    (followed, second), search, looks = detector.detect(frame(rgb)), Search(detector.config), 0
    landmarks = detector.landmarks

    def counting(image: np.ndarray) -> dict[str, np.ndarray]:
        nonlocal looks
        looks += 1
        return landmarks(image=image)

    monkeypatch.setattr(detector, "landmarks", counting)
    reported, looks_per_image = [followed], []
    while len(reported) < 2 and len(looks_per_image) < 10:
        looks, plan = 0, search.plan(frame(rgb), reported, [])
        hands = detector.detect(frame(rgb), [*reported, *search.waiting], plan.is_due, plan)
        looks_per_image.append(looks)
        reported = search.settle(plan, hands)
    # The palm model runs beside the first image. Three images look at its palm. The last image follows the new hand.
    assert looks_per_image == [1, 2, 2, 2, 2]
    assert np.linalg.norm(reported[1].keypoints_px - second.keypoints_px, axis=1).max() < 0.05 * hand_size_px(second)


def test_never_more_hands_than_asked_for(views: list[View]) -> None:
    rgb = np.concatenate([views[0].rgb, views[0].rgb[:, ::-1]], axis=1)
    one = HandDetector(default_models_dir(), PipelineConfig(device="cpu", max_hands=1))
    assert len(one.detect(frame(rgb))) == 1


def test_two_followers_of_one_hand_become_one(detector: HandDetector, views: list[View]) -> None:
    (hand,) = detector.detect(frame(views[0].rgb))
    strayed = replace(hand, keypoints_px=hand.keypoints_px + np.float32(0.15 * hand_size_px(hand)), track_id="strayed")
    hands = detector.detect(frame(views[0].rgb), [strayed, replace(hand, track_id="steady")])
    assert [found.track_id for found in hands] == ["steady"]


def test_a_wrong_side_is_corrected_after_some_images_and_not_at_once(detector: HandDetector, views: list[View]) -> None:
    (hand,) = detector.detect(frame(views[0].rgb))
    wrong = replace(hand, handedness="left", handedness_prob=0.95, image_from_crop=crop.mirror(hand.image_from_crop))
    hands, sides = [wrong], []
    for _ in range(12):
        hands = detector.detect(frame(views[0].rgb), hands)
        sides.append(hands[0].handedness)
    assert sides[0] == "left"
    assert sides[-1] == "right"
    assert sides == sorted(sides), "the side flickers"


def test_keypoints_beyond_the_image_lose_confidence(detector: HandDetector, views: list[View]) -> None:
    (hand,) = detector.detect(frame(views[0].rgb))
    presence = hand.keypoint_conf.max()
    np.testing.assert_allclose(hand.keypoint_conf, presence)
    cut_off = views[0].rgb[int(hand.keypoints_px[12, 1]) + 25 :]
    (part,) = detector.detect(frame(np.ascontiguousarray(cut_off)))
    outside = part.keypoints_px[:, 1] < -0.5
    assert 0 < outside.sum() < 21
    assert part.keypoint_conf[outside].max() <= 0.5 * part.keypoint_conf.max() + 1e-6
    np.testing.assert_allclose(part.keypoint_conf[~outside], part.keypoint_conf.max(), rtol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (1, 400), (3, 2), (480, 640), (4320, 7680)])
def test_blank_images_hold_no_hand(detector: HandDetector, views: list[View], shape: tuple[int, int]) -> None:
    (hand,) = detector.detect(frame(views[0].rgb))
    for level in (0, 255):
        blank = frame(np.full((*shape, 3), level, np.uint8))
        assert detector.detect(blank) == []
        assert detector.detect(blank, [hand]) == []


def test_noise_holds_no_hand(detector: HandDetector) -> None:
    rng = np.random.default_rng(5)
    for size in ((480, 640), (60, 80)):
        noise = cv2.resize(rng.integers(0, 256, (*size, 3), dtype=np.uint8), (640, 480))
        assert detector.detect(frame(noise)) == []


def test_views_of_larger_arrays_give_the_same_hands(detector: HandDetector, views: list[View]) -> None:
    rgb = views[0].rgb
    wide = np.repeat(np.repeat(rgb, 2, axis=0), 2, axis=1)[::2, ::2]
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    (expected,) = detector.detect(frame(rgb))
    for view in (wide, bgr[..., ::-1]):
        (hand,) = detector.detect(frame(view))
        np.testing.assert_array_equal(hand.keypoints_px, expected.keypoints_px)


@pytest.mark.parametrize("name", ["landmarks", "presence", "right_prob", "world_landmarks_m"])
def test_answers_that_are_not_finite_are_dropped(
    detector: HandDetector, views: list[View], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    last, real = detector.detect(frame(views[0].rgb)), detector.landmarks
    monkeypatch.setattr(detector, "landmarks", lambda image: {**(answers := real(image=image)), name: answers[name] * np.nan})
    assert detector.detect(frame(views[0].rgb), last) == []
