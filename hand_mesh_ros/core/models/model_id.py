"""Digests of model files. A digest identifies the models of an estimate or of a calibration."""

import hashlib
from pathlib import Path

# The file names of the graph diffusion start with this prefix.
_GRAPH_PREFIX = "graph_"


def cascade_id(models_dir: Path) -> str:
    """Short sha256 of the models of the cascade: hand model, detector, joint stage, mesh stage."""
    return model_id(models_dir, with_graph=False)


def model_id(models_dir: Path, with_graph: bool) -> str:
    """Short sha256 of the models of the cascade. With `with_graph` also of the models of the graph diffusion."""
    content = hashlib.sha256()
    for path in sorted(models_dir.iterdir()):
        is_used = with_graph or not path.name.startswith(_GRAPH_PREFIX)
        if path.suffix in (".onnx", ".npz") and is_used:
            content.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return content.hexdigest()[:12]
