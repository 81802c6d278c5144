"""Which models made an estimate, and what a calibration is for."""

import hashlib
from pathlib import Path

# Files of the graph diffusion, which is no part of the cascade, have names that begin so.
_NO_PART = "graph_"


def model_id(models_dir: Path) -> str:
    """Short sha256 over the model files of the cascade."""
    content = hashlib.sha256()
    for path in sorted(models_dir.iterdir()):
        if path.suffix in (".onnx", ".npz") and not path.name.startswith(_NO_PART):
            content.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return content.hexdigest()[:12]
