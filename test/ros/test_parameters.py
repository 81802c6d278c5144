"""The parameters of the node are the fields of its dataclasses, with their limits, and nothing else."""

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
import rclpy
import yaml
from rclpy.context import Context
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.parameter import Parameter

from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.ros.parameters import NodeConfig, changed, declare
from hand_mesh_ros.ros.tools.camera_node import CameraConfig
from hand_mesh_ros.ros.tools.viewer_node import ViewerConfig
from hand_mesh_ros.sources.image_source import SourceConfig

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = (NodeConfig, PipelineConfig)


@pytest.fixture(scope="module")
def context() -> Iterator[Context]:
    own = Context()
    rclpy.init(context=own)
    yield own
    rclpy.shutdown(context=own)


def make_node(context: Context, **overrides: object) -> Node:
    values = [Parameter(name, value=value) for name, value in overrides.items()]
    return Node(
        "parameter_test", context=context, parameter_overrides=values, start_parameter_services=False, enable_rosout=False
    )


@pytest.mark.parametrize("config_class", CONFIGS)
def test_each_field_is_a_parameter_with_its_description_and_limits_and_read_only_unless_it_is_live(context, config_class):
    node = make_node(context)
    assert declare(node, config_class) == config_class()
    for item in fields(config_class):
        descriptor = node.describe_parameter(item.name)
        assert descriptor.description == item.metadata["doc"]
        assert descriptor.read_only != item.metadata["live"]
        ranges = [*descriptor.integer_range, *descriptor.floating_point_range]
        limits = [(limit.from_value, limit.to_value) for limit in ranges]
        assert limits == ([item.metadata["limits"]] if item.metadata["limits"] else [])
        assert all(choice in descriptor.additional_constraints for choice in item.metadata["choices"])
    node.destroy_node()


def test_the_two_dataclasses_share_no_name():
    names = [item.name for config_class in CONFIGS for item in fields(config_class)]
    assert len(names) == len(set(names))


def test_given_values_arrive_and_whole_numbers_serve_as_floats(context):
    node = make_node(context, markers_hz=5, image_qos="reliable", n_hypotheses=3)
    config = declare(node, NodeConfig)
    assert (config.markers_hz, type(config.markers_hz), config.image_qos) == (5.0, float, "reliable")
    assert declare(node, PipelineConfig).n_hypotheses == 3
    node.destroy_node()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image_qos", "best"),
        ("max_age_ms", -1.0),
        ("max_age_ms", -1),
        ("rectified", "yes"),
        ("markers_hz", "fast"),
        ("tf_prefix", "/a_"),
        ("output_frame", "/map"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_name(context, name, value):
    node = make_node(context, **{name: value})
    with pytest.raises((ValueError, ParameterException), match=name):
        declare(node, NodeConfig)
    node.destroy_node()


def test_changes_give_another_configuration_and_those_of_other_fields_leave_it():
    config = PipelineConfig()
    after = changed(
        config, [Parameter("min_score", value=1), Parameter("n_hypotheses", value=3), Parameter("use_sim_time", value=1)]
    )
    assert (after.min_score, type(after.min_score), after.n_hypotheses) == (1.0, float, 3)
    assert changed(config, [Parameter("markers_hz", value=3.0)]) is config
    assert changed(config, []) is config


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("min_score", 2.0, "min_score is 2.0, allowed are 0.05 to 1.0"),
        ("min_score", float("nan"), "min_score is nan, allowed are 0.05 to 1.0"),
        ("min_score", True, "min_score is True, expected a value of type float"),
        ("n_hypotheses", 3.0, "n_hypotheses is 3.0, expected a value of type int"),
        ("n_hypotheses", None, "n_hypotheses is None, expected a value of type int"),
        ("user_hand_scale", 0.3, "user_hand_scale is 0.3, allowed are 0 for unknown, and 0.5 to 1.6"),
    ],
)
def test_a_change_that_does_not_fit_says_what_is_allowed(name, value, reason):
    with pytest.raises(ValueError, match=re.escape(reason)):
        changed(PipelineConfig(), [Parameter("joint_steps", value=2), Parameter(name, value=value)])


def test_the_deployed_values_are_valid_and_all_belong_to_a_field():
    deployed = yaml.safe_load((ROOT / "config/hand_mesh.yaml").read_text())["/**/hand_mesh_node"]["ros__parameters"]
    known = set()
    for config_class in CONFIGS:
        names = {item.name for item in fields(config_class)}
        config_class(**{name: value for name, value in deployed.items() if name in names})
        known |= names
    assert set(deployed) <= known


@pytest.mark.parametrize(
    ("heading", "config_classes"),
    [("hand_mesh_node", CONFIGS), ("camera_node", (CameraConfig, SourceConfig)), ("viewer", (ViewerConfig,))],
)
def test_the_documentation_lists_the_parameters_of_each_node_with_their_defaults(heading, config_classes):
    section = (ROOT / "docs/interface.md").read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    listed = re.findall(r"^\| `(\w+)`(?: \*)? \| ?([^\s|]*) \|", section.split("| parameter |")[1], re.MULTILINE)
    items = [item for config_class in config_classes for item in fields(config_class)]
    defaults = {item.name: f"{item.default:g}" if isinstance(item.default, float) else str(item.default) for item in items}
    assert dict(listed) == {name: {"True": "true", "False": "false"}.get(value, value) for name, value in defaults.items()}
    assert len(listed) == len(items)


def test_the_documentation_marks_the_parameters_that_may_change_while_the_node_works():
    section = (ROOT / "docs/interface.md").read_text().split("## hand_mesh_node\n")[1].split("\n## ")[0]
    marked = re.findall(r"^\| `(\w+)` \* \|", section, re.MULTILINE)
    assert set(marked) == {item.name for config_class in CONFIGS for item in fields(config_class) if item.metadata["live"]}


def test_rviz_shows_topics_that_the_documentation_names_in_the_default_namespace():
    text = (ROOT / "docs/interface.md").read_text()
    displays = yaml.safe_load((ROOT / "config/perception.rviz").read_text())["Visualization Manager"]["Displays"]
    topics = [display["Topic"]["Value"] for display in displays if "Topic" in display]
    assert len(topics) == 4
    assert all(topic.startswith("/hand_mesh/") and f"| `{topic.rsplit('/')[-1]}` |" in text for topic in topics)
