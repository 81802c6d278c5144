"""Every command line in README.md and docs/ is of a kind that is checked: its names exist in this package or are listed here."""

import ast
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise

import pytest
import yaml
from doc_pages import PAGES, ROOT, code, shell_lines

from hand_mesh_ros.core.config import PipelineConfig

# Commands of other packages. These were read in the sources or the documents of those packages.
FOREIGN = (
    r"sudo apt install [\w+ $.-]+",
    r"cd your_workspace/src && git clone <this repository> && cd \.\.",
    r"rosdep install --from-paths src --ignore-src( -y)?",
    r"colcon build",
    r"\. install/setup\.bash",
    r"python3 -m venv environment && \. environment/bin/activate",
    r"ros2 launch realsense2_camera rs_launch\.py align_depth\.enable:=true enable_sync:=true",
    r"ros2 launch depthai_ros_driver camera\.launch\.py",
    r"ros2 run usb_cam usb_cam_node_exe --ros-args -p camera_info_url:=\S+",
    r"ros2 launch foxglove_bridge foxglove_bridge_launch\.xml",
    r"ros2 bag play \w+( --clock)?",
    r"ros2 security create_(keystore keys|enclave keys \S+|permission keys \S+ config/sros2_policy\.xml)",
    r"export ROS_SECURITY_KEYSTORE=.*",
    r"export FAST(DDS|RTPS)_DEFAULT_PROFILES_FILE=\S+( \w+)*( --share\)/config/fastdds_images\.xml)?",
    r"docker (build|run) [^;|&]*",
    r"cp -r models runs/models",
    # Completion of the shell, as click documents it.
    r'eval "\$\(_HAND_MESH_COMPLETE=\w+_source hand-mesh\)"',
    r"_HAND_MESH_COMPLETE=fish_source hand-mesh \| source",
    r"ros2 topic (echo|hz) /diagnostics --once",
)
# Commands that this file or test_docs.py checks.
OWN = (
    r"make [a-z]+( \w+=.*)?",
    r"hand-mesh [a-z].*",
    r"pip install .+",
    r"(\.venv/bin/)?python3? -m (hand_mesh_ros|models_train|benchmarks|pytest)\b.*",
    r"\.venv/bin/torchrun .* models_train\..*",
    r"python examples/\w+\.py .*",
    r"ros2 launch hand_mesh_ros .*",
    r"ros2 run hand_mesh_ros .*",
    r"ros2 topic (echo|hz) /hand_mesh/.*",
    r"ros2 bag record .*",
)
NOT_PINNED = {"numpy<2", ".[viewer]", ".", "onnxruntime-gpu", "dex-retargeting", "six"}
INTERFACE = (ROOT / "docs/interface.md").read_text(encoding="utf-8")
TOPICS = {name for row in re.findall(r"^\| (`[^|]+) \|", INTERFACE, re.MULTILINE) for name in re.findall(r"`([\w/]+)`", row)}


