"""The test set and what is known of its hands."""

import cv2
import numpy as np
import pytest

from benchmarks.samples import (
    HIDDEN_M,
    PAD_PX,
    Sample,
    flipped,
    hidden_joints,
    real_samples,
    rendered_samples,
    synthetic_samples,
)
from hand_mesh_ros.core.geometry.camera import project
from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.types import Frame
from models_train.hands.sample import shipped_hand

CAMERA = np.array([[600.0, 0, 63.5], [0, 600.0, 63.5], [0, 0, 1]])
# Camera axes of a raised right hand with the palm to the camera.
RAISED = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]])


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return list(synthetic_samples(4, seed=3, with_depth=True))


def hand(turn_deg: float) -> tuple[np.ndarray, np.ndarray]:
    """Joints and vertices of a flat hand 1 m away, turned about the image's vertical axis from the palm's view."""
    angle = np.deg2rad(turn_deg)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    model = shipped_hand()
    middle = model.joints_m.mean(0)
    return tuple((points - middle) @ (turn @ RAISED).T + (0, 0, 1.0) for points in (model.joints_m, model.template_m))


@pytest.mark.parametrize("turn_deg", [0.0, 50.0, 90.0, 130.0, 180.0])
def test_palm_angle_is_that_between_normal_and_line_of_sight(turn_deg):
    frame = Frame(np.zeros((128, 128, 3), np.uint8), CAMERA)
    sample = Sample("flat", frame, hand(turn_deg)[0], "right")
    assert sample.palm_angle_deg == pytest.approx(turn_deg, abs=0.2)
    assert flipped(sample).palm_angle_deg == pytest.approx(turn_deg, abs=0.2)


def test_what_lies_before_the_skin_hides(samples):
    joints, vertices = hand(0)
    flesh = np.linalg.norm(joints[:, None] - vertices, axis=-1).min(1)
    nothing = np.zeros((128, 128), np.float32)
    assert not hidden_joints(joints, vertices, CAMERA, nothing).any()
    column, row = np.round(project(joints, CAMERA)).astype(int).T
    skin, cover = nothing.copy(), nothing.copy()
    skin[row, column] = joints[:, 2] - flesh - 0.9 * HIDDEN_M
    assert not hidden_joints(joints, vertices, CAMERA, skin).any()
    cover[row[:5], column[:5]] = 0.5
    assert hidden_joints(joints, vertices, CAMERA, cover).tolist() == [True] * 5 + [False] * 16
    assert hidden_joints(joints + np.array([0.5, 0, 0]), vertices + np.array([0.5, 0, 0]), CAMERA, nothing).all()


def test_the_set_depends_on_its_seed_alone(samples):
    again = list(synthetic_samples(2, seed=3, with_depth=True))
    for one, other in zip(samples, again):
        assert one.name == other.name
        np.testing.assert_array_equal(one.frame.rgb, other.frame.rgb)
        np.testing.assert_array_equal(one.joints_m, other.joints_m)


def test_rendered_samples_agree_with_their_pictures(samples):
    assert [sample.side for sample in samples] == ["right", "left", "right", "left"]
    assert len({sample.name for sample in samples}) == len(samples)
    model = shipped_hand()
    for sample in samples:
        vertices = mirror_points(sample.vertices_m) if sample.side == "left" else sample.vertices_m
        joints = mirror_points(sample.joints_m) if sample.side == "left" else sample.joints_m
        assert np.linalg.norm(model.joint_regressor @ vertices - joints, axis=-1).mean() < 0.006
        column, row = np.round(project(sample.vertices_m, sample.frame.camera_matrix)).astype(int).T
        inside = (row >= 0) & (row < 256) & (column >= 0) & (column < 256)
        surface = sample.frame.depth_m[row[inside], column[inside]]
        nearest = np.abs(surface - sample.vertices_m[inside, 2])
        # Many vertices are the visible surface themselves.
        assert np.mean(nearest < 0.003) > 0.2


def test_sizes_vary_without_changing_the_picture(samples):
    lengths = np.array([np.linalg.norm(sample.joints_m[9] - sample.joints_m[0]) for sample in synthetic_samples(50, seed=5)])
    assert 0.04 < np.std(np.log(lengths)) < 0.13
    assert 0.075 < lengths.mean() < 0.105


def test_two_flips_are_none(samples):
    twice = flipped(flipped(samples[1]))
    np.testing.assert_array_equal(twice.frame.rgb, samples[1].frame.rgb)
    np.testing.assert_array_equal(twice.frame.depth_m, samples[1].frame.depth_m)
    np.testing.assert_allclose(twice.frame.camera_matrix, samples[1].frame.camera_matrix)
    np.testing.assert_array_equal(twice.vertices_m, samples[1].vertices_m)
    assert (twice.side, twice.name) == (samples[1].side, samples[1].name)


def test_photographs_are_padded_with_their_camera(tmp_path, samples):
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "0.png"), samples[0].frame.rgb[..., ::-1])
    truth = {"camera_matrix": samples[0].frame.camera_matrix[None], "joints_m": samples[0].joints_m[None]}
    np.savez(tmp_path / "annotations.npz", image=["0.png"], handedness=["right"], **truth)
    (sample,) = real_samples(tmp_path)
    assert (sample.name, sample.side) == ("0.png", "right")
    np.testing.assert_array_equal(sample.frame.rgb[PAD_PX:-PAD_PX, PAD_PX:-PAD_PX], samples[0].frame.rgb)
    shift = project(sample.joints_m, sample.frame.camera_matrix) - project(sample.joints_m, samples[0].frame.camera_matrix)
    np.testing.assert_allclose(shift, PAD_PX)
    (tmp_path / "images" / "0.png").unlink()
    with pytest.raises(ValueError, match=r"0\.png"):
        list(real_samples(tmp_path))


def test_a_render_of_a_photograph_shows_our_hand_in_its_pose_at_its_place(samples):
    photographs = []
    for sample in samples[:2]:  # a right and a left hand
        camera_matrix = sample.frame.camera_matrix.copy()
        camera_matrix[:2, 2] += PAD_PX
        border = cv2.copyMakeBorder(sample.frame.rgb, *[PAD_PX] * 4, cv2.BORDER_REFLECT_101)
        photographs.append(Sample(sample.name, Frame(border, camera_matrix), sample.joints_m, sample.side))
    for photograph, rendered in zip(photographs, rendered_samples(photographs, seed=1), strict=True):
        assert (rendered.name, rendered.side) == (photograph.name, photograph.side)
        assert rendered.frame.rgb.shape == photograph.frame.rgb.shape
        np.testing.assert_allclose(rendered.frame.camera_matrix, photograph.frame.camera_matrix)
        # Builds differ, poses do not.
        assert np.linalg.norm(rendered.joints_m - photograph.joints_m, axis=-1).mean() < 0.012
        skin = project(rendered.vertices_m, rendered.frame.camera_matrix).round().astype(int)
        on_hand = rendered.frame.rgb[skin[:, 1].clip(0, 383), skin[:, 0].clip(0, 383)].astype(float)
        # The mean colour of the hand is that of a skin: more red than blue.
        assert on_hand[:, 0].mean() > on_hand[:, 2].mean()


def test_a_third_of_the_natural_hands_grasp_an_object():
    hands = list(synthetic_samples(50, seed=7, natural=True))
    assert 0.2 < np.mean([hand.has_objects for hand in hands]) < 0.6
