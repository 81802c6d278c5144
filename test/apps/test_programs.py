"""`hand-mesh bag`, `train`, `export` and `evaluate`: the other program gets the arguments, and what it misses is named."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Run = Callable[..., Result]
ROOT = Path(__file__).resolve().parents[2]


def run_without(package: str, *arguments: str) -> subprocess.CompletedProcess:
    """`hand-mesh` where a Python package is not installed."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); sys.modules[{package!r}] = None\n"
        "from hand_mesh_ros.apps.__main__ import main; main(prog_name='hand-mesh')"
    )
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    ("package", "command", "advice"),
    [
        ("torch", "train", "pip install torch, or pip install -r requirements/train.txt"),
        ("torch", "export", "pip install torch, or pip install -r requirements/train.txt"),
        ("benchmarks", "evaluate", "only the repository has this package"),
        ("sensor_msgs", "bag", "install and source ROS 2"),
    ],
)
def test_a_missing_package_is_named_with_what_to_do(package: str, command: str, advice: str) -> None:
    done = run_without(package, command, "joints")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"Error: the Python package {package} is missing; {advice}")
    # The help is there all the same, without the options of the program.
    done = run_without(package, command, "--help")
    assert done.returncode == 0
    assert f"cannot be shown: the Python package {package} is missing" in done.stdout
    assert f"hand-mesh {command} " in done.stdout
    assert "Examples:" in done.stdout


def test_evaluate_measures(run: Run, tmp_path: Path) -> None:
    result = run("evaluate", "--synthetic", "--count", 2, "--hypotheses", 2, "--json", tmp_path / "figures.json")
    assert result.exit_code == 0, result.output
    assert "2 hypotheses x 4 steps, 2 images" in result.output
    assert (tmp_path / "figures.json").is_file()


def test_train_and_export_pass_their_arguments_on(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    result = run("train", "joints", "--help")
    assert result.exit_code == 0
    assert "usage: hand-mesh train [-h] --run RUN" in result.output
    assert run("train", "hands", "--run", tmp_path).exit_code == 2
    result = run("export", "joints", "--run", tmp_path)
    assert result.exit_code == 1
    assert result.output.splitlines()[-1].startswith("Error: ")
    assert str(tmp_path) in result.output
