"""The wheel and the source distribution, installed into environments of their own: the command line and the models work there."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, f'build_{sys.argv[1]}')(sys.argv[2]))"
FOREIGN = ("AMENT_PREFIX_PATH", "PYTHONPATH", "HAND_MESH_ROS_MODELS", "VIRTUAL_ENV")
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in FOREIGN}


def run(*command: str | Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess:
    """Output and exit code of a command that sees nothing of this checkout."""
    environment = ENVIRONMENT | variables
    return subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the packages are made of, so that the build leaves nothing in this tree."""
    copy = tmp_path_factory.mktemp("tree")
    for name in ("setup.py", "pyproject.toml", "package.xml", "MANIFEST.in", "README.md", "LICENSE", "REUSE.toml"):
        shutil.copy(ROOT / name, copy)
    for name in ("hand_mesh_ros", "models_train", "models", "LICENSES"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@pytest.fixture(scope="module", params=["sdist", "wheel"])
def installed(request: pytest.FixtureRequest, tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the package. Its other packages are those of this environment. No network."""
    folder = tmp_path_factory.mktemp(request.param)
    built = run(sys.executable, "-c", BUILD, request.param, folder, cwd=tree)
    assert built.returncode == 0, built.stderr
    environment = folder / "environment"
    venv.create(environment, symlinks=True)
    library = Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))
    # Files in this folder that add paths, such as the path of this checkout, do not count from here.
    (library / "packages_of_the_tests.pth").write_text(sysconfig.get_path("purelib") + "\n")
    options = ("--no-index", "--no-deps", "--no-build-isolation", "--ignore-installed", "--quiet")
    package = folder / built.stdout.split()[-1]
    done = run(sys.executable, "-m", "pip", "--python", environment / "bin/python", "install", *options, package, cwd=folder)
    assert done.returncode == 0, done.stderr
    return environment


def test_an_installed_package_finds_its_own_models(installed: Path) -> None:
    show = (
        "import hand_mesh_ros.core.pipeline as p; from hand_mesh_ros.core.models.onnx_model import default_models_dir as d;"
        "print(p.__file__, d())"
    )
    done = run(installed / "bin/python", "-c", show, cwd=installed)
    assert done.returncode == 0, done.stderr
    assert all(Path(name).is_relative_to(installed) for name in done.stdout.split()), done.stdout


def test_an_installed_command_line_runs_the_chain(installed: Path) -> None:
    done = run(installed / "bin/hand-mesh", "doctor", cwd=installed)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "everything works" in done.stdout
    assert "files are undamaged" in done.stdout


def test_an_installed_package_without_models_says_where_it_searched(installed: Path) -> None:
    models = installed / "share/hand_mesh_ros/models"
    hidden = models.rename(models.with_name("hidden"))
    try:
        done = run(installed / "bin/hand-mesh", "models", "list", cwd=installed)
    finally:
        hidden.rename(models)
    assert done.returncode == 1
    assert "HAND_MESH_ROS_MODELS" in done.stderr
    assert str(models) in done.stderr
    assert "Traceback" not in done.stderr


def test_a_package_contains_the_licences(installed: Path) -> None:
    names = {path.name for path in installed.rglob("*.dist-info/licenses/**/*") if "hand_mesh_ros" in str(path)}
    assert {"LICENSE", "REUSE.toml", "Apache-2.0.txt", "CC0-1.0.txt", "MIT.txt"} <= names
