"""Depth bends a hand: fingers that were guessed wrong come onto the measured skin, and what is not measured stays."""

from dataclasses import replace

import numpy as np
import pytest

from hand_mesh_ros.core.cascade.aggregate import Aggregate, Spread
from hand_mesh_ros.core.config import DepthFitConfig
from hand_mesh_ros.core.geometry.camera import project
from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.geometry.rotations import rotation_about
from hand_mesh_ros.core.graph.skin_fit import SkinFitter
from hand_mesh_ros.core.hand import model as hand_model
from hand_mesh_ros.core.hand.kinematics import pose
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.hand.wrist_frame import wrist_rotation
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.place import by_rays
from hand_mesh_ros.core.place.by_rays import Location
from hand_mesh_ros.core.place.user_size import PRIOR
from hand_mesh_ros.core.topology import N_JOINTS
from hand_mesh_ros.core.types import Frame, SeenHand
from hand_mesh_ros.core.uncertainty.bent_gains import bent_gains
from hand_mesh_ros.synthetic.render import render

K = np.array([[600.0, 0, 319.5], [0, 600, 239.5], [0, 0, 1]])
PLACE, WALL_M = np.array([0.03, 0.06, 0.55]), 1.5
RAISED = rotation_about(np.array([1.0, 0, 0]), np.array(0.3)) @ np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]])
BENT = np.deg2rad([[10, 15, 15, 15], [5, 20, 30, 15], [0, 25, 30, 15], [-3, 25, 35, 18], [-6, 30, 35, 20]])
# The guess has its fingers 10 degrees too straight.
GUESSED = BENT - np.deg2rad([[0, 0, 0, 0]] + 4 * [[0, 10, 0, 0]])
TURN = 0.1**2 * np.eye(3)


@pytest.fixture(scope="module")
def model() -> HandModel:
    return HandModel.load(default_models_dir() / hand_model.FILE_NAME)


@pytest.fixture
def fitter(model) -> SkinFitter:
    return SkinFitter(default_models_dir(), model, DepthFitConfig(depth_fit_ms=0.0))


def hand_of(model: HandModel, angles: np.ndarray) -> Aggregate:
    """A right hand in camera axes, wrist in the origin."""
    joints_m, vertices_m = (points @ RAISED.T for points in pose(model, angles))
    spread = Spread(8.0, np.zeros((21, 3, 3)), np.zeros((21, 3, 3)), np.zeros((3, 3)), np.zeros(len(vertices_m)))
    nothing = np.ones(1), np.zeros(1, int), joints_m[None]
    return Aggregate(joints_m - joints_m[0], vertices_m - joints_m[0], wrist_rotation(joints_m), spread, *nothing)


def scene(model: HandModel) -> tuple[Frame, SeenHand, np.ndarray]:
    """The depth of the true hand, its keypoints, and its true joints (21, 3)."""
    truth = hand_of(model, BENT)
    joints_m, vertices_m = truth.joints_m + PLACE, truth.vertices_m + PLACE
    picture = render(vertices_m, model.faces, np.full_like(vertices_m, 0.5), K, (640, 480), smooth_edges=False)
    depth_m = np.where(picture.depth_m > 0, picture.depth_m, WALL_M).astype(np.float32)
    rays, none = joints_m[:, :2] / joints_m[:, 2:], np.full((N_JOINTS, 3), np.nan)
    seen = SeenHand(rays, np.ones(N_JOINTS), none[:, 0], none, np.zeros((N_JOINTS, 2)), None, False)
    return Frame(picture.rgb, K, depth_m), seen, joints_m


def located(hand: Aggregate, seen: SeenHand) -> Location:
    """By the rays alone, then brought to the true distance as depth would do."""
    std_m = np.full(N_JOINTS, 0.004)
    location = by_rays.locate(hand.joints_m, seen.camera_rays, seen.confidence, std_m, PRIOR, 1.0)
    return replace(location, translation_m=location.translation_m * PLACE[2] / location.translation_m[2])