def options_of(path: str) -> set[str]:
    """Parameters that the configuration classes of a module declare."""
    return set(re.findall(r"^    (\w+): [\w.]+ = option\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE))


PIPELINE = options_of("hand_mesh_ros/core/config.py")
PARAMETERS = {
    "hand_mesh_node": PIPELINE | options_of("hand_mesh_ros/ros/parameters.py"),
    "camera_node": options_of("hand_mesh_ros/ros/tools/camera_node.py") | options_of("hand_mesh_ros/sources/image_source.py"),
    "viewer": options_of("hand_mesh_ros/ros/tools/viewer_node.py"),
}


def matching(pattern: str) -> Iterator[tuple[str, str]]:
    """(page, rest of the line) of every command, in blocks and in the text, that starts with the pattern."""
    for page in PAGES:
        for text in code(page):
            for line in text.splitlines():
                if found := re.search(rf"(?:^|&& |`){pattern}(.*)", line):
                    yield page.name, re.sub(r"\s#.*", "", found[1])


def given(flag: str, words: list[str]) -> set[str]:
    """Names before := in the words after each flag."""
    return {word.split(":=")[0] for before, word in pairwise(words) if before == flag}


def launch_arguments() -> set[str]:
    """Names of the arguments of the launch file, read without the package launch."""
    tree = ast.parse((ROOT / "launch/perception.launch.py").read_text(encoding="utf-8"))
    table = next(node for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "ARGUMENTS")
    return {key.value for key in table.value.keys} | PARAMETERS["hand_mesh_node"]


@pytest.mark.parametrize("page", [page.name for page in PAGES])
def test_every_command_line_is_of_a_kind_that_is_checked(page: str) -> None:
    kinds = re.compile("|".join((*FOREIGN, *OWN)))
    lines = [line for name, line in shell_lines() if name == page]
    parts = [part for line in lines for part in ([line] if kinds.fullmatch(line) else line.split(" && "))]
    assert not [part for part in parts if not kinds.fullmatch(part)]


def test_launch_files_are_given_arguments_that_they_have_with_values_that_are_allowed() -> None:
    used = list(matching(r"ros2 launch hand_mesh_ros perception\.launch\.py"))
    assert len(used) > 5
    known = launch_arguments()
    for page, rest in used:
        arguments = dict(word.split(":=", 1) for word in shlex.split(rest))
        assert arguments.keys() <= known, (page, rest)
        PipelineConfig(**{name: yaml.safe_load(value) for name, value in arguments.items() if name in PIPELINE})


def test_nodes_are_given_parameters_and_topics_that_they_have() -> None:
    used = list(matching(r"ros2 run hand_mesh_ros (?=\w+ --ros-args)"))
    assert len(used) > 3
    for page, rest in used:
        name, *words = shlex.split(rest)
        assert given("-p", words) <= PARAMETERS[name], (page, rest)
        assert given("-r", words) <= TOPICS | {"__ns"}, (page, rest)


def test_examples_are_given_parameters_that_they_declare() -> None:
    used = list(matching(r"python examples/"))
    assert {rest.split(".py")[0] for _, rest in used} >= {"retarget", "follow_wrist", "pinch", "keep_away"}
    for page, rest in used:
        name, *words = shlex.split(rest)
        declared = set(re.findall(r"declare_parameter\(\s*\"(\w+)\"", (ROOT / "examples" / name).read_text(encoding="utf-8")))
        assert given("-p", words) <= declared, (page, rest)


def test_topics_of_the_node_in_commands_and_recipes_exist() -> None:
    sides = {f"{side}/{name}" for side in ("left", "right") for name in ("wrist", "joints_operator", "joint_states", "grasp")}
    pages = {page.name: page.read_text(encoding="utf-8") for page in PAGES}
    named = {(page, topic) for page, text in pages.items() for topic in re.findall(r"/hand_mesh/([a-z][\w/]*)", text)}
    assert len(named) > 5
    own = TOPICS | sides | {"hand_mesh_node", "tensorrt"}
    assert not [(page, topic) for page, topic in named if topic not in own and not topic.startswith("hand_mesh_node/")]


def test_parameters_that_are_set_at_run_time_may_change_then() -> None:
    used = list(matching(r"ros2 param set /hand_mesh/hand_mesh_node "))
    assert used
    live = set(re.findall(r"^\| `(\w+)` \* \|", INTERFACE, re.MULTILINE))
    assert not [(page, rest) for page, rest in used if rest.split()[0] not in live]


def test_pip_installs_packages_that_requirements_name() -> None:
    files = list((ROOT / "requirements").glob("*.txt"))
    pinned = {line.split("==")[0] for path in files for line in path.read_text(encoding="utf-8").splitlines()}
    known = pinned | NOT_PINNED | {"-r"} | {f"requirements/{path.name}" for path in files}
    for page, rest in matching(r"pip install "):
        assert set(shlex.split(rest.split("&&")[0])) <= known, (page, rest)


def test_bags_are_processed_with_options_that_the_program_has() -> None:
    source = (ROOT / "hand_mesh_ros/ros/tools/process_bag.py").read_text(encoding="utf-8")
    known = set(re.findall(r"\"--([\w-]+)\"", source))
    used = [*matching(r"hand-mesh bag "), *matching(r"ros2 run hand_mesh_ros process_bag ")]
    assert len(used) >= 2
    for page, rest in used:
        assert set(re.findall(r"--([\w-]+)", rest)) <= known, (page, rest)
        assert set(re.findall(r"--set (\w+)=", rest)) <= PIPELINE, (page, rest)
