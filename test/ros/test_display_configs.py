"""The configurations for RViz and Foxglove use only names that these programs know, and topics that the node has."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
RVIZ = yaml.safe_load((ROOT / "config/perception.rviz").read_text())
FOXGLOVE = json.loads((ROOT / "config/foxglove_layout.json").read_text())

# Names in the sources of RViz 14.3 (ros2/rviz, branch rolling): classes of the plugin descriptions and the names of their
# properties. RViz silently ignores all other names.
DISPLAY = {"Class", "Enabled", "Name", "Value"}
TOPIC = {"Depth", "Durability Policy", "Filter size", "History Policy", "Reliability Policy", "Value"}
RVIZ_DISPLAYS = {
    "rviz_default_plugins/Axes": {"Length", "Radius", "Reference Frame"},
    "rviz_default_plugins/Image": {"Max Value", "Median window", "Min Value", "Normalize Range", "Topic"},
    "rviz_default_plugins/MarkerArray": {"Namespaces", "Topic"},
    "rviz_default_plugins/PointCloud2": {
        "Alpha",
        "Autocompute Intensity Bounds",
        "Channel Name",
        "Color Transformer",
        "Decay Time",
        "Invert Rainbow",
        "Max Color",
        "Max Intensity",
        "Min Color",
        "Min Intensity",
        "Position Transformer",
        "Selectable",
        "Size (Pixels)",
        "Size (m)",
        "Style",
        "Topic",
        "Use rainbow",
    },
    "rviz_default_plugins/TF": {
        "Filter (blacklist)",
        "Filter (whitelist)",
        "Frame Timeout",
        "Frames",
        "Marker Scale",
        "Show Arrows",
        "Show Axes",
        "Show Names",
        "Tree",
        "Update Interval",
    },
}
RVIZ_CHOICES = {
    "Color Transformer": {"AxisColor", "FlatColor", "Intensity", "RGB8", "RGBF32"},
    "Durability Policy": {"System Default", "Transient Local", "Volatile"},
    "History Policy": {"Keep All", "Keep Last", "System Default"},
    "Position Transformer": {"XYZ"},
    "Reliability Policy": {"Best Effort", "Reliable", "System Default"},
    "Style": {"Boxes", "Flat Squares", "Points", "Spheres", "Squares", "Tiles"},
}
RVIZ_PANELS = {"rviz_common/Displays", "rviz_common/Selection", "rviz_common/Time", "rviz_common/Views"}
RVIZ_TOOLS = {"FocusCamera", "Interact", "Measure", "MoveCamera", "PublishPoint", "Select"}
RVIZ_MANAGER = {"Class", "Displays", "Enabled", "Global Options", "Name", "Tools", "Transformation", "Value", "Views"}
RVIZ_OPTIONS = {"Background Color", "Fixed Frame", "Frame Rate"}
RVIZ_ORBIT = {
    "Class",
    "Distance",
    "Enable Stereo Rendering",
    "Focal Point",
    "Focal Shape Fixed Size",
    "Focal Shape Size",
    "Invert Z Axis",
    "Name",
    "Near Clip Distance",
    "Pitch",
    "Target Frame",
    "Value",
    "Yaw",
}
# Panels of Foxglove and of its free successor Lichtblick, with the settings that the layout may use.
FOXGLOVE_PANELS = {
    "3D": {"cameraState", "followMode", "followTf", "imageMode", "layers", "publish", "scene", "topics", "transforms"},
    "DiagnosticSummary": {"hardwareIdFilter", "minLevel", "pinnedIds", "sortByLevel", "topicToRender"},
    "Image": {"cameraState", "followMode", "imageMode", "layers", "publish", "scene", "topics", "transforms"},
    "Plot": {"followingViewWidth", "isSynced", "paths", "showLegend", "title", "xAxisVal"},
}
# Class in the configuration of RViz: type of its topic.
TYPES = {"Image": "sensor_msgs/Image", "MarkerArray": "visualization_msgs/MarkerArray", "PointCloud2": "sensor_msgs/PointCloud2"}


def documented() -> dict[str, str]:
    """Type of each topic in the documentation, by its name below the namespace."""
    rows = re.findall(r"^\| ([^|]+) \| (\w+/\w+) \|", (ROOT / "docs/interface.md").read_text(), re.MULTILINE)
    return {name: kind for names, kind in rows for name in re.findall(r"`([^`]+)`", names)}


def displays() -> list[dict[str, Any]]:
    return RVIZ["Visualization Manager"]["Displays"]


@pytest.mark.parametrize("display", displays(), ids=lambda display: display["Name"])
def test_rviz_knows_each_display_and_its_properties(display: dict[str, Any]) -> None:
    assert set(display) - DISPLAY - RVIZ_DISPLAYS[display["Class"]] == set()
    assert set(display.get("Topic", {})) - TOPIC == set()
    for name, choices in RVIZ_CHOICES.items():
        for place in (display, display.get("Topic", {})):
            assert place.get(name) in {None} | choices
    # RViz writes the state of the check box twice. It reads one of them.
    assert display["Enabled"] == display["Value"]


def test_rviz_knows_the_rest_of_its_configuration() -> None:
    manager = RVIZ["Visualization Manager"]
    assert {panel["Class"] for panel in RVIZ["Panels"]} <= RVIZ_PANELS
    assert set(manager) <= RVIZ_MANAGER
    assert set(manager["Global Options"]) <= RVIZ_OPTIONS
    assert {tool["Class"] for tool in manager["Tools"]} <= {f"rviz_default_plugins/{name}" for name in RVIZ_TOOLS}
    view = manager["Views"]["Current"]
    assert set(view) <= RVIZ_ORBIT
    assert (view["Class"], view["Value"]) == ("rviz_default_plugins/Orbit", "Orbit (rviz_default_plugins)")
    # An image display has a window of its own.
    windows = {display["Name"] for display in displays() if display["Class"].endswith("/Image")} | {"Displays", "Views"}
    assert {name for name, place in RVIZ["Window Geometry"].items() if isinstance(place, dict)} <= windows


def test_displays_of_rviz_have_topics_of_their_type() -> None:
    types = documented()
    shown = [(display["Topic"]["Value"].removeprefix("/hand_mesh/"), display) for display in displays() if "Topic" in display]
    assert shown
    for name, display in shown:
        assert types[name] == TYPES[display["Class"].split("/")[1]]
        is_camera = name == "image"
        assert display["Topic"]["Reliability Policy"] == ("Best Effort" if is_camera else "Reliable")


def panels(layout: object) -> list[str]:
    """Names of the panels in a layout tree."""
    return [layout] if isinstance(layout, str) else [name for part in ("first", "second") for name in panels(layout[part])]


def test_foxglove_knows_each_panel_and_each_panel_has_a_place() -> None:
    assert sorted(panels(FOXGLOVE["layout"])) == sorted(FOXGLOVE["configById"])
    for name, config in FOXGLOVE["configById"].items():
        assert set(config) - FOXGLOVE_PANELS[name.split("!")[0]] == set()
    for config in FOXGLOVE["configById"].values():
        assert all(path["enabled"] for path in config.get("paths", []))


def test_foxglove_shows_topics_and_fields_of_the_node() -> None:
    text = json.dumps(FOXGLOVE)
    topics = set(re.findall(r'"/hand_mesh/(\w+)', text))
    assert topics == {"annotations", "hands", "image", "joint_cloud", "markers", "overlay"}
    assert topics <= set(documented())
    fields = {name: (ROOT / f"msg/{name}.msg").read_text() for name in ("Hand", "HandArray")}
    for path in re.findall(r'"/hand_mesh/hands\.([^"]+)"', text):
        first, *inner = path.split(".")
        assert re.search(rf"^\S+ {re.sub(r'[[].*', '', first)}\b", fields["HandArray"], re.MULTILINE), path
        for name in inner:
            assert re.search(rf"^\S+ {name}\b", fields["Hand"], re.MULTILINE), path
    sides = dict(re.findall(r"SIDE_(LEFT|RIGHT)=(\d)", fields["Hand"]))
    plot = next(config for config in FOXGLOVE["configById"].values() if len(config.get("paths", [])) == 2)
    assert {path["label"].upper(): re.search(r"side==(\d)", path["value"]).group(1) for path in plot["paths"]} == sides
