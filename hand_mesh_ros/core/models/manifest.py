"""The list of the model files of a folder: what each is, where it comes from, and whether it is whole."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from hand_mesh_ros.core.models.onnx_model import ModelError

FILE_NAME = "MANIFEST"


@dataclass(frozen=True)
class ModelFile:
    """One entry of a MANIFEST."""

    path: Path
    sha256: str  # of the file as it should be
    licence: str
    command: str  # that made the file
    origin: str  # project or data that the file comes from; empty if `command` says all

    @property
    def size_bytes(self) -> int:
        """Size of the file; 0 if it is missing."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def fault(self) -> str:
        """What is wrong with the file and what to do; empty if it is whole."""
        if not self.path.is_file():
            return f"{self.path} is missing: restore it from the package"
        found = hashlib.sha256(self.path.read_bytes()).hexdigest()
        if found != self.sha256:
            return f"{self.path} has sha256 {found}, {FILE_NAME} says {self.sha256}: restore it from the package"
        return ""


def read(folder: Path) -> list[ModelFile]:
    """The files that the MANIFEST of a folder lists.

    Raises:
        ModelError: if there is no MANIFEST, or it cannot be read.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise ModelError(f"{path} is missing; restore it from the package or set models_dir")
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return [_entry(folder / name, entry) for name, entry in entries.items()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} cannot be read: {error!r}; restore it from the package") from error


def _entry(path: Path, entry: dict) -> ModelFile:
    origin = entry.get("origin") or entry.get("data", "")
    while isinstance(origin, dict):  # exported models list their data first
        origin = next(iter(origin.values()), "")
    return ModelFile(path, entry["sha256"], entry["licence"], entry["command"], origin)
