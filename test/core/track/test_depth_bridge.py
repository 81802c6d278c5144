"""Depth for some of the images: the hand does not step between images with and without depth."""

import numpy as np
import pytest

from hand_mesh_ros.core.geometry.rotations import rotation_about
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.track.depth_bridge import DepthBridge
from hand_mesh_ros.core.track.shape import Shape
from hand_mesh_ros.core.types import Frame
from hand_mesh_ros.synthetic.camera import SyntheticCamera

RATE_HZ, N_IMAGES, SETTLED = 30, 36, 16


@pytest.fixture(scope="module")
def pipeline() -> HandMeshPipeline:
    # Without a time limit, so that every hand with depth is fitted.
    return HandMeshPipeline.default("cpu", threads=1, depth_fit_ms=0.0)


@pytest.fixture(scope="module")
def wrists(pipeline) -> dict[int, np.ndarray]:
    """Wrist positions (N, 3) in millimetres of a hand at rest, with depth in every image, in every second one, and so on."""
    camera = SyntheticCamera(pipeline.hand_model, (320, 240))
    # Almost no motion, other noise in every image.
    views = [camera.at(0.3 + 1e-5 * number) for number in range(N_IMAGES)]

    def follow(every: int) -> np.ndarray:
        pipeline.reset()
        wrists = []
        for number, view in enumerate(views):
            depth_m = view.depth_m if number % every == 0 else None
            (hand,) = pipeline.estimate(Frame(view.rgb, camera.camera_matrix, depth_m, stamp_s=10 + number / RATE_HZ))
            wrists.append(1e3 * hand.joints_m[0])
        return np.array(wrists[SETTLED:])

    return {every: follow(every) for every in (1, 2, 6)}


@pytest.mark.parametrize("every", [2, 6])
def test_a_hand_at_rest_does_not_step_where_depth_comes_for_some_images_only(wrists, every):
    steps_mm = np.diff(wrists[every], axis=0)
    assert np.sqrt((steps_mm**2).mean(0)).max() < 0.5
    # The place is that of depth in all images.
    assert np.linalg.norm(wrists[every].mean(0) - wrists[1].mean(0)) < 2


def shape(position: tuple[float, float, float], angle: float, points: float) -> Shape:
    return Shape(np.array(position), rotation_about(np.array([0.0, 0.6, 0.8]), np.array(angle)), np.full((4, 3), points))


def test_the_difference_is_kept_for_a_moment_and_then_fades_out():
    bridge = DepthBridge()
    by_rays, with_depth = shape((0.1, 0.0, 0.5), 0.1, 0.01), shape((0.12, 0.001, 0.55), 0.3, 0.012)
    assert bridge.step(by_rays, None, 1.0) is by_rays
    assert bridge.step(with_depth, by_rays, 2.0) is with_depth
    kept = bridge.step(by_rays, None, 2.1)
    for name in ("position_m", "rotation", "points_m"):
        np.testing.assert_allclose(getattr(kept, name), getattr(with_depth, name), atol=1e-9)
    distances_m = [bridge.step(by_rays, None, 2.0 + age_s).position_m[2] for age_s in (0.2, 0.4, 0.6, 0.8, 1.1)]
    assert distances_m == sorted(distances_m, reverse=True)
    assert distances_m[-1] == by_rays.position_m[2]
    assert np.diff(distances_m).min() > -0.02
