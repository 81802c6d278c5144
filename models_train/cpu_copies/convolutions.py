"""8-bit convolutions for the landmark model.

The ranges of the maps come from rendered hands (`models_train.data.scenes`). The first convolutions and the last block stay in
float32: rounding there costs the most accuracy. The weights have one scale per output channel. An error of the rounded weights
times the mean of their input is constant, so the bias corrects it (Nagel et al. 2019, "Data-free quantization through weight
equalization and bias correction", section 4.2).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from hand_mesh_ros.core.detect import crop
from hand_mesh_ros.core.geometry import camera
from models_train import onnx_file
from models_train.cpu_copies.rounding import rounded_weights
from models_train.data.detected import previous_keypoints
from models_train.data.scenes import SceneMaker

# Convolutions in float32: the first ones and the last ones in the order of the graph.
_FIRST, _LAST = 5, 2
_N_IMAGES, _SEED = 200, 4242
# A bias has 32 bits. Its unit depends on the weights, which can be almost zero.
_LARGEST_BIAS = 2.0**30


def of_landmark_model(model: onnx.ModelProto) -> onnx.ModelProto:
    """Returns a copy of the landmark model with 8-bit convolutions."""
    names = [node.name for node in model.graph.node if node.op_type == "Conv"]
    return quantised(model, rendered_crops(_N_IMAGES, _SEED), exact={*names[:_FIRST], *names[-_LAST:]})


def rendered_crops(count: int, seed: int) -> list[np.ndarray]:
    """Returns crops (224, 224, 3) uint8 of rendered hands, as they are cut while a hand is followed."""
    rng = np.random.default_rng(seed)
    scenes = [scene for natural in (False, True) for scene in SceneMaker(rng, natural=natural).scenes(count // 2)]
    crops = []
    for scene in scenes:
        keypoints = camera.project(scene.joints_m, scene.camera_matrix)
        crops.append(crop.cut(scene.rgb, crop.around_keypoints(previous_keypoints(rng, keypoints))))
    return crops


@dataclass(frozen=True)
class Range:
    """Values of one map over all images."""

    low: float
    high: float
    mean: np.ndarray  # (C,) of each channel

    @property
    def step(self) -> np.float32:
        """Difference of successive 8-bit values."""
        return np.float32(max(self.high - self.low, 1e-6) / 255)

    @property
    def zero(self) -> np.uint8:
        """The 8-bit value of 0."""
        return np.uint8(np.clip(round(-self.low / float(self.step)), 0, 255))


def observe(model: onnx.ModelProto, tensors: Collection[str], images: Sequence[np.ndarray]) -> dict[str, Range]:
    """Returns the ranges of maps (1, C, H, W). A range always includes 0."""
    names, open_model = list(tensors), onnx.ModelProto()
    open_model.CopyFrom(model)
    open_model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    session = onnxruntime.InferenceSession(open_model.SerializeToString(), providers=["CPUExecutionProvider"])
    low, high, mean = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0), dict.fromkeys(names, np.zeros(1))
    for image in images:
        for name, values in zip(names, session.run(names, {"image": image})):
            low[name], high[name] = min(low[name], float(values.min())), max(high[name], float(values.max()))
            mean[name] = mean[name] + values.mean((0, 2, 3)) / len(images)
    return {name: Range(low[name], high[name], mean[name]) for name in names}


def quantised(model: onnx.ModelProto, images: Sequence[np.ndarray], exact: Collection[str] = ()) -> onnx.ModelProto:
    """Returns a copy of a model with 8-bit convolutions and additions.

    Args:
        model: a net of convolutions with bias, with the input `image`; float16 weights are possible.
        images: inputs for the ranges of the maps.
        exact: names of convolutions to leave in float32.
    """
    full = onnx_file.restore_fp32(model)
    nodes = full.graph.node
    rounded = [node for node in nodes if node.op_type == "Conv" and node.name not in exact]
    maps = {name for node in rounded for name in (node.input[0], node.output[0])}
    # A rectifier ends at the limits of the 8-bit range of its output. So the rectifier itself is not needed.
    rectifiers = {node.input[0]: node for node in nodes if node.op_type == "Clip" and node.input[0] in maps}
    maps |= {node.output[0] for node in rectifiers.values()} | {node.output[0] for node in nodes if node.op_type == "Add"}
    writer = _Writer(full.graph, observe(full, maps, images), rectifiers)
    for node in nodes:
        if node.op_type == "Conv" and node.name not in exact:
            writer.convolve(node)
        elif node.op_type == "Add" and any(name in writer.renamed for name in node.input):
            writer.copy(node)
            writer.round(node.output[0])
        elif not any(node is rectifier for rectifier in rectifiers.values()):
            writer.copy(node)
    return onnx_file.with_other_nodes(model, full, writer.nodes, writer.weights)


@dataclass
class _Writer:
    """Writes the nodes of the 8-bit graph. ONNX Runtime fuses each pair of rounding nodes with its neighbours."""

    graph: onnx.GraphProto
    ranges: dict[str, Range]
    rectifiers: dict[str, onnx.NodeProto]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)
    renamed: dict[str, str] = field(default_factory=dict)  # map in the original graph -> rounded map

    def __post_init__(self) -> None:
        self._stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in self.graph.initializer}

    def copy(self, node: onnx.NodeProto) -> None:
        """Copies a node, which then reads the rounded maps."""
        copied = onnx.NodeProto()
        copied.CopyFrom(node)
        copied.input[:] = [self.renamed.get(name, name) for name in node.input]
        self.nodes.append(copied)

    def round(self, name: str, source: str = "") -> None:
        """Rounds a map to 8 bits. `source` is the map before its rectifier, if it has one."""
        if name in self.renamed:
            return
        scale = self._constants(name, self.ranges[name].step, self.ranges[name].zero)
        self.nodes += [
            helper.make_node("QuantizeLinear", [source or name, *scale], [f"{name}.8bit"]),
            helper.make_node("DequantizeLinear", [f"{name}.8bit", *scale], [f"{name}.rounded"]),
        ]
        self.renamed[name] = f"{name}.rounded"

    def convolve(self, node: onnx.NodeProto) -> None:
        """Writes an 8-bit convolution with its rectifier."""
        source, weight_name, bias_name = node.input
        self.round(source)
        weights, bias, given = self._stored[weight_name], self._stored[bias_name], self.ranges[source]
        scale, codes = rounded_weights(weights)
        lost = (weights - codes * scale[:, None, None, None]).sum((2, 3))
        bias = bias + (lost @ given.mean if weights.shape[1] > 1 else lost[:, 0] * given.mean)
        unit = scale * given.step
        too_small = np.abs(bias) > _LARGEST_BIAS * unit
        # A channel with such small weights is its bias.
        unit[too_small], codes[too_small] = np.abs(bias[too_small]) / _LARGEST_BIAS, 0
        scale[too_small] = unit[too_small] / given.step
        scales = self._constants(weight_name, scale, np.zeros(len(scale), np.int8), codes.astype(np.int8))
        units = self._constants(bias_name, unit, np.zeros(len(unit), np.int32), np.round(bias / unit).astype(np.int32))
        for name, inputs in ((weight_name, scales), (bias_name, units)):
            self.nodes.append(helper.make_node("DequantizeLinear", inputs, [f"{name}.rounded"], axis=0))
        self.copy(node)
        self.nodes[-1].input[1:] = [f"{weight_name}.rounded", f"{bias_name}.rounded"]
        rectifier = self.rectifiers.get(node.output[0])
        self.round(rectifier.output[0] if rectifier else node.output[0], node.output[0])

    def _constants(self, name: str, scale: np.ndarray, zero: np.ndarray, codes: np.ndarray | None = None) -> list[str]:
        """Stores the constants of a rounding node, and returns their names in the order of its inputs."""
        stored = {"codes": codes} if codes is not None else {}
        stored |= {"scale": np.asarray(scale, np.float32), "zero": np.asarray(zero)}
        self.weights += [numpy_helper.from_array(values, f"{name}.{part}") for part, values in stored.items()]
        return [f"{name}.{part}" for part in stored]
