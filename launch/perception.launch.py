"""Starts hand_mesh_node for the topics of a camera. Can also start camera_node and RViz.

Every parameter of the node is also an argument; `--show-args` lists them. An empty argument keeps the value of params_file.
"""

from dataclasses import Field, fields
from pathlib import Path

import yaml
from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.ros.parameters import NodeConfig

SHARE = Path(get_package_share_directory("hand_mesh_ros"))
PARAMETERS = (*fields(NodeConfig), *fields(PipelineConfig))
ARGUMENTS = {
    "image": ("image", "topic of the camera images"),
    "camera_info": ("camera_info", "topic of the camera calibration"),
    "depth": ("depth", "topic of depth registered to the images; optional"),
    "namespace": ("hand_mesh", "namespace of the nodes and their topics"),
    "params_file": (str(SHARE / "config/hand_mesh.yaml"), "parameters of the node"),
    "camera": ("", "start camera_node with this source: synthetic, a video file or a camera index; empty: use another driver"),
    "rviz": ("false", "start RViz"),
}


def generate_launch_description() -> LaunchDescription:
    """Returns the arguments and the nodes."""
    arguments = [DeclareLaunchArgument(name, default_value=value, description=doc) for name, (value, doc) in ARGUMENTS.items()]
    parameters = [DeclareLaunchArgument(item.name, default_value="", description=item.metadata["doc"]) for item in PARAMETERS]
    return LaunchDescription([*arguments, *parameters, OpaqueFunction(function=_nodes)])


def _nodes(context: LaunchContext) -> list[Node]:
    given = {name: LaunchConfiguration(name).perform(context) for name in (*ARGUMENTS, *(item.name for item in PARAMETERS))}
    overrides = {item.name: _typed(item, given[item.name]) for item in PARAMETERS if given[item.name]}
    common = {"package": "hand_mesh_ros", "namespace": given["namespace"], "output": "screen"}
    nodes = [
        Node(
            **common,
            executable="hand_mesh_node",
            parameters=[given["params_file"], overrides],
            remappings=[(name, given[name]) for name in ("image", "camera_info", "depth")],
        )
    ]
    if given["camera"]:
        nodes.append(
            Node(
                **common,
                executable="camera_node",
                parameters=[{"source": ParameterValue(given["camera"], value_type=str)}],
                remappings=[(name, given[name]) for name in ("image", "camera_info")],
            )
        )
    if yaml.safe_load(given["rviz"]):
        nodes.append(_rviz(given))
    return nodes


def _rviz(given: dict[str, str]) -> Node:
    """Starts RViz. Remaps the topics in its configuration from the default namespace to the topics of this launch."""
    renamed = {"image": given["image"], **{name: name for name in ("markers", "joint_cloud", "overlay")}}
    return Node(
        package="rviz2",
        executable="rviz2",
        namespace=given["namespace"],
        arguments=["-d", str(SHARE / "config/perception.rviz")],
        remappings=[(f"/hand_mesh/{name}", topic) for name, topic in renamed.items()],
    )


def _typed(item: Field, text: str) -> object:
    if isinstance(item.default, str):
        return ParameterValue(text, value_type=str)
    return yaml.safe_load(text)
