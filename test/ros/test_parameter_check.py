"""A parameter that a node does not have is named with the nearest name of one that it has; shared files do not warn."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rclpy
from camera import image_of
from diagnostic_msgs.msg import DiagnosticStatus
from graph import ROOT, Graph
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.ros import parameter_check
from hand_mesh_ros.ros.parameters import NodeConfig, declare
from hand_mesh_ros.ros.tools import launcher

START_S = 40.0
RELIABLE = QoSProfile(depth=1)


@pytest.fixture
def context() -> Iterator[Context]:
    own = Context()
    rclpy.init(context=own)
    yield own
    rclpy.shutdown(context=own)


def advice(context: Context, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """What the check says of a node that is started with these arguments."""
    words = ["--ros-args", "-r", "__ns:=/hand_mesh", *arguments]
    monkeypatch.setattr("sys.argv", ["program", *words])
    node = Node("hand_mesh_node", context=context, cli_args=words, enable_rosout=False)
    for config_class in (NodeConfig, PipelineConfig):
        declare(node, config_class)
    try:
        return parameter_check.check(node)
    finally:
        node.destroy_node()


@pytest.mark.parametrize(("given", "meant"), [("max_hand", "max_hands"), ("smooth_cutof_hz", "smooth_cutoff_hz")])
def test_an_unknown_parameter_is_named_with_the_nearest_name(context, monkeypatch, given, meant):
    text = advice(context, monkeypatch, "-p", f"{given}:=1")
    assert f"parameter '{given}' is unknown" in text
    assert f"did you mean '{meant}'" in text


def test_known_parameters_and_those_of_other_nodes_are_no_mistake(context, monkeypatch, tmp_path):
    file = tmp_path / "shared.yaml"
    file.write_text("/**:\n  ros__parameters: {use_sim_time: false, robot_description: robot, max_hands: 1}\n")
    assert advice(context, monkeypatch, "--params-file", str(file), "-p", "max_age_ms:=100") == ""
    assert advice(context, monkeypatch, "--params-file", str(ROOT / "config/hand_mesh.yaml")) == ""


@pytest.mark.parametrize(
    "section", ["/**", "/**/hand_mesh_node", "/hand_mesh/hand_mesh_node", "hand_mesh/*", "/*/hand_mesh_node"]
)
def test_a_section_for_the_node_is_no_mistake_and_sets_the_parameter(context, monkeypatch, tmp_path, section):
    file = tmp_path / "own.yaml"
    file.write_text(f"{section}:\n  ros__parameters: {{max_hands: 1, max_hand: 1}}\n")
    # That the section is read shows in the other mistake.
    text = advice(context, monkeypatch, "--params-file", str(file))
    assert "max_hand" in text
    assert "sets nothing" not in text


@pytest.mark.parametrize("section", ["/**/hand_mesh", "/hand_mesh_node", "/other/hand_mesh_node", "hand_mesh:\n    hand_node"])
def test_a_file_without_a_section_for_the_node_is_named(context, monkeypatch, tmp_path, section):
    file = tmp_path / "other.yaml"
    file.write_text(f"{section}:\n      ros__parameters: {{max_hands: 1, max_hand: 1}}\n")
    text = advice(context, monkeypatch, "--params-file", str(file))
    assert f"{file} sets nothing for /hand_mesh/hand_mesh_node" in text
    assert "'max_hand'" not in text


def test_the_node_says_so_in_its_diagnostics():
    graph = Graph("typo")
    try:
        overrides = {f"qos_overrides.{graph.namespace}/hand.publisher.depth": 5}
        graph.start("hand_mesh_node", threads=1, image_qos="reliable", max_hand=1, **overrides)

        to_image = graph.node.create_publisher(Image, "image", RELIABLE)
        assert graph.wait_for(to_image.get_subscription_count, START_S)

        def named() -> list[DiagnosticStatus]:
            image = image_of(np.zeros((24, 32, 3), np.uint8))
            image.header.stamp = graph.node.get_clock().now().to_msg()
            to_image.publish(image)
            graph.wait_for(lambda: False, 0.1)
            return [status for status in graph.statuses() if "did you mean 'max_hands'" in status.message]

        assert graph.wait_for(named, 5.0)
        (status, *_) = named()
        assert status.level == DiagnosticStatus.WARN
        assert f"did you mean 'qos_overrides.{graph.namespace}/hands.publisher.depth'" in status.message
    finally:
        graph.close()


@pytest.mark.parametrize("module", ["hand_mesh_node", "camera_node", "viewer_node"])
@pytest.mark.parametrize("content", [None, "/**/hand_mesh_node:\n  max_hands: 1\n"])
def test_a_parameter_file_that_is_missing_or_damaged_ends_every_node_with_its_name(tmp_path, module, content):
    file: Path = tmp_path / "params.yaml"
    if content is not None:
        file.write_text(content)
    command = launcher.command(module, ["--params-file", str(file)])
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=START_S, check=False)
    assert ended.returncode == 1
    assert str(file) in ended.stderr
    assert "Traceback" not in ended.stderr
