"""Draws docs/images/commands.svg: what the terminal shows for three commands, run in a pseudo terminal on a rendered video.

.venv/bin/python docs/draw_commands.py
"""

import os
import platform
import pty
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.sax.saxutils import escape

import cv2

from hand_mesh_ros.core.hand.model import FILE_NAME, HandModel
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.synthetic.camera import SyntheticCamera

ROOT = Path(__file__).resolve().parents[1]
PICTURE = Path(__file__).parent / "images/commands.svg"
COMMANDS = ("hand-mesh --help", "hand-mesh doctor", "hand-mesh video clip.mp4 --fov 60")
COLUMNS, SIZE, N_IMAGES = 96, (320, 240), 60
SHOWN_SHARE = 0.6  # of the progress of the video
ROW_PX, COLUMN_PX, EDGE_PX = 17, 7.83, 16
BACKGROUND, TEXT, PROMPT, LINE = "#1b1e23", "#d7dae0", "#7fd38c", "#343941"


def write_clip(path: Path) -> None:
    """Writes a video of a rendered hand."""
    camera = SyntheticCamera(HandModel.load(default_models_dir() / FILE_NAME), SIZE)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30.0, SIZE)
    for index in range(N_IMAGES):
        writer.write(camera.at(7.5 + index / 30).rgb[..., ::-1])
    writer.release()


def said(command: str, folder: Path) -> str:
    """Everything that a command writes to a terminal of `COLUMNS` columns."""
    master, slave = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": str(COLUMNS), "TERM": "dumb"}
    words = [sys.executable, "-m", "hand_mesh_ros.apps", *command.split()[1:]]
    process = subprocess.Popen(words, cwd=folder, env=environment, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    parts = []
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # Linux reports the end of a pseudo terminal as an error
            break
        if not part:
            break
        parts.append(part)
    os.close(master)
    if process.wait() != 0:
        raise RuntimeError(f"{command} ended with exit code {process.returncode}")
    return b"".join(parts).decode()


def rows(text: str) -> list[str]:
    """Rows on the screen. A progress bar that is drawn several times is shown at `SHOWN_SHARE`, without what follows."""
    shown = []
    for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r\n", "\n").split("\n"):
        states = [state for state in line.split("\r") if state.strip()]
        shown.append(states[round(SHOWN_SHARE * (len(states) - 1))].rstrip() if states else "")
        if len(states) > 2:
            break
    text = "\n".join(shown).strip("\n")
    text = text.replace(sys.executable, "environment/bin/python").replace(str(default_models_dir()), "models")
    return text.replace(platform.platform(), f"{platform.system()}-{platform.machine()}").split("\n")


def picture(screens: dict[str, list[str]]) -> str:
    """The screens one below the other, as SVG."""
    width, top, parts = round(COLUMNS * COLUMN_PX + 2 * EDGE_PX), EDGE_PX, []
    for command, lines in screens.items():
        height = (len(lines) + 1) * ROW_PX + 2 * EDGE_PX
        parts.append(
            f'<rect x="0" y="{top - EDGE_PX}" width="{width}" height="{height}" rx="8" fill="{BACKGROUND}" stroke="{LINE}"/>'
        )
        for number, line in enumerate([f"$ {command}", *lines]):
            colour = PROMPT if number == 0 else TEXT
            y = top + (number + 0.8) * ROW_PX
            parts.append(f'<text x="{EDGE_PX}" y="{y:.1f}" fill="{colour}" xml:space="preserve">{escape(line)}</text>')
        top += height + EDGE_PX
    size = f'width="{width}" height="{top - EDGE_PX}" viewBox="0 0 {width} {top - EDGE_PX}"'
    font = 'font-family="\'DejaVu Sans Mono\', ui-monospace, Menlo, Consolas, monospace" font-size="13"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font}>\n' + "\n".join(parts) + "\n</svg>\n"


def main() -> None:
    """Draws the picture."""
    with tempfile.TemporaryDirectory() as folder:
        write_clip(Path(folder) / "clip.mp4")
        screens = {command: rows(said(command, Path(folder))) for command in COMMANDS}
    PICTURE.write_text(picture(screens), encoding="utf-8")


if __name__ == "__main__":
    main()