def error_m(hand: Aggregate, location: Location, truth_m: np.ndarray) -> float:
    placed = location.scale.factor * hand.joints_m @ location.turn.T + location.translation_m
    return float(np.linalg.norm(placed - truth_m, axis=-1).mean())


def test_fingers_come_onto_the_measured_skin(model, fitter):
    frame, seen, truth_m = scene(model)
    hand = hand_of(model, GUESSED)
    location = located(hand, seen)
    fitted, there = fitter(hand, location, TURN, seen, frame)
    assert fitted.is_fitted
    assert error_m(fitted, there, truth_m) < 0.6 * error_m(hand, location, truth_m)
    np.testing.assert_allclose(fitted.joints_m[0], 0, atol=1e-12)


def test_a_left_hand_is_the_mirror_image_of_a_right_one(model, fitter):
    frame, seen, _ = scene(model)
    hand = hand_of(model, GUESSED)
    location = located(hand, seen)
    right, right_at = fitter(hand, location, TURN, seen, frame)
    # The record of a left hand holds rays that are mirrored already; its camera sees the mirrored image.
    left_seen = replace(seen, is_mirrored=True)
    at = replace(location, translation_m=mirror_points(location.translation_m))
    left, left_at = fitter(hand.mirrored(), at, TURN, left_seen, frame.mirrored())
    np.testing.assert_allclose(left.joints_m, mirror_points(right.joints_m), atol=1e-5)
    np.testing.assert_allclose(left_at.translation_m, mirror_points(right_at.translation_m), atol=1e-5)
    np.testing.assert_allclose(left.wrist_rotation, right.mirrored().wrist_rotation, atol=1e-4)


def test_an_object_before_the_fingers_does_not_bend_them(model, fitter):
    frame, seen, truth_m = scene(model)
    hand = hand_of(model, BENT)
    location = located(hand, seen)
    alone = error_m(*fitter(hand, location, TURN, seen, frame), truth_m)
    middle = int(np.median(np.flatnonzero((frame.depth_m < 1).any(1))))
    depth_m = frame.depth_m.copy()
    depth_m[middle - 50 : middle - 20] = 0.35
    fitted, there = fitter(hand, location, TURN, seen, replace(frame, depth_m=depth_m))
    assert error_m(fitted, there, truth_m) < alone + 0.001


@pytest.mark.parametrize("depth_m", [0.0, np.nan, 5.5, 1.5])
def test_depth_that_shows_no_hand_changes_nothing(model, fitter, depth_m):
    frame, seen, _ = scene(model)
    hand = hand_of(model, GUESSED)
    location = located(hand, seen)
    nothing = replace(frame, depth_m=np.full_like(frame.depth_m, depth_m))
    assert fitter(hand, location, TURN, seen, nothing) == (hand, location)


def test_it_can_be_switched_off_while_it_runs(model, fitter):
    frame, seen, _ = scene(model)
    hand = hand_of(model, GUESSED)
    fitter.reconfigure(DepthFitConfig(depth_fit=False))
    location = located(hand, seen)
    assert fitter(hand, location, TURN, seen, frame) == (hand, location)


def test_joints_behind_an_object_are_not_measured_and_have_larger_covariances(model, fitter):
    frame, seen, truth_m = scene(model)
    hand = hand_of(model, GUESSED)
    _, free = fitter(hand, located(hand, seen), TURN, seen, frame)
    depth_m = frame.depth_m.copy()
    depth_m[: int(project(truth_m[[6, 10, 14, 18]], K)[:, 1].max())] = 0.35
    _, behind = fitter(hand, located(hand, seen), TURN, seen, replace(frame, depth_m=depth_m))
    assert free.is_bent
    assert behind.is_bent
    assert free.anchored.sum() > behind.anchored.sum()
    assert not behind.anchored[[7, 8, 11, 12, 15, 16]].any(), "finger ends are behind the object"
    for with_free, with_object in zip(bent_gains(free.anchored), bent_gains(behind.anchored)):
        assert with_object[10] > 2 * with_free[10]
        assert with_object[~behind.anchored].min() > with_free[~free.anchored].max()
