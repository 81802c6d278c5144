"""Life of a process that is told to end at an awkward moment."""

import subprocess
import sys
import textwrap

import pytest
from graph import ROOT

_SIGNALLED_WHILE_MADE = textwrap.dedent(
    """
    import os, signal, sys, time
    from rclpy.node import Node
    from hand_mesh_ros.ros import process

    def make_node():
        before = sys.argv[1] == "before"
        node = None if before else Node("awkward")
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.3)
        return Node("awkward") if before else node

    sys.exit(process.run(make_node, []))
    """
)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_signal_while_the_node_is_made_ends_the_process_quietly(moment: str) -> None:
    command = [sys.executable, "-c", _SIGNALLED_WHILE_MADE, moment]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
