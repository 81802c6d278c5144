"""The wrapper runs a model that is what it should be, and says what is wrong with any other."""

import hashlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from hand_mesh_ros.core.models import onnx_model
from hand_mesh_ros.core.models.onnx_model import METADATA_PREFIX, ModelError, OnnxModel, default_models_dir


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    """y = 2 x + shift, of kind "doubler"."""
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in ("x", "shift")]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"])
    nodes = [helper.make_node("Add", ["x", "x"], ["double"]), helper.make_node("Add", ["double", "shift"], ["y"])]
    model = helper.make_model(helper.make_graph(nodes, "doubler", inputs, [output]), opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    helper.set_model_props(model, {METADATA_PREFIX + "kind": "doubler", METADATA_PREFIX + "steps": "4", "foreign": "1"})
    path = tmp_path / "doubler.onnx"
    onnx.save(model, path)
    return path


def test_inputs_and_outputs_go_by_name(model_file):
    model = OnnxModel(model_file, {"kind": "doubler"}, device="cpu", threads=1)
    answers = model(shift=np.float32([1, 1]), x=np.float32([3, 4]))
    np.testing.assert_array_equal(answers["y"], [7, 9])
    assert model.input_names == ["x", "shift"]
    assert model.metadata == {"kind": "doubler", "steps": "4"}
    assert model.provider == "CPUExecutionProvider"


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"nowhere\.onnx is missing"):
        OnnxModel(tmp_path / "nowhere.onnx", {})


def test_a_damaged_file_is_named_with_its_size(tmp_path):
    path = tmp_path / "cut.onnx"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1")
    with pytest.raises(ModelError, match=r"cut\.onnx cannot be loaded \(42 bytes\)"):
        OnnxModel(path, {}, device="cpu")


@pytest.mark.parametrize(("expected", "found"), [({"kind": "tripler"}, "doubler"), ({"topology": "abc"}, "None")])
def test_a_stranger_is_refused(model_file, expected, found):
    with pytest.raises(ModelError, match=rf"has {next(iter(expected))} '{found}', expected '{next(iter(expected.values()))}'"):
        OnnxModel(model_file, expected, device="cpu")


def copied(model_file: Path, source: str) -> Path:
    """Writes a copy that was made from a file with the sha256 `source`."""
    copy = onnx.load(model_file)
    helper.set_model_props(copy, {METADATA_PREFIX + "kind": "doubler", METADATA_PREFIX + onnx_model.SOURCE: source})
    path = onnx_model.cpu_copy(model_file)
    onnx.save(copy, path)
    return path


def test_the_processor_runs_the_copy_with_reduced_precision(model_file, monkeypatch):
    assert OnnxModel.fastest(model_file, {"kind": "doubler"}, "cpu").path == model_file
    copy = copied(model_file, hashlib.sha256(model_file.read_bytes()).hexdigest())
    assert OnnxModel.fastest(model_file, {"kind": "doubler"}, "cpu").path == copy
    # Only the choice of the file is tested: ONNX Runtime then runs on the processor.
    monkeypatch.setattr(onnx_model, "_providers", lambda device: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    monkeypatch.setattr(onnx_model.OnnxModel, "__init__", lambda model, path, *_: setattr(model, "path", path))
    assert OnnxModel.fastest(model_file, {"kind": "doubler"}, "auto").path == model_file


def test_a_copy_of_another_model_is_refused(model_file):
    copied(model_file, "0" * 64)
    with pytest.raises(ModelError, match=r"doubler_cpu\.onnx was not made from the present doubler\.onnx"):
        OnnxModel.fastest(model_file, {"kind": "doubler"}, "cpu")
    model_file.write_bytes(model_file.read_bytes()[:50])
    with pytest.raises(ModelError, match=r"doubler\.onnx cannot be loaded \(50 bytes\)"):
        OnnxModel.fastest(model_file, {"kind": "doubler"}, "cpu")


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="CUDA is there")
@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_gpu_that_is_a_processor_is_noticed(model_file, monkeypatch):
    # ONNX Runtime claims CUDA, as its GPU build does without a driver, and runs the model on the processor.
    monkeypatch.setattr(
        onnx_model.onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    with pytest.raises(ModelError, match=r"device 'cuda' needs .* but the model runs on CPUExecutionProvider"):
        OnnxModel(model_file, {}, device="cuda")
    model = OnnxModel(model_file, {}, device="auto")
    assert onnx_model.has_lost_gpu("auto", model.provider)
    assert not onnx_model.has_lost_gpu("cpu", model.provider)
    monkeypatch.undo()
    assert not onnx_model.has_lost_gpu("auto", model.provider)


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="CUDA is there")
def test_a_device_that_is_not_there_is_an_error_and_auto_takes_the_processor(model_file):
    with pytest.raises(ModelError, match="'cuda' needs ONNX Runtime's CUDAExecutionProvider"):
        OnnxModel(model_file, {}, device="cuda")
    assert OnnxModel(model_file, {}, device="auto").provider == "CPUExecutionProvider"


def test_the_named_models_folder_needs_a_manifest(tmp_path, monkeypatch):
    monkeypatch.setenv("HAND_MESH_ROS_MODELS", str(tmp_path))
    with pytest.raises(ModelError, match="no model folder with a MANIFEST"):
        default_models_dir()
    (tmp_path / "MANIFEST").write_text("{}")
    assert default_models_dir() == tmp_path


def test_the_shipped_models_are_found_without_being_named(monkeypatch):
    monkeypatch.delenv("HAND_MESH_ROS_MODELS", raising=False)
    assert (default_models_dir() / "palm_detection.onnx").is_file()
