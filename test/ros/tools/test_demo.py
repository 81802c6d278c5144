"""`make demo` as a user starts it: three processes over DDS, an address to open, and a clean end."""

import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from graph import ROOT, Graph

from hand_mesh_ros.msg import HandArray

PORT = 18531
START_S = 40.0


@pytest.fixture
def graph(make_graph: Callable[[str], Graph]) -> Graph:
    return make_graph("demo_test")


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen]]:
    """Starts demos with options; they are ended, with their nodes, however the test ends."""
    started: list[subprocess.Popen] = []

    def start(*options: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "hand_mesh_ros.apps.demo", "--port", str(PORT), *options]
        started.append(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()  # a demo that is killed cannot end its nodes
            process.communicate(timeout=30)


def children(process: subprocess.Popen) -> set[int]:
    """Process ids of the nodes that the demo started."""
    return {int(number) for number in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()}


def wait_until_gone(pids: set[int]) -> None:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and any(Path(f"/proc/{pid}").exists() for pid in pids):
        time.sleep(0.05)
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()], "the demo left processes behind"


def address_in(log: str) -> str:
    """The page's address as the user reads it."""
    found = re.search(r"Open (http://127\.0\.0\.1:\d+) in a browser", log)
    assert found, log
    return found.group(1)


def test_demo_shows_hands_and_ends_cleanly_on_ctrl_c(graph: Graph, start: Callable[..., subprocess.Popen]) -> None:
    graph.collect("/hand_mesh/hands", HandArray)
    process = start("--rate", "10")
    found = graph.wait_for(lambda: any(hands.hands for hands in graph.received["/hand_mesh/hands"]), START_S)
    assert found, "no hand on /hand_mesh/hands"
    lines: list[str] = []
    while not lines or "in a browser. Ctrl-C" not in lines[-1]:
        lines.append(process.stdout.readline())
    with urllib.request.urlopen(address_in(lines[-1]), timeout=5) as page:
        assert page.status == 200
    nodes = children(process)
    assert len(nodes) == 3
    process.send_signal(signal.SIGINT)
    log, _ = process.communicate(timeout=30)
    assert process.returncode == 0, log
    assert "Traceback" not in log
    wait_until_gone(nodes)


def test_demo_ends_after_its_time(start: Callable[..., subprocess.Popen]) -> None:
    process = start("--duration", "2", "--rate", "5")
    log, _ = process.communicate(timeout=START_S)
    assert process.returncode == 0, log
    assert "Traceback" not in log
    assert address_in(log)


def test_demo_says_which_node_ended_and_why(start: Callable[..., subprocess.Popen]) -> None:
    process = start("--source", "/there/is/no.mp4")
    nodes: set[int] = set()
    while process.poll() is None and len(nodes) < 3:
        nodes |= children(process)
    log, _ = process.communicate(timeout=START_S)
    assert process.returncode == 1, log
    assert "demo: camera_node ended with exit code 1" in log
    assert "'/there/is/no.mp4' is not a file" in log
    wait_until_gone(nodes)


def test_a_demo_that_is_killed_leaves_no_nodes(start: Callable[..., subprocess.Popen]) -> None:
    process = start()
    while "in a browser. Ctrl-C" not in process.stdout.readline():
        assert process.poll() is None, "the demo ended by itself"
    nodes = children(process)
    process.kill()
    process.wait()
    assert len(nodes) == 3
    wait_until_gone(nodes)
