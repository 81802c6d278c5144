"""Stored models: half the size, the same answers, their facts inside and their digest in the MANIFEST."""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hand_mesh_ros.core.models.onnx_model import ModelError, OnnxModel
from models_train import onnx_file


def linear_model(weights: np.ndarray) -> onnx.ModelProto:
    """y = x @ weights."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, weights.shape[0]))
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, weights.shape[1]))
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    graph = helper.make_graph(nodes, "linear", [x], [y], [numpy_helper.from_array(weights, "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture
def weights() -> np.ndarray:
    return np.random.default_rng(2).normal(size=(64, 48)).astype(np.float16).astype(np.float32)


def test_half_precision_storage_halves_the_file_and_keeps_what_float16_holds(tmp_path: Path, weights: np.ndarray) -> None:
    plain, stored = linear_model(weights), onnx_file.store_fp16(linear_model(weights))
    onnx_file.add_metadata(stored, {"kind": "linear", "steps": 4})
    onnx_file.save(stored, tmp_path / "linear.onnx", {"licence": "Apache-2.0"})
    assert (tmp_path / "linear.onnx").stat().st_size < 0.6 * len(plain.SerializeToString())
    x = np.random.default_rng(3).normal(size=(1, 64)).astype(np.float32)
    model = OnnxModel(tmp_path / "linear.onnx", {"kind": "linear", "steps": "4"}, device="cpu")
    np.testing.assert_allclose(model(x=x)["y"], x @ weights, rtol=1e-5, atol=1e-5)
    with pytest.raises(ModelError, match="'linear', expected 'cubic'"):
        OnnxModel(tmp_path / "linear.onnx", {"kind": "cubic"}, device="cpu")


def test_the_manifest_keeps_other_files_and_knows_the_digest(tmp_path: Path, weights: np.ndarray) -> None:
    for name in ("b", "a", "b"):
        onnx_file.save(linear_model(weights), tmp_path / f"{name}.onnx", {"licence": name})
    entries = json.loads((tmp_path / "MANIFEST").read_text())
    assert list(entries) == ["a.onnx", "b.onnx"]
    assert entries["a.onnx"] == {
        "sha256": hashlib.sha256((tmp_path / "a.onnx").read_bytes()).hexdigest(),
        "licence": "a",
    }


def test_a_weight_beyond_float16_is_refused_by_name(weights: np.ndarray) -> None:
    weights[3, 5] = 1e6
    with pytest.raises(ValueError, match="weight w reaches 1000000"):
        onnx_file.store_fp16(linear_model(weights))


def test_a_removed_file_leaves_the_manifest(tmp_path: Path, weights: np.ndarray) -> None:
    for name in ("a", "b"):
        onnx_file.save(linear_model(weights), tmp_path / f"{name}.onnx", {"licence": name})
    for _ in range(2):
        onnx_file.remove(tmp_path / "a.onnx")
        assert list(json.loads((tmp_path / "MANIFEST").read_text())) == ["b.onnx"]
        assert [path.name for path in tmp_path.glob("*.onnx")] == ["b.onnx"]
