"""What README.md, the quick start and the page of commands show without ROS, run as it stands there, on rendered hands."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import Result

from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.results import mesh_file
from hand_mesh_ros.synthetic.camera import SyntheticCamera, SyntheticView

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", "docs/quick_start.md"]
# Commands that end by themselves and need no camera.
RUN = re.compile(r"^hand-mesh ((?:image|video|doctor|generate|inpaint|reconstruct|fit)\b(?! \d)[^#\n]*)", re.MULTILINE)


@pytest.fixture(autouse=True)
def folder(
    view: SyntheticView,
    model: HandModel,
    make_video: Callable[[Path, int], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """The working folder, with images, depth, a video and a mesh of the names in the pages."""
    for name in ("photo.jpg", "color.png", "selfie.jpg"):
        cv2.imwrite(str(tmp_path / name), view.rgb[..., ::-1])
    cv2.imwrite(str(tmp_path / "depth.png"), (1000 * view.depth_m).astype(np.uint16))
    mesh_file.write(tmp_path / "hand.obj", model.template_m, model.faces, "right", mesh_file.PALM_FRAME)
    make_video(tmp_path / "clip.mp4", 5)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_all(run: Callable[..., Result], page: str, at_least: int) -> None:
    """Runs the commands of a page in their order."""
    lines = RUN.findall((ROOT / page).read_text(encoding="utf-8"))
    assert len(lines) >= at_least
    for line in lines:
        result = run(*shlex.split(line))
        assert result.exit_code == 0, f"hand-mesh {line}: {result.output}"


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_write_what_the_page_says(page: str, run: Callable[..., Result], folder: Path) -> None:
    run_all(run, page, at_least=2)
    assert {"photo_hands.png", "photo_right.obj", "clip_hands.mp4", "clip_hands.jsonl"} <= {
        path.name for path in folder.iterdir()
    }


def test_the_page_of_commands_shows_commands_that_work(run: Callable[..., Result], folder: Path) -> None:
    run_all(run, "docs/commands.md", at_least=10)
    names = {path.name for path in folder.iterdir()}
    assert {
        "color_right.obj",
        "selfie_left.obj",
        "clip_hands.npz",
        "clip_hands.csv",
        "hand_07.obj",
        "photo_0_right_07.obj",
    } <= names
    assert len(list((folder / "hands").iterdir())) == 16


@pytest.mark.parametrize("page", PAGES)
def test_the_python_code_prints_a_right_hand(
    page: str, capsys: pytest.CaptureFixture[str], view: SyntheticView, model: HandModel
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    # README.md leaves these two to the reader.
    names = {"rgb": np.ascontiguousarray(view.rgb), "camera_matrix": SyntheticCamera(model).camera_matrix}
    exec(compile(code, page, "exec"), names)
    assert capsys.readouterr().out.startswith("right ")
    assert isinstance(names["pipeline"], HandMeshPipeline)
