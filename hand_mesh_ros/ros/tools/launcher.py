"""Command lines that run the package's nodes as processes, for the demo, the benchmarks and the tests."""

import sys
from collections.abc import Sequence

# Executable: its module.
MODULES = {
    "hand_mesh_node": "hand_mesh_ros.ros.node.hand_mesh_node",
    "camera_node": "hand_mesh_ros.ros.tools.camera_node",
    "viewer_node": "hand_mesh_ros.ros.tools.viewer_node",
    "process_bag": "hand_mesh_ros.ros.tools.process_bag",
}


def command(name: str, arguments: Sequence[str]) -> list[str]:
    """Runs a node with this Python; `arguments` follow --ros-args."""
    return [sys.executable, "-m", MODULES[name], "--ros-args", *arguments]
