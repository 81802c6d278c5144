"""Other nodes, managers and users of the machine that disturb the node: each is named with the cure."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import yaml
from camera import RELIABLE, Camera, image_of
from diagnostic_msgs.msg import DiagnosticStatus
from graph import ROOT, Graph
from std_msgs.msg import Empty

from hand_mesh_ros.msg import HandArray
from hand_mesh_ros.ros.tools import launcher

START_S = 40.0
NOBODY = 65534
# The other user may not be allowed to read Python itself: everything is loaded before the process becomes that user.
AS_NOBODY = f"""
import os, sys
import diagnostic_msgs.msg, encodings.cp437, encodings.idna, lifecycle_msgs.msg, lifecycle_msgs.srv, rclpy.executors
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.ros.node import hand_mesh_node

HandMeshPipeline.default("cpu", threads=1)
os.setgid({NOBODY})
os.setuid({NOBODY})
sys.exit(hand_mesh_node.main(sys.argv))
"""


def feed(graph: Graph, is_met: Callable[[], object], timeout_s: float) -> object:
    """Sends calibrated images without a hand until `is_met` returns something true, which it returns."""
    if not hasattr(graph, "camera"):
        graph.camera = Camera(graph, (64, 48), RELIABLE)
    image = image_of(np.random.default_rng(0).integers(40, 200, (48, 64, 3), dtype=np.uint8))
    k = np.array([[50.0, 0, 31.5], [0, 50.0, 23.5], [0, 0, 1]])

    def step() -> object:
        graph.camera.send(image, k)
        graph.wait_for(lambda: False, 0.1)
        return is_met()

    return graph.wait_for(step, timeout_s)


def reported(graph: Graph, needle: str) -> DiagnosticStatus | None:
    """The first status that holds `needle`."""
    return next((status for status in graph.statuses() if needle in status.message), None)


def test_a_second_node_of_the_same_name_is_named(make_graph):
    graph = make_graph("namesake")
    graph.start("hand_mesh_node", threads=1, image_qos="reliable", max_age_ms=0.0)
    assert feed(graph, lambda: reported(graph, "working"), START_S)
    assert not reported(graph, "nodes are called")
    graph.start("hand_mesh_node", threads=1, image_qos="reliable", max_age_ms=0.0)
    needle = f"2 nodes are called {graph.namespace}/hand_mesh_node"
    status = feed(graph, lambda: reported(graph, needle), START_S)
    assert status
    assert status.level == DiagnosticStatus.WARN


def test_another_sender_of_hands_is_named(make_graph):
    graph = make_graph("rival")
    graph.node.create_publisher(HandArray, "hands", 1)
    graph.start("hand_mesh_node", threads=1, image_qos="reliable", max_age_ms=0.0)
    status = feed(graph, lambda: reported(graph, f"{graph.namespace}/hands has 2 publishers"), START_S)
    assert status
    assert status.level == DiagnosticStatus.WARN


def test_a_manager_that_expects_a_bond_is_named_with_its_parameter(make_graph):
    graph = make_graph("bond")
    graph.start("hand_mesh_node", threads=1, autostart=False)
    assert graph.wait_for(lambda: reported(graph, "the node is unconfigured"), START_S)
    assert "bond" not in graph.statuses()[-1].message
    graph.node.create_publisher(Empty, "/bond", 1)
    status = graph.wait_for(lambda: reported(graph, "bond_timeout of the manager to 0.0"), START_S)
    assert status
    assert status.level == DiagnosticStatus.WARN


def test_the_example_for_a_manager_expects_no_bond_and_leaves_the_start_to_it():
    page = (ROOT / "docs/interface.md").read_text(encoding="utf-8")
    (block,) = [block for block in page.split("```") if "lifecycle_manager:" in block]
    parameters = {name: section["ros__parameters"] for name, section in yaml.safe_load(block.removeprefix("yaml")).items()}
    assert parameters["lifecycle_manager"]["bond_timeout"] == 0.0
    assert parameters["lifecycle_manager"]["node_names"] == ["hand_mesh/hand_mesh_node"]
    assert parameters["/hand_mesh/hand_mesh_node"]["autostart"] is False


def remove_segments_of(user_id: int) -> None:
    """Removes the shared memory that a user has left behind and that no process uses."""
    used = ""
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with suppress(OSError):  # the process has ended
            used += maps.read_text()
    for segment in Path("/dev/shm").glob("*fastdds_*"):
        with suppress(FileNotFoundError):
            if segment.stat().st_uid == user_id and str(segment) not in used:
                segment.unlink()


@pytest.fixture
def logs() -> Iterator[Path]:
    """A folder that every user may write to; only root may enter the folders of pytest."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may start a process of another user")
def test_shared_memory_of_another_user_is_named(make_graph, logs):
    graph = make_graph("two_users")
    arguments = launcher.command("hand_mesh_node", ["-r", f"__ns:={graph.namespace}", "-p", "threads:=1"])[3:]
    process = subprocess.Popen(
        [sys.executable, "-c", AS_NOBODY, *arguments], cwd=ROOT, env={**os.environ, "ROS_LOG_DIR": str(logs), "HOME": str(logs)}
    )
    try:
        status = feed(graph, lambda: reported(graph, "run camera and node as one user"), START_S)
    finally:
        process.terminate()
        process.wait()
        remove_segments_of(NOBODY)
    assert status
    assert status.level == DiagnosticStatus.ERROR
    assert "segments in /dev/shm belong to root" in status.message
    assert "this node runs as nobody" in status.message
