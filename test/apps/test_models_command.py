"""`hand-mesh models` and `hand-mesh doctor` on the shipped model files and on damaged ones."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from hand_mesh_ros.core.models.onnx_model import default_models_dir

Run = Callable[..., Result]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the model files."""
    return Path(shutil.copytree(default_models_dir(), tmp_path / "models"))


def test_the_shipped_files_are_undamaged_and_have_a_licence(run: Run) -> None:
    names = json.loads((default_models_dir() / "MANIFEST").read_text())
    for command in ("list", "licence"):
        result = run("models", command)
        assert result.exit_code == 0
        assert [name for name in names if name in result.output] == list(names)
    assert "damaged" not in run("models", "list").output
    assert "origin: mediapipe==0.10.21" in run("models", "licence").output
    result = run("models", "verify")
    assert result.exit_code == 0
    assert f"{len(names)} files" in result.output


def test_damaged_and_missing_files_are_named(run: Run, folder: Path) -> None:
    with (folder / "mesh_decoder.onnx").open("r+b") as file:
        file.seek(1000)
        file.write(b"\x00\x01\x02")
    (folder / "calibration.json").unlink()
    result = run("models", "verify", "--models-dir", folder)
    assert result.exit_code == 1
    assert f"Error: {folder / 'mesh_decoder.onnx'} has sha256" in result.output
    assert f"Error: {folder / 'calibration.json'} is missing" in result.output
    assert "hand_model.npz" not in result.output
    lines = {line.split()[0]: line for line in run("models", "list", "--models-dir", folder).output.splitlines()}
    assert "damaged" in lines["mesh_decoder.onnx"]
    assert "missing" in lines["calibration.json"]
    assert "ok" in lines["hand_model.npz"]


@pytest.mark.parametrize("content", ["", "[]", '{"a.onnx": {"licence": "MIT"}}', "no json"])
def test_a_manifest_that_cannot_be_used_is_named(run: Run, tmp_path: Path, content: str) -> None:
    manifest = tmp_path / "MANIFEST"
    manifest.write_text(content)
    result = run("models", "verify", "--models-dir", tmp_path)
    assert result.exit_code == 1
    assert f"Error: {manifest} cannot be read" in result.output
    manifest.unlink()
    assert f"Error: {manifest} is missing" in run("models", "list", "--models-dir", tmp_path).output


def doctor(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> subprocess.CompletedProcess:
    """The check of a machine without ROS."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    code = "import sys; sys.modules['rclpy'] = None; from hand_mesh_ros.apps.__main__ import main; main(prog_name='hand-mesh')"
    command = [sys.executable, "-c", code, "doctor", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_doctor_runs_the_chain_and_names_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    done = doctor(monkeypatch)
    assert done.returncode == 0, done.stderr
    for text in ("Python 3.", "onnxruntime: 1.", "CPUExecutionProvider", "files are undamaged in", "everything works"):
        assert text in done.stdout
    assert "rclpy: not installed" in done.stdout
    done = doctor(monkeypatch, "--nonsense")
    assert done.returncode == 2
    assert "without ROS 2 the check has no arguments" in done.stderr


def test_doctor_names_a_damaged_model(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / "joint_encoder.onnx").write_bytes(b"damaged")
    monkeypatch.setenv("HAND_MESH_ROS_MODELS", str(folder))
    done = doctor(monkeypatch)
    assert done.returncode == 1
    assert f"Error: {folder / 'joint_encoder.onnx'} has sha256" in done.stderr
    assert "Traceback" not in done.stderr


def test_doctor_hands_over_to_the_check_of_the_ros_side() -> None:
    """The check of the ROS side is `main(arguments) -> exit code`."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from importlib.machinery import ModuleSpec\n"
        "from types import ModuleType\n"
        "for name in ('rclpy', 'hand_mesh_ros.ros.tools.doctor'):\n"
        "    sys.modules[name] = ModuleType(name); sys.modules[name].__spec__ = ModuleSpec(name, None)\n"
        "sys.modules[name].main = lambda arguments: print(arguments) or 3\n"
        "from hand_mesh_ros.apps.__main__ import main; main(prog_name='hand-mesh')"
    )
    command = [sys.executable, "-c", code, "doctor", "--topic", "image"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "['--topic', 'image']\n", done.stderr
    assert done.returncode == 3
