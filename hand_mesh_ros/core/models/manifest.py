"""Reads the MANIFEST of a folder of model files: checksum, licence and origin of each file."""

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
    sha256: str  # expected checksum of the file
    licence: str
    command: str  # command that made the file
    origin: str  # project or data of the file; empty if there is only `command`

    @property
    def size_bytes(self) -> int:
        """Size of the file; 0 if the file is missing."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def fault(self) -> str:
        """Returns the fault of the file and what to do. The text is empty if the file is correct."""
        if not self.path.is_file():
            return f"{self.path} is missing: restore it from the package"
        found = hashlib.sha256(self.path.read_bytes()).hexdigest()
        if found != self.sha256:
            return f"{self.path} has sha256 {found}, but {FILE_NAME} has {self.sha256}: restore it from the package"
        return ""


def read(folder: Path) -> list[ModelFile]:
    """Returns the files in the MANIFEST of a folder.

    Raises:
        ModelError: if the MANIFEST is missing or cannot be read.
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
    while isinstance(origin, dict):  # the first entry names the data
        origin = next(iter(origin.values()), "")
    return ModelFile(path, entry["sha256"], entry["licence"], entry["command"], origin)
