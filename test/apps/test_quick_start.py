"""What README.md and the quick start show without ROS, run as it stands there, on a picture and a video of a rendered hand."""

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
from hand_mesh_ros.synthetic.camera import SyntheticCamera, SyntheticView

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", "docs/quick_start.md"]


@pytest.fixture(autouse=True)
def folder(view: SyntheticView, make_video: Callable[[Path, int], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with photo.jpg and clip.mp4."""
    cv2.imwrite(str(tmp_path / "photo.jpg"), view.rgb[..., ::-1])
    make_video(tmp_path / "clip.mp4", 5)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_write_what_the_page_says(page: str, run: Callable[..., Result], folder: Path) -> None:
    lines = re.findall(r"^hand-mesh ((?:image|video|doctor)[^#\n]*)", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert len(lines) >= 2
    for line in lines:
        result = run(*shlex.split(line))
        assert result.exit_code == 0, result.output
    assert {"photo_hands.png", "photo_right.obj", "clip_hands.mp4", "clip_hands.jsonl"} <= {
        path.name for path in folder.iterdir()
    }


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
