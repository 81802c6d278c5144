"""The page of latencies: it keeps the text of others, and cameras in turns and in processes give figures."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.latency import fleet, page
from hand_mesh_ros.core.detect.example_view import example_view
from hand_mesh_ros.core.hand.model import FILE_NAME, HandModel
from hand_mesh_ros.core.models.onnx_model import default_models_dir


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "hand.mp4"
    rgb = example_view(HandModel.load(default_models_dir() / FILE_NAME))[0].rgb
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30.0, rgb.shape[1::-1])
    for _ in range(14):
        writer.write(np.ascontiguousarray(rgb[..., ::-1]))
    writer.release()
    return path


def test_cameras_share_a_process_or_have_one_each(video: Path) -> None:
    cells = [fleet.row(video, 2, processes, 12).strip("| ").split(" | ") for processes in (1, 2)]
    assert [row[:2] for row in cells] == [["2", "1"], ["2", "2"]]
    rates, medians, lasts, memories = np.array([row[2:] for row in cells], float).T
    assert np.all(rates > 0)
    assert np.all(lasts >= medians)
    # One process with two pipelines has the weights twice.
    assert memories[0] > memories[1] + 10


def test_the_growth_has_a_row_per_value_and_a_plot(video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "_HYPOTHESES", (1, 8))
    monkeypatch.setattr(page, "_STEPS", (4,))
    monkeypatch.setattr(page, "_SIZES", ((320, 240),))
    grown = list(page.growth(video, 3))
    assert [row[:2] for row in grown] == [("hypotheses", "1"), ("hypotheses", "8"), ("steps", "4"), ("image", "320 x 240")]
    assert all(ms["mean"] > 0 for _, _, ms in grown)
    page.plot(grown, tmp_path / "images" / "latency.png")
    assert cv2.imread(str(tmp_path / "images" / "latency.png")) is not None


def test_the_text_from_the_first_heading_on_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "latency.md"
    assert page.kept_text(path) == ""
    path.write_text("# Latency\n\nold figures\n\n## Errors\n\nby hand\n")
    assert page.kept_text(path) == "\n## Errors\n\nby hand\n"
