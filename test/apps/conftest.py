"""Runs `hand-mesh` as a user does, and renders what it reads."""

from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from click.testing import CliRunner, Result

from hand_mesh_ros.apps.__main__ import main
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.synthetic.camera import SyntheticCamera, SyntheticView

VIEW_S = 7.5  # a moment of the synthetic motion with an open hand


@pytest.fixture
def run() -> Callable[..., Result]:
    """The command with arguments; an error must end it by itself."""

    def run_command(*arguments: object) -> Result:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments], prog_name="hand-mesh")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.output
        return result

    return run_command


@pytest.fixture(scope="session")
def view(model: HandModel) -> SyntheticView:
    """A rendered right hand."""
    return SyntheticCamera(model).at(VIEW_S)


@pytest.fixture
def photo(view: SyntheticView, tmp_path: Path) -> Path:
    """A picture of the rendered hand; 60 degrees of view."""
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), view.rgb[..., ::-1])
    return path


@pytest.fixture
def make_video(model: HandModel) -> Callable[[Path, int], Path]:
    """Writes a video of a moving rendered hand, so many images at 30 Hz."""

    def make(path: Path, n_images: int) -> Path:
        camera = SyntheticCamera(model, (320, 240))
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30.0, (320, 240))
        for index in range(n_images):
            writer.write(camera.at(VIEW_S + index / 30).rgb[..., ::-1])
        writer.release()
        return path

    return make
