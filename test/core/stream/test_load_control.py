"""The effort falls while images are slow, and returns when they are fast again."""

from dataclasses import replace

import pytest

from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.stream.load_control import LoadControl
from hand_mesh_ros.core.types import Frame
from hand_mesh_ros.synthetic.camera import SyntheticCamera

CONFIG = PipelineConfig(device="cpu", threads=1, n_hypotheses=16, joint_steps=4)


def run(control: LoadControl, time_ms: float, images: int, target_ms: float = 20.0) -> None:
    for _ in range(images):
        control.measure(time_ms, target_ms)


def test_slow_images_reduce_the_effort_step_by_step_and_fast_ones_restore_it():
    control = LoadControl()
    run(control, 30, 8)
    assert control.share == 0.5
    run(control, 30, 100)
    assert control.share == 0.125
    run(control, 5, 200)
    assert control.share == 1


def test_without_a_target_nothing_changes():
    control = LoadControl()
    run(control, 1000, 100, target_ms=0)
    assert control.share == 1


def test_single_slow_images_do_not_count():
    control = LoadControl()
    for index in range(100):
        control.measure(500 if index % 4 == 0 else 10, 20)
    assert control.share == 1


def test_an_effort_that_is_too_much_is_tried_less_and_less_often():
    control = LoadControl()
    changes = []
    for index in range(2000):
        # Half of the effort is fast enough, full effort is not.
        if control.measure(30 if control.share == 1 else 10, 20):
            changes.append(index)
    tries = [later - sooner for sooner, later in zip(changes[::2], changes[1::2])]
    assert len(changes) < 20
    assert tries[-1] > 4 * tries[0]


def test_at_least_one_hypothesis_and_two_steps_stay():
    control = LoadControl()
    run(control, 30, 100)
    reduced = control.applied_to(CONFIG)
    assert (reduced.n_hypotheses, reduced.joint_steps) == (2, 2)
    least = control.applied_to(replace(CONFIG, n_hypotheses=1, joint_steps=1))
    assert (least.n_hypotheses, least.joint_steps) == (1, 1)


@pytest.mark.parametrize("target_ms", [0.0, 0.5])
def test_a_pipeline_keeps_its_target(target_ms):
    pipeline = HandMeshPipeline(replace(CONFIG, latency_target_ms=target_ms))
    camera = SyntheticCamera(pipeline.hand_model)
    for index in range(40):
        hands = pipeline.estimate(Frame(camera.at(0.3).rgb, camera.camera_matrix, stamp_s=index / 30))
    expected = 2 if target_ms else 16
    assert [len(hand.hypotheses_m) for hand in hands] == [expected]
    assert pipeline.effort.startswith(f"{expected} of 16 hypotheses")
