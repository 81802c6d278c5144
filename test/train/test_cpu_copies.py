"""Copies for processors: near the original, exact where asked, and the shipped copies agree with their originals."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hand_mesh_ros.core.models.onnx_model import SOURCE, OnnxModel, cpu_copy, default_models_dir
from models_train import onnx_file
from models_train.cpu_copies import layers
from models_train.cpu_copies.__main__ import COPIES, main
from models_train.cpu_copies.convolutions import quantised, rendered_crops
from models_train.cpu_copies.rounding import rounded_weights

RNG = np.random.default_rng(0)


def small_net() -> onnx.ModelProto:
    """image (8, 8, 3) uint8 -> y (1, 6, 8, 8): a convolution, and a residual block with a depthwise convolution."""
    shapes = {"dense": (6, 3, 3, 3), "depthwise": (6, 1, 3, 3), "last": (6, 6, 1, 1)}
    weights = {name: RNG.normal(size=shape).astype(np.float32) / 3 for name, shape in shapes.items()}
    weights |= {f"{name}_bias": RNG.normal(size=6).astype(np.float32) for name in shapes}
    weights["depthwise"][2] = 0  # a dead channel, which is its bias
    weights |= {"low": np.float32(0), "high": np.float32(6), "gain": np.float32(1 / 255), "shape": np.array([1, 8, 8, 3])}
    nodes = [
        helper.make_node("Cast", ["image"], ["levels"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["levels", "gain"], ["scaled"]),
        helper.make_node("Reshape", ["scaled", "shape"], ["batch"]),
        helper.make_node("Transpose", ["batch"], ["t0"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["t0", "dense", "dense_bias"], ["t1"], name="first", pads=[1, 1, 1, 1]),
        helper.make_node("Clip", ["t1", "low", "high"], ["t2"]),
        helper.make_node("Conv", ["t2", "depthwise", "depthwise_bias"], ["t3"], name="middle", pads=[1, 1, 1, 1], group=6),
        helper.make_node("Clip", ["t3", "low", "high"], ["t4"]),
        helper.make_node("Conv", ["t4", "last", "last_bias"], ["t5"], name="last"),
        helper.make_node("Add", ["t5", "t2"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, (8, 8, 3))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 6, 8, 8))],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def answers(model: onnx.ModelProto, images: list[np.ndarray], folder) -> np.ndarray:
    onnx.save(model, folder / "net.onnx")
    run = OnnxModel(folder / "net.onnx", {}, device="cpu", threads=1)
    return np.array([run(image=image)["y"] for image in images])


def test_eight_bits_are_near_float32(tmp_path) -> None:
    images, net = [RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8) for _ in range(20)], small_net()
    expected, found = answers(net, images, tmp_path), answers(quantised(net, images), images, tmp_path)
    assert 0 < np.sqrt(np.mean((found - expected) ** 2)) < 0.02 * expected.std()
    np.testing.assert_allclose(found.mean((0, 1, 3, 4)), expected.mean((0, 1, 3, 4)), atol=0.01 * expected.std())


def test_exact_convolutions_do_not_change(tmp_path) -> None:
    images, net = [RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8)], small_net()
    found = answers(quantised(net, images, exact={"first", "middle", "last"}), images, tmp_path)
    np.testing.assert_allclose(found, answers(net, images, tmp_path), atol=1e-5)


def test_two_products_of_dense_weights_fit_sixteen_bits() -> None:
    for shape, largest in (((4, 8, 1, 1), 63), ((8, 1, 3, 3), 127)):
        weights = RNG.normal(size=shape)
        scale, codes = rounded_weights(weights)
        assert np.abs(codes).max() == largest
        assert np.all(np.abs(codes * scale[:, None, None, None] - weights) <= 0.501 * scale[:, None, None, None])


@pytest.fixture(scope="module")
def crops() -> list[np.ndarray]:
    return rendered_crops(8, seed=1)


def test_the_shipped_copy_agrees_with_the_original(crops: list[np.ndarray]) -> None:
    path = default_models_dir() / "hand_landmark.onnx"
    original, copy = OnnxModel(path, {}, "cpu", 1), OnnxModel(cpu_copy(path), {}, "cpu", 1)
    assert copy.metadata == original.metadata | {SOURCE: hashlib.sha256(path.read_bytes()).hexdigest()}
    apart = [original(image=crop)["landmarks"] - copy(image=crop)["landmarks"] for crop in crops]
    assert np.median(np.linalg.norm(np.array(apart)[..., :2], axis=-1)) < 1.0


def ask(path: Path, n_rows: int = 4) -> dict[str, np.ndarray]:
    """Inputs for a model of the cascade, of usual sizes."""
    sizes, rng = {"joints_m": 0.03, "time": 0.0}, np.random.default_rng(0)
    model, inputs = OnnxModel(path, {}, "cpu", 1), {}
    for name in model.input_names:
        shape = [n_rows if isinstance(n, str) else n for n in model.input_shape(name)]
        inputs[name] = (sizes.get(name, 1.0) * rng.normal(size=shape) + 500 * (name == "time")).astype(np.float32)
    return inputs


@pytest.mark.parametrize(("name", "tolerance"), [("joint_denoiser", 0.03), ("mesh_denoiser", 0.03), ("mesh_decoder", 1e-6)])
def test_shipped_copies_of_the_cascade_agree_with_their_originals(name: str, tolerance: float) -> None:
    path = default_models_dir() / f"{name}.onnx"
    original, copy = OnnxModel(path, {}, "cpu", 1), OnnxModel(cpu_copy(path), {}, "cpu", 1)
    assert copy.metadata == original.metadata | {SOURCE: hashlib.sha256(path.read_bytes()).hexdigest()}
    inputs = ask(path)
    (expected,), (found,) = original(**inputs).values(), copy(**inputs).values()
    assert np.sqrt(np.mean((found - expected) ** 2)) < tolerance * np.sqrt(np.mean(expected**2))
    assert cpu_copy(path).stat().st_size < 0.6 * path.stat().st_size


def test_a_command_makes_a_copy_of_any_exported_file(tmp_path: Path) -> None:
    path = tmp_path / "mesh_decoder.onnx"
    shutil.copy(default_models_dir() / path.name, path)
    (tmp_path / "MANIFEST").write_text(json.dumps({path.name: {"licence": "mine"}}))
    main([path.name, "--models", str(tmp_path)])
    assert OnnxModel.fastest(path, {}, "cpu", 1).path == cpu_copy(path)
    assert json.loads((tmp_path / "MANIFEST").read_text())[cpu_copy(path).name]["licence"] == "mine"
    with pytest.raises(SystemExit):
        main(["palm_detection.onnx", "--models", str(tmp_path)])


def test_every_copy_is_shipped() -> None:
    assert {path.name for path in default_models_dir().glob("*_cpu.onnx")} == {cpu_copy(Path(name)).name for name in COPIES}


def test_small_layers_stay_exact() -> None:
    weights = RNG.normal(size=(300, 400)).astype(np.float32)
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, (None, n)) for name, n in (("x", 300), ("y", 5)))
    last = numpy_helper.from_array(RNG.normal(size=(400, 5)).astype(np.float32), "last")
    nodes = [helper.make_node("MatMul", ["x", "w"], ["hidden"]), helper.make_node("MatMul", ["hidden", "last"], ["y"])]
    graph = helper.make_graph(nodes, "net", [x], [y], [numpy_helper.from_array(weights, "w"), last])
    copy = layers.with_8bit_weights(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8))
    assert [node.op_type for node in copy.graph.node].count("MatMulInteger") == 1
    assert [node.op_type for node in copy.graph.node][-1] == "MatMul"


def test_half_precision_weights_are_restored() -> None:
    net = small_net()
    stored = onnx_file.restore_fp32(onnx_file.store_fp16(net))
    assert {tensor.data_type for tensor in stored.graph.initializer} <= {TensorProto.FLOAT, TensorProto.INT64}
    assert [node.op_type for node in stored.graph.node] == [node.op_type for node in net.graph.node]
