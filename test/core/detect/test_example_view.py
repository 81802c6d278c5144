"""The made-up view shows a whole hand, so that warming up goes the way of real images."""

import numpy as np

from hand_mesh_ros.core.detect.example_view import example_view
from hand_mesh_ros.core.pipeline import HandMeshPipeline


def test_warming_up_runs_the_whole_chain_on_a_hand_and_leaves_no_trace():
    pipeline = HandMeshPipeline.default(device="cpu", threads=1, joint_steps=3)
    frame, example = example_view(pipeline.hand_model)
    estimate = pipeline.chain.answer(example, frame).estimate
    assert np.all((example.keypoints_px > 0) & (example.keypoints_px < frame.rgb.shape[0]))
    assert 0.3 < estimate.joints_m[0, 2] < 0.8
    before = pipeline.config
    pipeline.warm_up()
    assert pipeline.config == before
    assert pipeline.estimate(frame) == []
