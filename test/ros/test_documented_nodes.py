"""The nodes and examples in the commands of README.md and docs/, started as they stand there, in the namespace of the test."""

import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from graph import ROOT, Graph, end

START_S = 30.0
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# viewer is in spans of code within the text. process_bag is no node. Other tests run retarget.py, which needs dex-retargeting,
# and keep_away.py, which ends by itself.
PATTERN = r"(?:^|`)((?:ros2 run hand_mesh_ros \w+ --ros-args|python examples/(?:follow_wrist|pinch)\.py) [^`\n]*)"
TEXTS = [page.read_text(encoding="utf-8").replace("\\\n", " ") for page in PAGES]
COMMANDS = sorted({line for text in TEXTS for line in re.findall(PATTERN, text, re.MULTILINE)})
# No machine that runs the tests has a webcam.
REPLACED = {"source:='0'": "source:=synthetic"}


@pytest.fixture
def graph(make_graph: Callable[[str], Graph]) -> Graph:
    return make_graph("recipes")


def program(line: str) -> list[str]:
    """The program of a command line: an installed executable, as `ros2 run` finds it, or an example. Then its arguments."""
    words = [REPLACED.get(word, word) for word in shlex.split(line)]
    if words[0] == "python":
        return [sys.executable, *words[1:]]
    try:
        return [str(Path(get_package_prefix("hand_mesh_ros")) / "lib/hand_mesh_ros" / words[3]), *words[4:]]
    except PackageNotFoundError:
        return pytest.skip("hand_mesh_ros is not installed: run make setup or colcon build")


def nodes_beside_the_test(graph: Graph) -> list[str]:
    """Names of the other nodes in the namespace of the test."""
    return [name for name, place in graph.node.get_node_names_and_namespaces() if place == graph.namespace and name != "test"]


def test_the_pages_start_every_node() -> None:
    started = {shlex.split(line)[3] for line in COMMANDS if line.startswith("ros2")}
    assert started == {"hand_mesh_node", "camera_node", "viewer"}


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_starts_a_node_that_ctrl_c_ends(line: str, graph: Graph) -> None:
    if "run hand_mesh_ros viewer" in line:
        pytest.importorskip("viser")
    words = [word.replace("__ns:=/hand_mesh", f"__ns:={graph.namespace}") for word in program(line)]
    process = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        assert graph.wait_for(lambda: nodes_beside_the_test(graph) or process.poll() is not None, START_S)
        assert process.poll() is None, process.stderr.read()
        code, log = end(process, signal.SIGINT)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert code == 0, log
    assert "Traceback" not in log
    assert "is unknown and has no effect" not in log
