"""Single images by the graph diffusion, on a rendered hand: sides, sizes, progress."""

from dataclasses import replace

import numpy as np
import pytest

from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.graph.reconstruct import Effort, HandReconstructor
from hand_mesh_ros.core.hand.model import FILE_NAME, HandModel
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.models.sampler import Cancelled
from hand_mesh_ros.core.types import Frame
from hand_mesh_ros.synthetic.camera import SyntheticCamera

CONFIG = PipelineConfig(device="cpu", threads=1)
EFFORT = Effort(n=3, steps=2)


@pytest.fixture(scope="module")
def reconstruct() -> HandReconstructor:
    return HandReconstructor(default_models_dir(), CONFIG)


@pytest.fixture(scope="module")
def frame() -> Frame:
    camera = SyntheticCamera(HandModel.load(default_models_dir() / FILE_NAME))
    return Frame(camera.at(0.3).rgb, camera.camera_matrix)


@pytest.mark.parametrize("fit", [False, True])
def test_the_mirrored_image_gives_the_mirrored_hand(reconstruct, frame, fit):
    mirrored = replace(frame.mirrored(), rgb=np.ascontiguousarray(frame.mirrored().rgb))
    (right,), (left,) = (reconstruct(one, replace(EFFORT, fit=fit)) for one in (frame, mirrored))
    assert (right.detection.handedness, left.detection.handedness) == ("right", "left")
    # The detector sees slightly other pixels of the crop.
    assert np.linalg.norm(mirror_points(left.vertices_m) - right.vertices_m, axis=-1).mean() < 0.01
    np.testing.assert_allclose(left.weights, right.weights, atol=0.1)


def test_a_fit_brings_the_joints_nearer_to_the_keypoints(reconstruct, frame):
    (free,), (fitted,) = (reconstruct(frame, replace(EFFORT, fit=fit)) for fit in (False, True))
    assert fitted.reprojection_px.mean() < 0.8 * free.reprojection_px.mean()
    assert np.all(fitted.joints_m[..., 2] > 0.1)


def test_the_users_size_scales_size_and_distance(reconstruct, frame):
    large = HandReconstructor(default_models_dir(), replace(CONFIG, user_hand_scale=1.2))
    (average,), (scaled,) = (one(frame, EFFORT) for one in (reconstruct, large))
    assert (average.scale_source, scaled.scale_source) == ("prior", "user")
    np.testing.assert_allclose(scaled.vertices_m, 1.2 * average.vertices_m, rtol=1e-5)
    np.testing.assert_allclose(scaled.reprojection_px, average.reprojection_px)


@pytest.mark.parametrize("side", ["right", "left"])
def test_depth_gives_the_position_and_the_size_and_bends_the_fingers(reconstruct, side):
    camera = SyntheticCamera(HandModel.load(default_models_dir() / FILE_NAME), depth_sensor="stereo")
    view = camera.at(0.3)
    frame, truth_m = Frame(view.rgb, camera.camera_matrix, view.depth_m), view.joints_m
    if side == "left":
        frame, truth_m = frame.mirrored(), mirror_points(truth_m)
    (without,), (hand,) = (reconstruct(one, EFFORT) for one in (replace(frame, depth_m=None), frame))
    assert (without.scale_source, hand.scale_source, hand.detection.handedness) == ("prior", "depth", side)
    error_m, before_m = (np.linalg.norm(each.joints_m - truth_m, axis=-1).mean(-1) for each in (hand, without))
    assert error_m.max() < 0.02
    assert error_m.mean() < 0.5 * before_m.mean()
    assert hand.weights.sum() == pytest.approx(1)


def test_depth_without_the_hand_gives_the_hand_of_the_rays(reconstruct, frame):
    wall = replace(frame, depth_m=np.full(frame.rgb.shape[:2], 4.0, np.float32))
    (without,), (hand,) = (reconstruct(one, EFFORT) for one in (frame, wall))
    assert hand.scale_source == "prior"
    np.testing.assert_array_equal(hand.vertices_m, without.vertices_m)
    np.testing.assert_array_equal(hand.weights, without.weights)


def test_steps_of_two_hands_are_counted_together_and_a_report_may_end_the_work(reconstruct, frame):
    both = replace(frame, rgb=np.concatenate([frame.rgb, frame.rgb[:, ::-1]], axis=1))
    told = []
    found = reconstruct(both, EFFORT, lambda *progress: told.append(progress))
    assert {hand.detection.handedness for hand in found} == {"left", "right"}
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]

    def stop(_step: int, _steps: int) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        reconstruct(both, EFFORT, stop)
