"""`hand-mesh view` as a process: the page answers while the chain runs, and Ctrl-C ends it."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

pytest.importorskip("viser")

Run = Callable[..., Result]
ROOT = Path(__file__).resolve().parents[2]


def start(*arguments: str) -> tuple[subprocess.Popen, str]:
    """The process and the address of its page."""
    command = [sys.executable, "-u", "-m", "hand_mesh_ros.apps", "view", *arguments, "--device", "cpu", "--port", "18471"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    line = process.stdout.readline()
    found = re.search(r"http://\S+", line)
    assert found, line + process.communicate(timeout=10)[0]
    return process, found.group()


@pytest.mark.parametrize("source", ["synthetic", "image", "video"])
def test_the_page_shows_a_source_until_ctrl_c(photo: Path, make_video: Callable, tmp_path: Path, source: str) -> None:
    given = {"synthetic": "synthetic", "image": str(photo), "video": str(tmp_path / "clip.mp4")}[source]
    if source == "video":
        make_video(tmp_path / "clip.mp4", 5)
    process, address = start(given, "--fov", "60")
    try:
        with urllib.request.urlopen(address, timeout=10) as page:
            assert page.status == 200
    finally:
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=30)[0]
    assert process.returncode == 0, said
    n_images, n_hands = map(int, re.search(r"(\d+) images?, (\d+) hands?", said).groups())
    assert 1 <= n_hands <= n_images
    assert "Traceback" not in said


@pytest.mark.parametrize("host", ["203.0.113.7", "no.such.name.invalid"])
def test_an_address_of_another_machine_is_refused(photo: Path, host: str) -> None:
    command = [sys.executable, "-m", "hand_mesh_ros.apps", "view", str(photo), "--device", "cpu", "--host", host]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stderr
    assert f"host '{host}' is no address of this machine" in done.stderr


def test_a_duration_ends_the_page(run: Run, make_video: Callable, tmp_path: Path) -> None:
    result = run("view", make_video(tmp_path / "clip.mp4", 4), "--duration", 1.5, "--device", "cpu", "--port", 18481)
    assert result.exit_code == 0, result.output
    n_images = int(re.search(r"(\d+) images", result.output).group(1))
    assert n_images > 4, "the video does not start again"


@pytest.mark.parametrize(
    ("source", "code", "reason"),
    [
        ("missing.mp4", 2, "is not a file, not the number of a webcam"),
        ("97", 1, "webcam 97 cannot be opened"),
        ("text.jpg", 1, "is not an image"),
    ],
)
def test_bad_sources_are_named(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, code: int, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.jpg").write_text("not a picture")
    result = run("view", source)
    assert result.exit_code == code
    assert reason in " ".join(result.output.split())
