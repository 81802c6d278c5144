"""Machines that lack packages, a home, or a folder that can be written: what is needed is named, the rest is not missed."""

import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import cv2
import numpy as np
import pytest
from graph import ROOT

# Runs main of a module with package names that cannot be imported and names that OpenCV lacks.
_WITHOUT = textwrap.dedent(
    """
    import importlib, sys
    import cv2
    module, missing, unknown, *arguments = sys.argv[1:]
    for name in missing.split():
        sys.modules[name] = None
    for name in unknown.split():
        holder = cv2
        *path, last = name.split(".")
        for part in path:
            holder = getattr(holder, part)
        if hasattr(holder, last):
            delattr(holder, last)
    sys.argv = [module, *arguments]
    sys.exit(importlib.import_module(module).main())
    """
)
CAMERA, NODE = "hand_mesh_ros.ros.tools.camera_node", "hand_mesh_ros.ros.node.hand_mesh_node"
# Names that the OpenCV of Ubuntu 22.04 (4.5.4) and 24.04 (4.6.0) does not have.
NOT_IN_UBUNTU = "utils.logging COLOR_BayerRGGB2RGB COLOR_BayerBGGR2RGB COLOR_BayerGBRG2RGB COLOR_BayerGRBG2RGB"


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "grey.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25.0, (64, 48))
    for _ in range(3):
        writer.write(np.full((48, 64, 3), 90, np.uint8))
    writer.release()
    return path


def run_without(module: str, *arguments: object, missing: str = "", unknown: str = "") -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", _WITHOUT, module, missing, unknown, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_a_video_needs_no_ray_caster_and_no_viewer(video: Path) -> None:
    ended = run_without(CAMERA, "--ros-args", "-p", f"source:={video}", missing="embreex viser trimesh")
    assert ended.returncode == 0, ended.stderr
    assert "end of" in ended.stderr + ended.stdout


def test_the_synthetic_camera_names_the_ray_caster_that_is_missing() -> None:
    ended = run_without(CAMERA, missing="embreex")
    assert ended.returncode == 1
    assert "pip install embreex" in ended.stderr + ended.stdout
    assert "Traceback" not in ended.stderr


def test_a_video_is_read_with_the_opencv_of_ubuntu(video: Path) -> None:
    ended = run_without(CAMERA, "--ros-args", "-p", f"source:={video}", unknown=NOT_IN_UBUNTU)
    assert ended.returncode == 0, ended.stderr


def test_the_viewer_names_the_packages_that_are_missing() -> None:
    ended = run_without("hand_mesh_ros.ros.tools.viewer_node", missing="viser")
    assert ended.returncode == 1
    assert "pip install viser" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("home", [None, "/proc"], ids=["no home", "home that cannot be written"])
def test_a_node_starts_without_a_home_and_says_where_the_logs_are(home: str | None, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("HOME", "ROS_HOME", "ROS_LOG_DIR")}
    environment |= {"TMPDIR": str(tmp_path)} | ({"HOME": home} if home else {})
    node = subprocess.Popen([sys.executable, "-m", NODE], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    log = ""
    while "waiting for images" not in log:
        line = node.stderr.readline()
        assert line, f"the node ended: {log}"
        log += line
    node.send_signal(signal.SIGINT)
    assert node.wait(20) == 0
    (folder,) = tmp_path.glob("ros_log_*")
    assert f"log files go to {folder}" in log
    assert ("HOME is not set" if home is None else "/proc/.ros/log cannot be written") in log
    assert list(folder.iterdir()), "no log is written"


def test_an_executable_names_the_python_that_lacks_a_module(tmp_path: Path) -> None:
    script = tmp_path / "hand_mesh_node"
    template = (ROOT / "cmake/executable.py.in").read_text()
    values = {"python": sys.executable, "module": NODE, "name": script.name}
    script.write_text(re.sub("@(\\w+)@", lambda found: values[found[1]], template))
    blocked = f"import sys; sys.modules[sys.argv[1]] = None; exec(open({str(script)!r}).read())"
    for name, cure in (("onnxruntime", f"{sys.executable} -m pip install onnxruntime"), ("rclpy", "source the setup file")):
        ended = subprocess.run(
            [sys.executable, "-c", blocked, name], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        assert ended.returncode == 1
        assert f"{sys.executable} has no module '{name}" in ended.stderr
        assert cure in ended.stderr
        assert "Traceback" not in ended.stderr
