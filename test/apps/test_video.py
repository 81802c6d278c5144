"""`hand-mesh video` with the real models on rendered videos, also stopped by signals and continued."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import Result

Run = Callable[..., Result]
MakeVideo = Callable[[Path, int], Path]
CPU = ("--device", "cpu", "--fov", "60")
ALL = ("--save", "overlay,jsonl,npz,csv")
ROOT = Path(__file__).resolve().parents[2]


def records(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def count_images(path: Path) -> int:
    capture, count = cv2.VideoCapture(str(path)), 0
    while capture.read()[0]:
        count += 1
    return count


def start(video: Path, *options: str) -> subprocess.Popen:
    """`hand-mesh video` as a process of its own."""
    command = [sys.executable, "-m", "hand_mesh_ros.apps", "video", str(video), *CPU, *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def stop_after(process: subprocess.Popen, path: Path, n_lines: int, number: signal.Signals) -> str:
    """Sends a signal when the file has so many lines; what the process said."""
    deadline = time.monotonic() + 120
    while not path.is_file() or path.read_bytes().count(b"\n") < n_lines:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    return process.communicate(timeout=60)[0]


def test_a_video_gets_an_overlay_and_a_record_per_image(run: Run, make_video: MakeVideo, tmp_path: Path) -> None:
    video, out = make_video(tmp_path / "clip.mp4", 12), tmp_path / "out"
    result = run("video", video, "--out", out, *CPU, *ALL)
    assert result.exit_code == 0, result.output
    assert {path.name for path in out.iterdir()} == {f"clip_hands.{kind}" for kind in ("mp4", "jsonl", "npz", "csv")}
    lines = records(out / "clip_hands.jsonl")
    assert [line["image_index"] for line in lines] == list(range(12))
    np.testing.assert_allclose([line["time_s"] for line in lines], np.arange(12) / 30, atol=1e-6)
    assert {hand["track_id"] for line in lines for hand in line["hands"]} == {"1"}
    assert "hands/s" not in result.stdout
    assert "12 images" in result.output
    assert count_images(out / "clip_hands.mp4") == 12
    hands = [(line["image_index"], hand) for line in lines for hand in line["hands"]]
    with np.load(out / "clip_hands.npz") as arrays:
        assert arrays["image_index"].tolist() == [index for index, _ in hands]
        np.testing.assert_allclose(arrays["joints_m"], [hand["joints_m"] for _, hand in hands], atol=1e-6)
        # The surfaces belong to the hands of the same rows.
        centres_m = arrays["vertices_m"].mean(1)
        assert np.linalg.norm(centres_m - arrays["joints_m"].mean(1), axis=1).max() < 0.05
    assert len((out / "clip_hands.csv").read_text().splitlines()) == 1 + 21 * len(hands)


def test_a_run_stopped_by_ctrl_c_keeps_its_images_and_is_continued(run: Run, make_video: MakeVideo, tmp_path: Path) -> None:
    n_images = 60
    video = make_video(tmp_path / "clip.mp4", n_images)
    left = tmp_path / "clip_hands.unfinished.jsonl"
    process = start(video, *ALL)
    said = stop_after(process, left, 8, signal.SIGINT)
    assert process.returncode == 130, said
    assert "--resume continues" in said
    assert "Traceback" not in said
    before = records(left)
    assert 8 <= len(before) < n_images
    assert count_images(tmp_path / "clip_hands.mp4") == len(before)
    with np.load(tmp_path / "clip_hands.npz") as arrays:
        assert len(arrays["joints_m"]) == sum(len(line["hands"]) for line in before)
    assert not (tmp_path / "clip_hands.jsonl").exists()

    refused = run("video", video, *CPU, *ALL)
    assert refused.exit_code == 1
    assert f"{left} exists from a stopped run: continue the run with --resume, or delete the file" in refused.output
    other = run("video", video, "--device", "cpu", "--fov", 50, "--resume")
    assert other.exit_code == 1
    assert "has camera_matrix_px" in other.output
    assert count_images(tmp_path / "clip_hands.mp4") == len(before), "the overlay of the stopped run is gone"

    result = run("video", video, *CPU, *ALL, "--resume")
    assert result.exit_code == 0, result.output
    after = records(tmp_path / "clip_hands.jsonl")
    assert after[: len(before)] == before
    assert [line["image_index"] for line in after] == list(range(n_images))
    assert {hand["track_id"] for line in after for hand in line["hands"]} == {"1"}, "the hand was not recognised"
    assert count_images(tmp_path / "clip_hands.mp4") == n_images
    assert not list(tmp_path.glob("*unfinished*"))
    assert not list(tmp_path.glob(".*"))
    # The result is that of a run that was never stopped, but for the memory of the filters.
    assert run("video", video, *CPU, "--save", "jsonl", "--out", tmp_path / "whole").exit_code == 0
    whole = records(tmp_path / "whole/clip_hands.jsonl")
    for line, expected in zip(after, whole):
        assert len(line["hands"]) == len(expected["hands"])
        for hand, other_hand in zip(line["hands"], expected["hands"]):
            np.testing.assert_allclose(hand["joints_m"], other_hand["joints_m"], atol=0.01)
    assert "nothing to continue" in run("video", video, *CPU, "--resume").output
    other = run("video", video, "--device", "cpu", "--fov", 50, "--resume")
    assert other.exit_code == 1
    assert "has camera_matrix_px" in other.output, "the options differ from those of the complete run"
    (tmp_path / "clip_hands.csv").unlink()
    incomplete = run("video", video, *CPU, *ALL, "--resume")
    assert incomplete.exit_code == 1
    assert "clip_hands.csv is missing: run without --resume to write it" in incomplete.output


def test_a_killed_run_is_continued_after_its_last_complete_image(run: Run, make_video: MakeVideo, tmp_path: Path) -> None:
    video = make_video(tmp_path / "clip.mp4", 30)
    left = tmp_path / "clip_hands.unfinished.jsonl"
    stop_after(start(video, *ALL), left, 4, signal.SIGKILL)
    complete = left.read_text(encoding="utf-8").splitlines()
    with left.open("a") as file:
        file.write(complete[-1][:100])  # as if it had been killed while it wrote a line
    result = run("video", video, *CPU, *ALL, "--resume")
    assert result.exit_code == 0, result.output
    assert [line["image_index"] for line in records(tmp_path / "clip_hands.jsonl")] == list(range(30))
    with np.load(tmp_path / "clip_hands.npz") as arrays:
        np.testing.assert_array_less(np.linalg.norm(arrays["vertices_m"].mean(1) - arrays["joints_m"].mean(1), axis=1), 0.05)


def test_a_video_needs_no_ray_caster(make_video: MakeVideo, tmp_path: Path) -> None:
    """A plain `pip install .` has no embreex."""
    video = make_video(tmp_path / "clip.mp4", 2)
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); sys.modules['embreex'] = sys.modules['viser'] = None\n"
        "from hand_mesh_ros.apps.__main__ import main; main(prog_name='hand-mesh')"
    )
    done = subprocess.run([sys.executable, "-c", code, "video", str(video), *CPU], capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_resume_without_a_stopped_run_begins(run: Run, make_video: MakeVideo, tmp_path: Path) -> None:
    video = make_video(tmp_path / "clip.mp4", 2)
    assert run("video", video, *CPU, "--resume").exit_code == 0
    assert len(records(tmp_path / "clip_hands.jsonl")) == 2


def test_a_damaged_video_fails_after_what_could_be_read(run: Run, make_video: MakeVideo, tmp_path: Path) -> None:
    video = make_video(tmp_path / "clip.avi", 40)
    content = video.read_bytes()
    middle = len(content) // 3
    video.write_bytes(content[:middle] + bytes(len(content) - middle - 1200) + content[-1200:])
    result = run("video", video, *CPU)
    assert result.exit_code == 1, result.output
    assert "is cut off" in result.output
    assert 0 < len(records(tmp_path / "clip_hands.unfinished.jsonl")) < 20


def test_odd_sizes_get_an_overlay(run: Run, make_video: MakeVideo, tmp_path: Path) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "odd.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 30.0, (161, 121))
    for _ in range(3):
        writer.write(np.full((121, 161, 3), 90, np.uint8))
    writer.release()
    assert run("video", tmp_path / "odd.avi", *CPU).exit_code == 0
    assert count_images(tmp_path / "odd_hands.mp4") == 3


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["missing.mp4"], 2, "'missing.mp4' is not a file and not the number of a webcam"),
        (["97"], 1, "webcam 97 cannot be opened"),
        (["97", "--resume"], 2, "a webcam cannot repeat its images"),
        (["text.mp4"], 1, "video 'text.mp4' cannot be opened"),
        (["empty.mp4"], 1, "video 'empty.mp4' cannot be opened"),
        (["gr\udcf6\udcdfe.mp4"], 2, "is not valid UTF-8: rename the file"),
        (["text.mp4", "--hypotheses", "0"], 2, "0 is not in the range"),
        (["text.mp4", "--save", "obj"], 2, "'obj' is unknown"),
        (["text.mp4", "--out", "text.mp4/below"], 1, "Not a directory"),
    ],
)
def test_bad_input_is_named(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.mp4").write_text("no video")
    Path("empty.mp4").write_bytes(b"")
    result = run("video", *arguments)
    assert result.exit_code == code, result.output
    assert reason in " ".join(result.output.split())
    assert {path.name for path in tmp_path.iterdir()} == {"text.mp4", "empty.mp4"}
