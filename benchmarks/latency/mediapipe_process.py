"""MediaPipe Hands in a separate process, with an environment of its own, because it needs numpy < 2."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

VERSION = "0.10.21"
# MediaPipe has wheels for these versions of Python.
_PYTHONS = ("python3.12", "python3.11", "python3.10", "python3.9")
_FOLDER = Path(sys.prefix) / "mediapipe_env"


def own_environment(folder: Path = _FOLDER) -> Path:
    """Returns the Python of an environment with MediaPipe. The first call makes the environment, which takes a minute.

    Raises:
        RuntimeError: if no suitable Python is installed, or the installation fails. The message contains the output of pip.
    """
    python, is_complete = folder / "bin" / "python", folder / "complete"
    if is_complete.exists():
        return python
    version = f"python3.{sys.version_info.minor}"
    base = sys.executable if version in _PYTHONS else next(filter(None, map(shutil.which, _PYTHONS)), None)
    if base is None:
        raise RuntimeError(f"MediaPipe {VERSION} needs one of {', '.join(_PYTHONS)}; install one of these, or use --no-mediapipe")
    _run(base, "-m", "venv", "--clear", folder)
    _run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"mediapipe=={VERSION}")
    is_complete.touch()
    return python


def _run(*command: object) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))} failed: {done.stderr.strip()[-500:]}")


class MediaPipe:
    """MediaPipe Hands in a separate process."""

    def __init__(self, python: Path, width: int, height: int, max_hands: int) -> None:
        """Starts the process for images of one size."""
        script = Path(__file__).with_name("mediapipe_frames.py")
        command = [str(item) for item in (python, script, width, height, max_hands)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def __call__(self, rgb: np.ndarray) -> tuple[float, float, int]:
        """Returns wall time and processor time of one frame in milliseconds, and the number of hands.

        Raises:
            RuntimeError: if the process has ended.
        """
        try:
            self._process.stdin.write(rgb.tobytes())
            self._process.stdin.flush()
            wall_ms, cpu_ms, n_hands = self._process.stdout.readline().split()
        except (BrokenPipeError, ValueError) as error:
            raise RuntimeError(f"MediaPipe ended with code {self._process.wait()}; run it alone: {self._process.args}") from error
        return float(wall_ms), float(cpu_ms), int(n_hands)

    def close(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait()
