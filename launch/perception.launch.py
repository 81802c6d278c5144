"""Starts hand_mesh_node for the topics of a camera. Can also start camera_node and RViz.

Every parameter of the node is also an argument; `--show-args` lists them. An empty argument keeps the value of params_file.
"""

from dataclasses import Field, fields
from difflib import get_close_matches
from pathlib import Path

import yaml
from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.logging import get_logger
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
    "use_sim_time": ("", "true: all nodes take the time from /clock (simulation, ros2 bag play --clock)"),
}


def generate_launch_description() -> LaunchDescription:
    """Returns the arguments and the nodes."""
    arguments = [DeclareLaunchArgument(name, default_value=value, description=doc) for name, (value, doc) in ARGUMENTS.items()]
    parameters = [DeclareLaunchArgument(item.name, default_value="", description=item.metadata["doc"]) for item in PARAMETERS]
    return LaunchDescription([*arguments, *parameters, OpaqueFunction(function=_nodes)])


def _nodes(context: LaunchContext) -> list[Node]:
    names = [*ARGUMENTS, *(item.name for item in PARAMETERS)]
    _warn_of_unknown(context, names)
    given = {name: LaunchConfiguration(name).perform(context) for name in names}
    if not Path(given["params_file"]).is_file():
        raise FileNotFoundError(f"params_file is '{given['params_file']}', which is not a file")
    overrides = {item.name: _typed(item, given[item.name]) for item in PARAMETERS if given[item.name]}
    clock = _clock(given["use_sim_time"])
    common = {"package": "hand_mesh_ros", "namespace": given["namespace"], "output": "screen"}
    nodes = [
        Node(
            **common,
            executable="hand_mesh_node",
            parameters=[given["params_file"], overrides, clock],
            remappings=[(name, given[name]) for name in ("image", "camera_info", "depth")],
        )
    ]
    if given["camera"]:
        nodes.append(
            Node(
                **common,
                executable="camera_node",
                parameters=[{"source": ParameterValue(given["camera"], value_type=str)}, clock],
                remappings=[(name, given[name]) for name in ("image", "camera_info")],
            )
        )
    if yaml.safe_load(given["rviz"]):
        nodes.append(_rviz(given, clock))
    return nodes


def _warn_of_unknown(context: LaunchContext, names: list[str]) -> None:
    """Warns of arguments that resemble an argument of this file. Others may belong to a launch file that includes this file."""
    for name in context.launch_configurations.keys() - set(names):
        if nearest := get_close_matches(name, names, 1, 0.8):
            get_logger(Path(__file__).name).warning(
                f"argument '{name}' is unknown and has no effect: did you mean '{nearest[0]}'?"
            )


def _clock(use_sim_time: str) -> dict[str, bool]:
    """The parameter of all nodes for the source of time; none if the argument is empty.

    Raises:
        ValueError: if the argument is neither true nor false.
    """
    if not use_sim_time:
        return {}
    value = yaml.safe_load(use_sim_time)
    if not isinstance(value, bool):
        raise ValueError(f"use_sim_time is '{use_sim_time}', expected true or false")
    return {"use_sim_time": value}


def _rviz(given: dict[str, str], clock: dict[str, bool]) -> Node:
    """Starts RViz. Remaps the topics in its configuration from the default namespace to the topics of this launch."""
    renamed = {"image": given["image"], **{name: name for name in ("markers", "joint_cloud", "overlay")}}
    return Node(
        package="rviz2",
        executable="rviz2",
        namespace=given["namespace"],
        arguments=["-d", str(SHARE / "config/perception.rviz")],
        parameters=[clock],
        remappings=[(f"/hand_mesh/{name}", topic) for name, topic in renamed.items()],
    )


def _typed(item: Field, text: str) -> object:
    if isinstance(item.default, str):
        return ParameterValue(text, value_type=str)
    return yaml.safe_load(text)
