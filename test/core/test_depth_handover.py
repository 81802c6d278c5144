"""Depth that comes and goes in a stream: the wrist does not jump by more than the covariances say."""

import numpy as np
import pytest

from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.topology import WRIST
from hand_mesh_ros.core.types import DEPTH_ANCHORED, Frame
from hand_mesh_ros.synthetic.camera import SyntheticCamera
from hand_mesh_ros.synthetic.depth_sensors import SENSORS

RATE_HZ, SECONDS, PERIOD = 10, 2.0, 4
CHI2_99 = 11.345  # of three dimensions


@pytest.mark.parametrize("sensor", SENSORS)
def test_the_wrist_stays_within_its_covariance_while_depth_comes_and_goes(sensor):
    pipeline = HandMeshPipeline.default("cpu", depth_fit_ms=0.0)
    camera = SyntheticCamera(pipeline.hand_model, seed=5, depth_sensor=sensor)
    before, jumps = None, []
    for index in range(round(SECONDS * RATE_HZ)):
        view = camera.at(index / RATE_HZ)
        has_depth = index // PERIOD % 2 == 0
        depth_m = view.depth_m if has_depth else None
        (hand,) = pipeline.estimate(Frame(view.rgb, camera.camera_matrix, depth_m, stamp_s=index / RATE_HZ))
        assert bool(np.any(hand.joint_flags & DEPTH_ANCHORED)) == has_depth
        error_m, covariance_m2 = hand.joints_m[WRIST] - view.joints_m[WRIST], hand.wrist_covariance[:3, :3]
        if before is not None and before[0] != has_depth:
            # The change of the error is the jump: the motion of the hand itself is no jump.
            jump_m = error_m - before[1]
            jumps.append(jump_m @ np.linalg.solve(covariance_m2 + before[2], jump_m))
        before = has_depth, error_m, covariance_m2
    assert len(jumps) == 4
    assert max(jumps) < CHI2_99
