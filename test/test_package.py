"""The manifests agree with the sources: messages, package.xml, setup.py, requirements and executables."""

import ast
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import pytest
from packaging.requirements import Requirement

from hand_mesh_ros.core.topology import N_JOINTS

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
# Lengths that users' code relies on.
FIXED_LENGTHS = {
    "Hand.joints": 3 * N_JOINTS,
    "Hand.joint_covariance": 6 * N_JOINTS,
    "Hand.articulation_covariance": 6 * N_JOINTS,
    "Hand.joint_confidence": N_JOINTS,
    "Hand.joint_flags": N_JOINTS,
    "Hand.keypoints_px": 2 * N_JOINTS,
    "Hand.keypoint_confidence": N_JOINTS,
    "Hand.bbox_px": 4,
    "GraspCues.pinch_point_covariance": 6,
    "GraspCues.palm_centre_covariance": 6,
    "MeshTopology.joint_names": N_JOINTS,
    "MeshTopology.joint_parents": N_JOINTS,
    "MeshTopology.fingertip_vertices": 5,
}
# What common_interfaces, the ROS client library and the launch system provide; everything else comes from pip.
ROS_PACKAGE = re.compile(
    r"(\w+_msgs|\w+_interfaces|rclpy|launch(_ros)?|tf2_ros|cv_bridge|message_filters|sensor_msgs_py|ament_index_python)"
)
COMMON_INTERFACES = {"std_msgs", "geometry_msgs", "sensor_msgs", "shape_msgs", "builtin_interfaces"}
INTERFACES = sorted(path for kind in ("msg", "srv", "action") for path in (ROOT / kind).glob(f"*.{kind}"))
PARTS = {"msg": (), "srv": ("Request", "Response"), "action": ("Goal", "Result", "Feedback")}


def message_fields(path: Path) -> list[tuple[str, str]]:
    """(type, name) of the fields of a .msg file, constants left out."""
    lines = (line.split("#")[0].split() for line in path.read_text(encoding="utf-8").splitlines())
    return [(words[0], words[1]) for words in lines if len(words) >= 2 and "=" not in "".join(words[1:])]


def declared_dependencies() -> set[str]:
    """Names of every kind of dependency in package.xml."""
    return {tag.text for tag in ElementTree.parse(ROOT / "package.xml").getroot() if tag.tag.endswith("depend") and tag.text}


def requirements(group: str) -> list[Requirement]:
    """The lines of one requirements file."""
    lines = (line.split("#")[0].strip() for line in (ROOT / f"requirements/{group}.txt").read_text().splitlines())
    return [Requirement(line) for line in lines if line]


GROUPS = sorted(path.stem for path in (ROOT / "requirements").glob("*.txt"))


@pytest.mark.parametrize("field", FIXED_LENGTHS)
def test_message_arrays_have_the_lengths_of_the_topology(field: str) -> None:
    message, name = field.split(".")
    kinds = {other: kind for kind, other in message_fields(ROOT / f"msg/{message}.msg")}
    assert kinds[name].endswith(f"[{FIXED_LENGTHS[field]}]"), f"{field} is {kinds[name]}"


def test_messages_use_common_interfaces_only() -> None:
    packages = {kind.split("/")[0] for path in INTERFACES for kind, _ in message_fields(path) if "/" in kind}
    assert packages <= COMMON_INTERFACES
    assert packages <= declared_dependencies()


def test_built_messages_are_those_of_the_sources() -> None:
    """A stale build would drop or misplace fields in silence."""
    modules = {kind: pytest.importorskip(f"hand_mesh_ros.{kind}", reason=f"{kind} is not built") for kind in PARTS}
    for path in INTERFACES:
        kind = path.suffix[1:]
        built_kind = getattr(modules[kind], path.stem)
        parts = [getattr(built_kind, part) for part in PARTS[kind]] or [built_kind]
        built = [name for part in parts for name in part.get_fields_and_field_types()]
        assert built == [name for _, name in message_fields(path)], f"{path.name} has changed: run make setup or colcon build"


def test_package_xml_names_every_imported_ros_package() -> None:
    imported = set()
    for folder in ("hand_mesh_ros", "launch"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    imported |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    imported.add(node.module.split(".")[0])
    used = {name for name in imported if ROS_PACKAGE.fullmatch(name)}
    assert used - declared_dependencies() == set()


def test_package_xml_never_asks_for_torch() -> None:
    assert not [name for name in declared_dependencies() if "torch" in name]


def test_setup_py_and_package_xml_state_one_version() -> None:
    version = subprocess.run(
        [sys.executable, "setup.py", "--version"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()[-1]
    assert version == ElementTree.parse(ROOT / "package.xml").findtext("version")


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("python", PYTHONS)
def test_each_requirement_is_pinned_exactly_once_for_every_python(group: str, python: str) -> None:
    wanted = {requirement.name for requirement in requirements(group)}
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    active = [item for item in requirements(group) if item.marker is None or item.marker.evaluate(environment)]
    assert sorted(item.name for item in active) == sorted(wanted)
    assert all(len(item.specifier) == 1 and str(item.specifier).startswith("==") for item in active)


def test_no_two_groups_pin_one_package() -> None:
    owners = [(requirement.name.lower(), group) for group in GROUPS for requirement in requirements(group)]
    names = [name for name, _ in dict.fromkeys(owners)]
    assert len(names) == len(set(names)), f"named in two files: {sorted({name for name in names if names.count(name) > 1})}"


def test_only_training_needs_torch_and_only_headless_opencv_is_used() -> None:
    named = {group: {requirement.name for requirement in requirements(group)} for group in GROUPS}
    assert [group for group, names in named.items() if "torch" in names] == ["train"]
    assert not [group for group, names in named.items() if "opencv-python" in names]


def test_every_executable_names_a_module_with_a_main_function() -> None:
    text = (ROOT / "CMakeLists.txt").read_text()
    executables = re.findall(r"^install_python_executable\(([\w-]+) ([\w.]+)", text, re.MULTILINE)
    assert executables
    for name, module in executables:
        path = ROOT / (module.replace(".", "/") + ".py")
        assert path.is_file(), f"{name}: {path} is missing"
        functions = [node.name for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)]
        assert "main" in functions, f"{name}: {module} has no main()"


def test_sources_win_over_an_installed_copy() -> None:
    """An edit must be live: run from the tree, core comes from the tree."""
    spec = find_spec("hand_mesh_ros.core")
    assert spec is not None
    assert Path(spec.origin or "").resolve().is_relative_to(ROOT)
