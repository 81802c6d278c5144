"""The graph diffusion in a process of its own: the same answers, its steps, its end."""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.graph.diffusion import CONDITION_FILE, GraphDiffusion
from hand_mesh_ros.core.graph.process import GraphProcess, ProcessLost
from hand_mesh_ros.core.graph.reconstruct import Effort
from hand_mesh_ros.core.hand.model import FILE_NAME, HandModel
from hand_mesh_ros.core.models.onnx_model import ModelError, default_models_dir
from hand_mesh_ros.core.models.sampler import Cancelled
from hand_mesh_ros.core.types import Frame
from hand_mesh_ros.synthetic.camera import SyntheticCamera

CONFIG = PipelineConfig(device="cpu", threads=1)
# Hands, seed, steps: takes minutes.
LONG = 64, 0, 1000


@pytest.fixture(scope="module")
def process() -> Iterator[GraphProcess]:
    process = GraphProcess(default_models_dir(), CONFIG)
    yield process
    process.close()


def generate(process: GraphProcess, *arguments: int) -> np.ndarray:
    return process.run("generate", *arguments, report=lambda _step, _steps: None, watch=lambda: None)


def test_it_answers_as_the_model_does_and_tells_its_steps(process):
    told = []
    found = process.run("generate", 2, 7, 3, report=lambda *progress: told.append(progress), watch=lambda: None)
    np.testing.assert_allclose(found, GraphDiffusion(default_models_dir(), CONFIG).generate(2, 7, 3), atol=1e-6)
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_another_size_of_the_hand_counts_from_the_next_job_on(process):
    camera = SyntheticCamera(HandModel.load(default_models_dir() / FILE_NAME))
    frame = Frame(camera.at(0.3).rgb, camera.camera_matrix)

    def vertices_m() -> np.ndarray:
        (hand,) = process.run("reconstruct", frame, Effort(2, 2), report=lambda _step, _steps: None, watch=lambda: None)
        return hand.vertices_m

    before_m = vertices_m()
    process.config = replace(CONFIG, user_hand_scale=0.8)
    after_m = vertices_m()
    process.config = CONFIG
    np.testing.assert_allclose(after_m, 0.8 * before_m, atol=1e-6)


def test_it_has_low_priority(process):
    generate(process, 1, 0, 1)
    child = process._running[0].pid
    assert os.getpriority(os.PRIO_PROCESS, child) >= min(os.getpriority(os.PRIO_PROCESS, 0) + 10, 19)


def test_what_a_report_or_a_watch_raises_ends_the_job_and_the_next_one_is_done(process):
    def stop(*_: int) -> None:
        raise Cancelled("enough")

    before = process._running and process._running[0].pid
    for callbacks in ({"report": stop, "watch": lambda: None}, {"report": lambda _step, _steps: None, "watch": stop}):
        started_s = time.monotonic()
        with pytest.raises(Cancelled, match="enough"):
            process.run("generate", *LONG, **callbacks)
        assert time.monotonic() - started_s < 60
        assert len(generate(process, 1, 0, 1)) == 1
    assert before in (None, process._running[0].pid), "it goes on in the same process"


def test_an_error_of_the_job_is_raised_here_and_the_next_one_is_done(process):
    with pytest.raises(ValueError, match="0 denoising steps"):
        generate(process, 1, 0, 0)
    with pytest.raises(RuntimeError, match="TypeError"):
        generate(process)
    assert len(generate(process, 1, 0, 1)) == 1


def test_a_process_that_is_lost_is_said_to_be_and_started_again(process):
    def kill(_step: int, _steps: int) -> None:
        process._running[0].kill()

    with pytest.raises(ProcessLost, match="exit code -9"):
        process.run("generate", *LONG, report=kill, watch=lambda: None)
    assert len(generate(process, 1, 0, 1)) == 1
    process._running[0].kill()
    process._running[0].wait()
    assert len(generate(process, 1, 0, 1)) == 1


def test_a_missing_file_is_named_until_it_is_there(tmp_path: Path):
    for path in default_models_dir().iterdir():
        if path.name != CONDITION_FILE:
            (tmp_path / path.name).symlink_to(path)
    process = GraphProcess(tmp_path, CONFIG)
    with pytest.raises(ModelError, match=CONDITION_FILE):
        generate(process, 1, 0, 1)
    (tmp_path / CONDITION_FILE).symlink_to(default_models_dir() / CONDITION_FILE)
    assert len(generate(process, 1, 0, 1)) == 1
    child = process._running[0]
    process.close()
    assert child.poll() is not None
    with pytest.raises(Cancelled, match="closed"):
        generate(process, 1, 0, 1)
