"""Command lines that start the nodes of this package as processes, for the demo, the benchmarks and the tests."""

import sys
from collections.abc import Sequence

# Module of each executable.
MODULES = {
    "hand_mesh_node": "hand_mesh_ros.ros.node.hand_mesh_node",
    "camera_node": "hand_mesh_ros.ros.tools.camera_node",
    "viewer_node": "hand_mesh_ros.ros.tools.viewer_node",
    "process_bag": "hand_mesh_ros.ros.tools.process_bag",
}


def command(name: str, arguments: Sequence[str]) -> list[str]:
    """Returns the command that runs a node with this Python. `arguments` come after --ros-args."""
    return [sys.executable, "-m", MODULES[name], "--ros-args", *arguments]
