"""A run over the rendered camera, which never ends, as over a webcam."""

import json
from pathlib import Path

import numpy as np
import pytest

from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.results.record import Origin
from hand_mesh_ros.results.video_run import Progress, VideoJob, VideoRun
from hand_mesh_ros.sources.assumed_camera import GivenCamera
from hand_mesh_ros.sources.image_source import SourceConfig, open_source


@pytest.fixture(scope="module")
def pipeline() -> HandMeshPipeline:
    return HandMeshPipeline.default(device="cpu")


@pytest.mark.parametrize("is_live", [True, False])
def test_a_webcam_is_complete_when_the_user_stops_it(pipeline: HandMeshPipeline, tmp_path: Path, is_live: bool) -> None:
    source = open_source(SourceConfig(width=320, height=240), 30.0)
    seen: list[Progress] = []
    job = VideoJob(
        tmp_path / "webcam0_hands.jsonl", ("overlay", "npz"), GivenCamera(fov_deg=60), Origin("0", "m"), is_live=is_live
    )
    outcome = VideoRun(job, source, pipeline)(False, seen.append, lambda: len(seen) == 4)
    assert outcome.is_complete == is_live
    assert outcome.progress == seen[-1]
    assert [progress.images for progress in seen] == [1, 2, 3, 4]
    assert all(path.is_file() for path in outcome.files)
    records = tmp_path / ("webcam0_hands.jsonl" if is_live else "webcam0_hands.unfinished.jsonl")
    assert len(records.read_text().splitlines()) == 4
    assert records in outcome.files


def test_a_selfie_view_is_turned_back(pipeline: HandMeshPipeline, tmp_path: Path) -> None:
    sides = {}
    for mirrored in (False, True):
        pipeline.reset()
        records = tmp_path / f"{mirrored}.jsonl"
        job = VideoJob(records, ("jsonl",), GivenCamera((277, 277, 150, 119.5)), Origin("0", "m"), mirrored, is_live=True)
        seen: list[Progress] = []
        VideoRun(job, open_source(SourceConfig(width=320, height=240), 30.0), pipeline)(
            False, seen.append, lambda n=seen: len(n) == 3
        )
        last = json.loads(records.read_text().splitlines()[-1])
        sides[mirrored] = [hand["handedness"] for hand in last["hands"]]
        np.testing.assert_allclose(last["camera_matrix_px"][0][2], 319 - 150 if mirrored else 150)
    assert sides == {False: ["right"], True: ["left"]}
