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
    "hand_mesh_ros/synthetic": (*ROS_MODULES, "torch", "models_train", "benchmarks", "hand_mesh_ros.ros", "hand_mesh_ros.apps"),
    "hand_mesh_ros/sources": (*ROS_MODULES, "torch", "models_train", "benchmarks", "hand_mesh_ros.ros", "hand_mesh_ros.apps"),
    "hand_mesh_ros/viewer": (*ROS_MODULES, "torch", "models_train", "benchmarks", "hand_mesh_ros.ros", "hand_mesh_ros.apps"),
    "hand_mesh_ros/results": (*ROS_MODULES, "torch", "models_train", "benchmarks", "hand_mesh_ros.ros", "hand_mesh_ros.apps"),
    "hand_mesh_ros/apps": ("torch", "models_train", "benchmarks"),
    "hand_mesh_ros/ros": ("torch", "models_train", "benchmarks"),
    "models_train": (*ROS_MODULES, "benchmarks", "hand_mesh_ros.ros", "hand_mesh_ros.msg"),
    "models_train/datasets": ("torch", "models_train.tasks", "models_train.nets"),
    "benchmarks": ("torch", "test"),
}
# The rooms of hand_mesh_ros/ros in the order of the data. Files beside the rooms come before the first one.
ROS_ROOMS = ("input", "output", "services", "node", "checks", "tools")
ROS_FOLDER, ROS_PACKAGE = "hand_mesh_ros/ros", "hand_mesh_ros.ros"
# Folder of models_train: the folders of models_train that its files may import. Tasks use data and nets, never the reverse.
TRAINING = {
    "hands": {"hands"},
    "data": {"data", "hands"},
    "nets": {"nets"},
    "datasets": {"datasets", "data"},
    "datasets/formats": {"datasets.formats"},
}
FREE_OF_MESSAGES = ("hand_mesh_ros/core", "models_train")
# In the order of the data: each may import what stands before it. Rooms are folders, the others files of the root.
ROOMS_OF_CORE = ("geometry", "stream", "models", "hand", "detect", "cascade", "place", "graph", "uncertainty", "track", "robot")
ORDER_OF_CORE = ("topology", "config", "stage_timer", "geometry", "types", *ROOMS_OF_CORE[1:], "chain", "pipeline")
MOST_FILES, MOST_FILES_IN_ROOT = 10, 8
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


def module_of(path: Path) -> str:
    """Dotted name of a source file's module."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


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


def test_tests_of_ros_lie_in_the_rooms_of_what_they_test() -> None:
    folders = {path.parent.name for path in (ROOT / "test/ros").rglob("test_*.py")}
    assert folders == {"ros", *ROS_ROOMS}


def test_names_of_test_files_are_unique() -> None:
    """pytest imports test files by their base name, since their folders are no packages."""
    counts = Counter(path.name for path in (ROOT / "test").rglob("test_*.py"))
    assert not [name for name, count in counts.items() if count > 1]


def test_no_room_of_core_imports_a_later_one() -> None:
    """Rooms follow the data: records and settings first, then the stages, then what joins them."""
    place = {f"hand_mesh_ros.core.{name}": number for number, name in enumerate(ORDER_OF_CORE)}
    rooms = {path.name for path in (ROOT / "hand_mesh_ros/core").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms == set(ROOMS_OF_CORE)

    def place_of(name: str) -> int | None:
        return place.get(".".join(name.split(".")[:3]))

    broken = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources("hand_mesh_ros/core")
        for name in imported_names(path)
        if (own := place_of(module_of(path))) is not None and (place_of(name) or 0) > own
    ]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize("folder", ["hand_mesh_ros", "models_train", "benchmarks"])
def test_no_modules_import_each_other(folder: str) -> None:
    """The import graph has no circle."""
    graph = {module_of(path): set(imported_names(path)) for path in sources(folder)}
    # `from a.b import c` names either the module a.b.c or something in a.b.
    graph = {
        name: {need if need in graph else need.rpartition(".")[0] for need in needs} & graph.keys() - {name}
        for name, needs in graph.items()
    }
    while ready := [name for name, needs in graph.items() if not needs & graph.keys()]:
        for name in ready:
            del graph[name]
    assert not graph, f"these import each other: {graph}"


@pytest.mark.parametrize("folder", ["hand_mesh_ros", "models_train", "benchmarks"])
def test_no_folder_has_more_than_ten_files(folder: str) -> None:
    folders = {path.parent for path in sources(folder)}
    crowded = {str(each.relative_to(ROOT)): n for each in folders if (n := len(list(each.glob("*.py"))) - 1) > MOST_FILES}
    assert not crowded
    for root in (ROOT / "hand_mesh_ros/core", ROOT / ROS_FOLDER):
        assert len(list(root.glob("*.py"))) <= MOST_FILES_IN_ROOT


@pytest.mark.parametrize("folder", TRAINING)
def test_data_and_nets_know_no_task(folder: str) -> None:
    broken = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(f"models_train/{folder}")
        for name in imported_names(path)
        if is_within(name, "models_train") and not any(is_within(name, f"models_train.{other}") for other in TRAINING[folder])
    ]
    assert not broken, "\n".join(broken)


def test_no_room_of_the_benchmarks_imports_another() -> None:
    """What two rooms need lies beside the rooms."""
    rooms = {path.name for path in (ROOT / "benchmarks").iterdir() if (path / "__init__.py").is_file()}
    broken = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources("benchmarks")
        for name in imported_names(path)
        if name.startswith("benchmarks.") and name.split(".")[1] in rooms - {path.parent.name}
    ]
    assert not broken, "\n".join(broken)


def test_files_are_named_after_what_they_do() -> None:
    vague = [path for folder in FORBIDDEN for path in sources(folder) if path.stem in FORBIDDEN_NAMES]
    assert not vague


def test_top_package_only_joins_sources_and_generated_messages() -> None:
    """CMake installs it over the generated, empty one, so it must need nothing but the standard library."""
    assert set(imported_names(ROOT / "hand_mesh_ros/__init__.py")) == {"pkgutil.extend_path"}
