"""The files around a release agree with the sources: licences, changes, citation, workflows and the container."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PYTHONS = ["3.10", "3.11", "3.12", "3.13"]
DISTRIBUTIONS = ["humble", "jazzy", "kilted"]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
VERSION = ElementTree.parse(ROOT / "package.xml").findtext("version", "")


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_version_is_semantic_and_has_a_section_in_the_changes() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", VERSION)
    sections = re.findall(r"^## \[([^\]]+)\](.*)$", text("CHANGELOG.md"), re.MULTILINE)
    assert [name for name, _ in sections][:2] in (["Unreleased", VERSION], [VERSION, sections[1][0]])
    assert not [name for name, date in sections if name != "Unreleased" and not re.fullmatch(r" - \d{4}-\d{2}-\d{2}", date)]


def test_the_changes_use_the_headings_of_keep_a_changelog() -> None:
    kinds = set(re.findall(r"^### (.+)$", text("CHANGELOG.md"), re.MULTILINE))
    assert kinds
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_version_has_one_place() -> None:
    """Others read it from package.xml."""
    places = [name for name in ("setup.py", "CITATION.cff", "pyproject.toml", "CMakeLists.txt") if VERSION in text(name)]
    assert not places


def test_the_citation_names_the_fields_that_its_format_requires() -> None:
    citation = yaml.safe_load(text("CITATION.cff"))
    assert {"cff-version", "title", "message", "authors"} <= citation.keys()
    assert citation["license"] == ElementTree.parse(ROOT / "package.xml").findtext("license")


def test_every_licence_is_present_and_every_path_with_a_licence_of_its_own_exists() -> None:
    statement = text("REUSE.toml")
    licences = set(re.findall(r'SPDX-License-Identifier = "([^"]+)"', statement))
    assert {path.stem for path in (ROOT / "LICENSES").glob("*.txt")} == licences
    assert text("LICENSE") == text("LICENSES/Apache-2.0.txt")
    paths = [name for line in re.findall(r"^path = (.+)$", statement, re.MULTILINE) for name in re.findall(r'"([^"]+)"', line)]
    assert not [name for name in paths if name != "**" and not (ROOT / name).is_file()]


def test_every_model_has_the_licence_of_the_manifest() -> None:
    statement = text("REUSE.toml")
    for name, entry in yaml.safe_load(text("models/MANIFEST")).items():
        sections = [part for part in statement.split("[[annotations]]")[2:] if f'"models/{name}"' in part]
        expected = re.findall(r'SPDX-License-Identifier = "([^"]+)"', sections[-1])[0] if sections else "Apache-2.0"
        assert entry["licence"].startswith(expected), f"{name}: {entry['licence']}"


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_calls_what_exists(workflow: Path) -> None:
    jobs = yaml.safe_load(workflow.read_text())["jobs"]
    commands = "\n".join(step["run"] for job in jobs.values() for step in job["steps"] if "run" in step)
    targets = set(re.findall(r"^([a-z]+):", text("Makefile"), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z]+)", commands)) <= targets
    files = re.findall(r"(?:src/hand_mesh_ros/)?\b((?:requirements|test)/[\w./]+)", commands)
    assert not [name for name in files if not (ROOT / name).exists()]


def test_the_workflow_tests_every_python_and_every_distribution() -> None:
    jobs = yaml.safe_load(text(".github/workflows/test.yml"))["jobs"]
    assert jobs["wheels"]["strategy"]["matrix"]["python"] == PYTHONS
    assert jobs["ros"]["strategy"]["matrix"]["distribution"] == DISTRIBUTIONS


def test_the_container_runs_the_launch_file_without_root_rights() -> None:
    lines = text("Dockerfile").splitlines()
    assert "FROM ros:jazzy" in lines
    assert [line for line in lines if line.startswith("USER ")] == ["USER ubuntu"]
    command = re.findall(r'"([^"]+)"', next(line for line in lines if line.startswith("CMD ")))
    assert command[:3] == ["ros2", "launch", "hand_mesh_ros"]
    assert (ROOT / "launch" / command[3]).is_file()
    copied = [name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]]
    assert not [name for name in copied if not (ROOT / name).exists()]
