"""Common parts of all exported model files: half-precision storage, metadata, and an entry in the MANIFEST."""

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hand_mesh_ros.core.models.onnx_model import METADATA_PREFIX

# Smaller initializers are biases, gains and axes. Half precision would save almost no space there and reduce the precision.
_MIN_STORED_ELEMENTS = 1024
_HALF_MAX = float(np.finfo(np.float16).max)


def store_fp16(model: onnx.ModelProto, exact: Collection[str] = ()) -> onnx.ModelProto:
    """Returns a copy of `model` with large weights in float16. The graph casts these weights to float32 before use.

    The file has half the size and the same float32 arithmetic, because ONNX Runtime removes the casts at load time. The weights
    are rounded to 11 significant bits.

    Args:
        model: the model from the exporter.
        exact: names of weights to leave in float32.

    Raises:
        ValueError: if a weight does not fit float16.
    """
    stored = onnx.ModelProto()
    stored.CopyFrom(model)
    casts = []
    for tensor in stored.graph.initializer:
        small = int(np.prod(tensor.dims)) < _MIN_STORED_ELEMENTS
        if tensor.data_type != TensorProto.FLOAT or small or tensor.name in exact:
            continue
        weights = numpy_helper.to_array(tensor)
        if not np.all(np.abs(weights) <= _HALF_MAX):
            raise ValueError(f"weight {tensor.name} reaches {np.abs(weights).max()}; the largest float16 is {_HALF_MAX}")
        name, half = tensor.name, f"{tensor.name}.half"
        tensor.CopyFrom(numpy_helper.from_array(weights.astype(np.float16), half))
        casts.append(helper.make_node("Cast", [half], [name], name=f"{name}.cast", to=TensorProto.FLOAT))
    nodes = [*casts, *stored.graph.node]
    del stored.graph.node[:]
    stored.graph.node.extend(nodes)
    return stored


def restore_fp32(model: onnx.ModelProto) -> onnx.ModelProto:
    """Returns a copy of `model` with all weights in float32: the inverse of `store_fp16`, except for the rounding."""
    full = onnx.ModelProto()
    full.CopyFrom(model)
    weights = {tensor.name: tensor for tensor in full.graph.initializer}
    nodes = []
    for node in full.graph.node:
        if node.op_type != "Cast" or node.input[0] not in weights:
            nodes.append(node)
            continue
        half = weights[node.input[0]]
        half.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(half).astype(np.float32), node.output[0]))
    del full.graph.node[:]
    full.graph.node.extend(nodes)
    return full


def with_other_nodes(
    original: onnx.ModelProto, full: onnx.ModelProto, nodes: list[onnx.NodeProto], constants: list[onnx.TensorProto]
) -> onnx.ModelProto:
    """Returns the original with other nodes and more constants. Weights with half precision keep it, all others stay exact.

    Args:
        original: the file.
        full: the file with float32 weights.
        nodes: the new nodes.
        constants: constants that only the new nodes use.
    """
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in (*full.graph.initializer, *constants) if tensor.name in used]
    del full.graph.node[:], full.graph.initializer[:], full.graph.value_info[:]
    full.graph.node.extend(nodes)
    full.graph.initializer.extend(kept)
    exact = {tensor.name for tensor in (*original.graph.initializer, *constants) if tensor.data_type != TensorProto.FLOAT16}
    return store_fp16(full, exact)


def add_metadata(model: onnx.ModelProto, facts: dict[str, str]) -> None:
    """Writes metadata into the model with the prefix of `OnnxModel`. New values replace old values of the same name."""
    properties = {item.key: item.value for item in model.metadata_props}
    properties.update({f"{METADATA_PREFIX}{key}": str(value) for key, value in facts.items()})
    helper.set_model_props(model, dict(sorted(properties.items())))


def strip_traces(model: onnx.ModelProto) -> None:
    """Removes the exporter's notes at every node: source lines with local paths."""
    for item in (model.graph, *model.graph.node, *model.graph.input, *model.graph.output, *model.graph.value_info):
        item.doc_string = ""
        del item.metadata_props[:]
    for tensor in model.graph.initializer:
        tensor.doc_string = ""
        del tensor.metadata_props[:]


def save(model: onnx.ModelProto, path: Path, entry: dict[str, str]) -> None:
    """Strips, checks and writes a model, and records the model in the MANIFEST of its folder.

    Args:
        model: the final model.
        path: the .onnx file. The function makes a MANIFEST in its folder if there is none.
        entry: MANIFEST entry without the sha256: licence, origin, command.
    """
    strip_traces(model)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))
    record(path, entry)


def record(path: Path, entry: dict[str, str]) -> None:
    """Writes sha256 and `entry` of one model file into the JSON file MANIFEST in the same folder. Replaces an older entry."""
    manifest = path.with_name("MANIFEST")
    _write(manifest, _entries(manifest) | {path.name: {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), **entry}})


def remove(path: Path) -> None:
    """Removes a model file and its entry in the MANIFEST, if they exist."""
    path.unlink(missing_ok=True)
    manifest = path.with_name("MANIFEST")
    entries = _entries(manifest)
    if entries.pop(path.name, None) is not None:
        _write(manifest, entries)


def _entries(manifest: Path) -> dict[str, Any]:
    return json.loads(manifest.read_text()) if manifest.is_file() else {}


def _write(manifest: Path, entries: dict[str, Any]) -> None:
    manifest.write_text(json.dumps(dict(sorted(entries.items())), indent=2) + "\n")
