"""Links and commands in README.md and docs/ work: files, headings, modules, options, targets and executables exist."""

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest
from doc_pages import PAGES, ROOT, commands

from hand_mesh_ros.apps.__main__ import main as hand_mesh
from hand_mesh_ros.apps.programs import Program

MODULE = re.compile(r"python3? -m ((?:hand_mesh_ros|models_train|benchmarks)[\w.]*)([^`|\n]*)")
OPTION = re.compile(r"(?<!\S)--([a-z][\w-]*)")


def headings(page: Path) -> set[str]:
    """Anchors of a page, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def module_file(name: str) -> Path | None:
    """Source of a module of this repository, or the `__main__` of a package."""
    path = ROOT.joinpath(*name.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__main__.py") if file.is_file()), None)


def accepted_options(path: Path) -> set[str]:
    """Options named in a module or in the modules of this repository that it imports: literals and config fields."""
    text = path.read_text(encoding="utf-8")
    imported = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom) and node.module]
    names = {name for node in imported for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))}
    texts = [text, *(file.read_text(encoding="utf-8") for name in names if (file := module_file(name)))]
    literals = {option for each in texts for option in re.findall(r"[\"']--([\w-]+)[\"']", each)}
    settings = {field for each in texts for field in re.findall(r"^    (\w+): \w+ = option\(", each, re.MULTILINE)}
    return literals | {field.replace("_", "-") for field in settings} | {"help"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_its_heading(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"\w+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in headings(target)):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_python_command_names_a_program_and_its_options(page: Path) -> None:
    broken = []
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    for name, rest in MODULE.findall(text):
        file = module_file(name.rstrip("."))
        if file is None or "__main__" not in file.read_text(encoding="utf-8"):
            broken.append(f"{name} is no program")
        elif unknown := set(OPTION.findall(rest)) - accepted_options(file):
            broken.append(f"{name} has no option {', '.join(sorted(unknown))}")
    assert not broken


def test_every_make_command_names_a_target() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(commands(r"(?:^|&& )make ([a-z]+)"))
    assert named
    assert not {pair for pair in named if pair[1] not in targets}


def test_every_ros_command_names_an_executable_or_a_launch_file() -> None:
    cmake = (ROOT / "CMakeLists.txt").read_text()
    executables = set(re.findall(r"install_python_executable\((\w+) ", cmake))
    run, launched = set(commands(r"ros2 run hand_mesh_ros (\S+)")), set(commands(r"ros2 launch hand_mesh_ros (\S+)"))
    assert run
    assert launched
    assert not {pair for pair in run if pair[1] not in executables}
    assert not {pair for pair in launched if not (ROOT / "launch" / pair[1]).is_file()}


def test_every_hand_mesh_command_and_its_options_exist() -> None:
    used = set(commands(r"(?<![\w./_-])hand-mesh ([a-z][^#|\n]*)"))
    assert {page for page, _ in used} >= {"README.md", "commands.md"}
    broken = []
    for page, line in used:
        command, context = hand_mesh, click.Context(hand_mesh)
        for word in line.split():
            if isinstance(command, click.Group):
                command = command.get_command(context, word)
        accepted = {option for each in getattr(command, "params", ()) for option in each.opts}
        is_program = isinstance(command, Program)  # its options are those of another module
        if command is None or (not is_program and {f"--{name}" for name in OPTION.findall(line)} - accepted - {"--help"}):
            broken.append((page, line))
    assert not broken


def test_the_page_of_commands_names_all_of_them() -> None:
    text = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    names = hand_mesh.list_commands(click.Context(hand_mesh))
    assert not [name for name in names if f"`hand-mesh {name}" not in text]


def test_setup_py_installs_the_command_line() -> None:
    assert '"hand-mesh = hand_mesh_ros.apps.__main__:main"' in (ROOT / "setup.py").read_text()


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 100


def test_the_python_reference_names_what_exists() -> None:
    names = re.findall(r"^::: ([\w.]+)$", (ROOT / "docs/api.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(names) > 10
    for name in names:
        module, _, member = name.rpartition(".")
        assert (module_file(name) and import_module(name)) or getattr(import_module(module), member).__doc__, name


def test_diagnostics_in_the_troubleshooting_are_texts_of_the_node() -> None:
    """Each part of a quoted text between gaps `..`, commas and colons is part of one text of the sources."""
    constants = [
        node.value
        for path in (ROOT / "hand_mesh_ros").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    page = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    quoted = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    assert len(quoted) > 20
    parts = {(text, part.strip()) for text in quoted for part in re.split(r"\.\.|[,:] ", text)}
    assert not [text for text, part in parts if part and not any(part in constant for constant in constants)]


def test_the_pictures_that_the_pages_draw_can_be_drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(ROOT / "docs")
    for program in (ROOT / "docs").glob("draw_*.py"):
        module = import_module(program.stem)
        assert module.PICTURE.is_file(), module.PICTURE
        monkeypatch.setattr(module, "PICTURE", tmp_path / module.PICTURE.name)
        module.main()
        assert (tmp_path / module.PICTURE.name).stat().st_size > 5_000


def test_the_site_builds_without_a_broken_link(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="pip install -r requirements/docs.txt")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {page.stem for page in PAGES} - {"README"} | {"index", "changelog"}
    assert pages <= {path.stem for path in tmp_path.glob("*.html")}
    reference = (tmp_path / "api.html").read_text(encoding="utf-8")
    assert "(21, 3, 3) after similarity alignment of the hand" in reference, "field_comments.py describes no fields"
