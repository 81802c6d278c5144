"""Data flows one way: core <- ros, core <- apps, core <- models_train. Every import of every source file is checked."""

import ast
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROS_MODULES = ("rclpy", "rcl_interfaces", "ament_index_python", "cv_bridge", "message_filters", "sensor_msgs_py", "tf2_ros")
# Folder: what its files must not import (a name stands for everything below it).
FORBIDDEN = {
    "hand_mesh_ros/core": (*ROS_MODULES, "torch", "models_train", "benchmarks", "hand_mesh_ros.ros", "hand_mesh_ros.apps"),
    "hand_mesh_ros/apps": ("torch", "models_train", "benchmarks"),
    "hand_mesh_ros/ros": ("torch", "models_train", "benchmarks"),
    "models_train": (*ROS_MODULES, "benchmarks", "hand_mesh_ros.ros", "hand_mesh_ros.msg"),
    "benchmarks": ("torch", "test"),
}
# The rooms of hand_mesh_ros/ros in the order of the data. Files beside the rooms come before the first one.
ROS_ROOMS = ("input", "output", "services", "node", "tools")
ROS_FOLDER, ROS_PACKAGE = "hand_mesh_ros/ros", "hand_mesh_ros.ros"
MOST_FILES_BESIDE_ROOMS, MOST_FILES_IN_A_ROOM = 8, 10
FREE_OF_MESSAGES = ("hand_mesh_ros/core", "models_train")
FORBIDDEN_NAMES = {"utils", "helpers", "common", "misc"}


def imported_names(path: Path) -> Iterator[str]:
    """Dotted names that a source file imports, wherever in the file; relative imports are resolved."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            stem = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{stem}.{alias.name}" for alias in node.names)


def is_within(name: str, module: str) -> bool:
    """Whether the dotted name is the module or lies below it."""
    return name == module or name.startswith(module + ".")


def sources(folder: str) -> list[Path]:
    """All Python files below a folder of the repository."""
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_no_file_imports_what_its_folder_must_not_know(folder: str) -> None:
    files = sources(folder)
    assert files, f"{folder} holds no Python file"
    broken = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files
        for name in imported_names(path)
        if any(is_within(name, module) for module in FORBIDDEN[folder])
    ]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize("folder", FREE_OF_MESSAGES)
def test_core_and_training_know_no_messages(folder: str) -> None:
    broken = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(folder)
        for name in imported_names(path)
        if name.split(".")[0].endswith("_msgs") or is_within(name, "hand_mesh_ros.msg")
    ]
    assert not broken, "\n".join(broken)


def test_node_files_do_not_import_each_other() -> None:
    nodes = sorted((ROOT / "hand_mesh_ros/ros").rglob("*_node.py"))
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in nodes]
    assert modules
    broken = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources("hand_mesh_ros")
        for name in imported_names(path)
        if any(is_within(name, module) for module in modules)
    ]
    assert not broken, "\n".join(broken)


def ros_rank(parts: Sequence[str]) -> int:
    """Place in the order of the ROS rooms of a path below hand_mesh_ros/ros: 0 beside the rooms, 1 for the first room."""
    return ROS_ROOMS.index(parts[0]) + 1 if parts[0] in ROS_ROOMS else 0


def test_ros_rooms_import_only_from_earlier_rooms() -> None:
    broken = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(ROS_FOLDER)
        for name in imported_names(path)
        if name.startswith(f"{ROS_PACKAGE}.")
        and ros_rank(name.split(".")[2:]) > ros_rank(path.relative_to(ROOT / ROS_FOLDER).parts)
    ]
    assert not broken, "\n".join(broken)


def test_no_file_outside_of_the_node_imports_its_room() -> None:
    node = f"{ROS_PACKAGE}.node"
    broken = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources("hand_mesh_ros")
        if path.parent != ROOT / ROS_FOLDER / "node"
        for name in imported_names(path)
        if is_within(name, node)
    ]
    assert not broken, "\n".join(broken)


def test_ros_rooms_hold_few_files() -> None:
    limits = {"": MOST_FILES_BESIDE_ROOMS, **dict.fromkeys(ROS_ROOMS, MOST_FILES_IN_A_ROOM)}
    files = {room: len(list((ROOT / ROS_FOLDER / room).glob("*.py"))) for room in limits}
    assert all(0 < files[room] <= most for room, most in limits.items()), files


def test_tests_of_ros_lie_in_the_rooms_of_what_they_test() -> None:
    folders = {path.parent.name for path in (ROOT / "test/ros").rglob("test_*.py")}
    assert folders == {"ros", *ROS_ROOMS}


def test_names_of_test_files_are_unique() -> None:
    """pytest imports test files by their base name, since their folders are no packages."""
    counts = Counter(path.name for path in (ROOT / "test").rglob("test_*.py"))
    assert not [name for name, count in counts.items() if count > 1]


def test_core_modules_import_in_one_direction() -> None:
    """The import graph of core has no cycle."""
    prefix = "hand_mesh_ros.core."
    graph = {
        path.stem: {name.removeprefix(prefix).split(".")[0] for name in imported_names(path) if name.startswith(prefix)}
        for path in sources("hand_mesh_ros/core")
        if path.stem != "__init__"
    }
    while ready := [name for name, needs in graph.items() if not needs & graph.keys()]:
        for name in ready:
            del graph[name]
    assert not graph, f"these import each other: {graph}"


def test_files_are_named_after_what_they_do() -> None:
    vague = [path for folder in FORBIDDEN for path in sources(folder) if path.stem in FORBIDDEN_NAMES]
    assert not vague


def test_top_package_only_joins_sources_and_generated_messages() -> None:
    """CMake installs it over the generated, empty one, so it must need nothing but the standard library."""
    assert set(imported_names(ROOT / "hand_mesh_ros/__init__.py")) == {"pkgutil.extend_path"}
