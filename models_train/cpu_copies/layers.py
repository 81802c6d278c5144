"""Dense layers with 8-bit weights, and matrices with few entries as sums.

For a small batch, a processor takes longer to read the weights than to multiply them. With 8 bits it reads a quarter. Each column
of weights has one scale. ONNX Runtime rounds the input of a layer to 8 bits, with a new range in every call. So the copy needs no
examples of inputs.
"""

from collections import Counter

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models_train import onnx_file
from models_train.cpu_copies.rounding import rounded_weights

# Smaller layers stay in float32: they read little, and the first and the last layer of a denoiser need more precision.
_LEAST_WEIGHTS = 100_000
# A matrix with a smaller share of entries becomes a sum.
_SPARSE = 0.03


def with_8bit_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Returns a copy whose large layers multiply 8-bit numbers. The other weights are stored as float16."""
    full = onnx_file.restore_fp32(model)
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in full.graph.initializer}
    nodes, constants, rounded = [], [], set()
    for node in full.graph.node:
        given = weights.get(node.input[1]) if node.op_type in ("Gemm", "MatMul") else None
        if given is None or given.ndim != 2 or given.size < _LEAST_WEIGHTS:
            nodes.append(node)
            continue
        if (source := node.input[0]) not in rounded:
            nodes.append(
                helper.make_node("DynamicQuantizeLinear", [source], [f"{source}.{part}" for part in ("codes", "scale", "zero")])
            )
            rounded.add(source)
        is_transposed = any(item.name == "transB" and item.i for item in node.attribute)
        more, stored = _product(node, given if is_transposed else given.T)
        nodes += more
        constants += stored
    return onnx_file.with_other_nodes(model, full, nodes, constants)


def _product(node: onnx.NodeProto, weights: np.ndarray) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Returns the nodes and constants of a layer with weights (N, C), whose input is rounded already."""
    source, name = node.input[0], node.output[0]
    scale, codes = rounded_weights(weights)
    constants = {
        "codes": np.ascontiguousarray(codes.T).astype(np.int8),
        "zeros": np.zeros(len(scale), np.int8),
        "scale": scale.astype(np.float32),
    }
    codes, zeros, unit = (f"{name}.weight_{part}" for part in constants)
    bias = list(node.input[2:])
    product = f"{name}.product" if bias else name
    nodes = [
        helper.make_node("MatMulInteger", [f"{source}.codes", codes, f"{source}.zero", zeros], [f"{name}.integer"]),
        helper.make_node("Cast", [f"{name}.integer"], [f"{name}.float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{source}.scale", unit], [f"{name}.unit"]),
        helper.make_node("Mul", [f"{name}.float", f"{name}.unit"], [product]),
    ]
    if bias:
        nodes.append(helper.make_node("Add", [product, *bias], [name]))
    return nodes, [numpy_helper.from_array(values, f"{name}.weight_{part}") for part, values in constants.items()]


def with_sparse_matrices(model: onnx.ModelProto) -> onnx.ModelProto:
    """Returns a copy that multiplies matrices with few entries (W, V) by signals (V, C) as sums over the entries of a row."""
    full = onnx_file.restore_fp32(model)
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in full.graph.initializer}
    shapes = _shapes(full)
    nodes, constants = [], [numpy_helper.from_array(np.array([0], np.int64), "entries")]
    reshapes = {node.output[0]: node for node in full.graph.node if node.op_type == "Reshape"}
    readers = Counter(name for node in full.graph.node for name in node.input)
    done = set()
    for node in full.graph.node:
        if node.output[0] in done:
            continue
        matrix = weights.get(node.input[0]) if node.op_type == "MatMul" else None
        if matrix is None or np.mean(matrix != 0) >= _SPARSE:
            nodes.append(node)
            continue
        # The product of a reshaped signal (V, B, C) is reshaped to (W, B, C). A sum needs neither.
        back = next((item for item in reshapes.values() if item.input[0] == node.output[0]), None)
        is_flat = back is None or node.input[1] not in reshapes or readers[node.output[0]] > 1
        source, name = (node.input[1], node.output[0]) if is_flat else (reshapes[node.input[1]].input[0], back.output[0])
        done.add(name)
        n_entries = np.count_nonzero(matrix, axis=1).max()
        columns = np.argsort(matrix == 0, axis=1, kind="stable")[:, :n_entries]
        # (entries of a row, W, 1, ..). Rows with fewer entries have zeros.
        factors = np.take_along_axis(matrix, columns, axis=1).T
        factors = factors.reshape(*factors.shape, *[1] * (len(shapes[name]) - 1))
        # ONNX Runtime multiplies arrays of equal shape much faster than it repeats a factor for a few channels. So it repeats
        # the factors once, when it loads the file.
        repeated = np.array([*factors.shape[:-1], shapes[name][-1]], np.int64)
        for part, values in (("columns", columns.T.astype(np.int32)), ("factors", factors), ("shape", repeated)):
            constants.append(numpy_helper.from_array(np.ascontiguousarray(values), f"{name}.{part}"))
        nodes += [
            helper.make_node("Expand", [f"{name}.factors", f"{name}.shape"], [f"{name}.weights"]),
            helper.make_node("Gather", [source, f"{name}.columns"], [f"{name}.neighbours"], axis=0),
            helper.make_node("Mul", [f"{name}.neighbours", f"{name}.weights"], [f"{name}.terms"]),
            helper.make_node("ReduceSum", [f"{name}.terms", "entries"], [name], keepdims=0),
        ]
    # Reshapes of signals that no node reads any more.
    used = {name for node in nodes for name in node.input} | {item.name for item in full.graph.output}
    return onnx_file.with_other_nodes(model, full, [node for node in nodes if used & set(node.output)], constants)


def _shapes(model: onnx.ModelProto) -> dict[str, list[int]]:
    """Returns the shape of each intermediate result, with 0 for a free dimension."""
    values = onnx.shape_inference.infer_shapes(model).graph.value_info
    return {value.name: [size.dim_value for size in value.type.tensor_type.shape.dim] for value in values}
