"""Data flows one way: core <- ros, core <- apps, core <- models_train. Every import of every source file is checked."""

import ast
from collections.abc import Iterator
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
# Folder of models_train: the folders of models_train that its files may import. Tasks use data and nets, never the reverse.
TRAINING = {"data": {"data"}, "nets": {"nets"}}
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


@pytest.mark.parametrize("folder", TRAINING)
def test_data_and_nets_know_no_task(folder: str) -> None:
    broken = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(f"models_train/{folder}")
        for name in imported_names(path)
        if is_within(name, "models_train") and not any(is_within(name, f"models_train.{other}") for other in TRAINING[folder])
    ]
    assert not broken, "\n".join(broken)


def test_modules_of_the_training_import_in_one_direction() -> None:
    """The import graph of models_train has no cycle; imports inside functions count too."""
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in sources("models_train")}
    needs = {
        module: {other for name in imported_names(path) for other in modules if is_within(name, other)} - {module}
        for module, path in modules.items()
    }
    while ready := [module for module, others in needs.items() if not others & needs.keys()]:
        for module in ready:
            del needs[module]
    assert not needs, f"these import each other: {needs}"


def test_files_are_named_after_what_they_do() -> None:
    vague = [path for folder in FORBIDDEN for path in sources(folder) if path.stem in FORBIDDEN_NAMES]
    assert not vague


def test_top_package_only_joins_sources_and_generated_messages() -> None:
    """CMake installs it over the generated, empty one, so it must need nothing but the standard library."""
    assert set(imported_names(ROOT / "hand_mesh_ros/__init__.py")) == {"pkgutil.extend_path"}
