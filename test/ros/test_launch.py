"""perception.launch.py as a user starts it: hands come, names can be moved, Ctrl-C ends all, every parameter is an argument."""

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields

import pytest
from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from diagnostic_msgs.msg import DiagnosticStatus
from graph import ROOT, Graph
from lifecycle_msgs.srv import GetState
from rclpy.parameter_client import AsyncParameterClient

from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.msg import HandArray
from hand_mesh_ros.ros.parameters import NodeConfig

pytest.importorskip("launch_ros", reason="launch and launch_ros come with a full ROS installation only")

FILE = ROOT / "launch/perception.launch.py"
START_S = 40.0
# What `ros2 launch FILE NAME:=VALUE ..` does, for machines without ros2cli.
LAUNCH = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

arguments = [argument.split(":=", 1) for argument in sys.argv[2:]]
included = IncludeLaunchDescription(PythonLaunchDescriptionSource(sys.argv[1]), launch_arguments=arguments)
service = LaunchService()
service.include_launch_description(LaunchDescription([included]))
sys.exit(service.run())
"""


class Launched:
    """The launch file at work, in the namespace of a graph."""

    def __init__(self, name: str, **arguments: str) -> None:
        self.graph = Graph(name)
        self.graph.collect("hands", HandArray)
        given = [f"{key}:={value}" for key, value in {"namespace": self.graph.namespace, **arguments}.items()]
        command = [sys.executable, "-c", LAUNCH, str(FILE), *given]
        # A session of its own, so that a signal to its group is what Ctrl-C in a terminal is.
        self.process = subprocess.Popen(
            command, cwd=ROOT, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def interrupt(self) -> tuple[int, str]:
        """Ctrl-C: exit code and output."""
        os.killpg(self.process.pid, signal.SIGINT)
        log, _ = self.process.communicate(timeout=30)
        return self.process.returncode, log

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.communicate()
        self.graph.close()


@pytest.fixture
def start() -> Iterator[Callable[..., Launched]]:
    """Starts the launch file; what is left of it ends with the test."""
    try:
        get_package_share_directory("hand_mesh_ros")
    except PackageNotFoundError:
        pytest.skip("hand_mesh_ros is not installed: run make setup or colcon build")
    started: list[Launched] = []

    def start(name: str, **arguments: str) -> Launched:
        started.append(Launched(name, **arguments))
        return started[-1]

    yield start
    for launched in started:
        launched.close()


def test_hands_come_and_ctrl_c_ends_every_process_cleanly(start: Callable[..., Launched]):
    launched = start("launched", camera="synthetic")
    graph = launched.graph
    assert graph.wait_for(lambda: any(hands.hands for hands in graph.received["hands"]), START_S), launched.interrupt()[1]
    code, log = launched.interrupt()
    assert code == 0, log
    assert log.count("process has finished cleanly") == 2, log
    assert "Traceback" not in log


def test_topics_can_be_moved_and_parameters_given(start: Callable[..., Launched]):
    launched = start(
        "moved", camera="synthetic", image="eye/picture", camera_info="/moved_eye/info", n_hypotheses="5", tf_prefix="7"
    )
    graph = launched.graph
    assert graph.wait_for(lambda: any(hands.hands for hands in graph.received["hands"]), START_S), launched.interrupt()[1]
    topics = {name for name, _ in graph.node.get_topic_names_and_types()}
    assert {f"{graph.namespace}/eye/picture", "/moved_eye/info"} <= topics
    assert f"{graph.namespace}/image" not in topics
    client = AsyncParameterClient(graph.node, "hand_mesh_node")
    assert client.wait_for_services(15.0)
    asked = client.get_parameters(["n_hypotheses", "tf_prefix"])
    assert graph.wait_for(asked.done, 15.0)
    hypotheses, prefix = asked.result().values
    assert hypotheses.integer_value == 5
    # It looks like a number, and is a text.
    assert prefix.string_value == "7"


@pytest.mark.parametrize("use_sim_time", ["true", "false"])
def test_simulated_time_is_an_argument_of_all_nodes(start: Callable[..., Launched], use_sim_time: str):
    graph = start(f"sim_{use_sim_time}", camera="synthetic", autostart="false", use_sim_time=use_sim_time).graph
    for node in ("hand_mesh_node", "camera_node"):
        client = AsyncParameterClient(graph.node, node)
        assert graph.wait_for(client.services_are_ready, START_S)
        asked = client.get_parameters(["use_sim_time"])
        assert graph.wait_for(asked.done, 15.0)
        assert asked.result().values[0].bool_value == (use_sim_time == "true")


def test_simulated_time_that_is_neither_true_nor_false_is_named(start: Callable[..., Launched]):
    launched = start("sim_wrong", use_sim_time="ture")
    log, _ = launched.process.communicate(timeout=START_S)
    assert launched.process.returncode == 1
    assert "use_sim_time is 'ture', expected true or false" in log


def test_a_parameter_file_that_is_missing_is_named(start: Callable[..., Launched]):
    launched = start("no_file", params_file="/nowhere/params.yaml")
    log, _ = launched.process.communicate(timeout=START_S)
    assert launched.process.returncode == 1
    assert "params_file is '/nowhere/params.yaml', which is not a file" in log


def test_an_unknown_argument_is_named_with_the_nearest_name(start: Callable[..., Launched]):
    launched = start("typo", autostart="false", max_hand="1", robot_name="arm")
    assert launched.graph.wait_for(launched.graph.statuses, START_S)
    _, log = launched.interrupt()
    assert "argument 'max_hand' is unknown and has no effect: did you mean 'max_hands'?" in log
    assert "robot_name" not in log


def test_without_autostart_the_node_waits_for_a_manager(start: Callable[..., Launched]):
    graph = start("waiting", autostart="false").graph

    def is_waiting() -> list[DiagnosticStatus]:
        return [status for status in graph.statuses() if "unconfigured" in status.message]

    assert graph.wait_for(is_waiting, START_S)
    client = graph.node.create_client(GetState, "hand_mesh_node/get_state")
    assert graph.wait_for(client.service_is_ready, 15.0)
    asked = client.call_async(GetState.Request())
    assert graph.wait_for(asked.done, 15.0)
    assert asked.result().current_state.label == "unconfigured"
    assert not graph.node.count_publishers("hands")


def test_every_parameter_is_an_argument_with_its_description():
    spec = importlib.util.spec_from_file_location("perception_launch", FILE)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except PackageNotFoundError:
        pytest.skip("hand_mesh_ros is not installed: run make setup or colcon build")
    told = {argument.name: argument.description for argument in module.generate_launch_description().get_launch_arguments()}
    for item in (*fields(NodeConfig), *fields(PipelineConfig)):
        assert told[item.name] == item.metadata["doc"]
