"""Makes models/palm_detection.onnx and models/hand_landmark.onnx from the TensorFlow Lite models of MediaPipe Hands.

Run one command from the root of the repository, in the environment of the package (with numpy, onnx and onnxruntime):

    python -m models_train.detector.convert

The command downloads `mediapipe==0.10.21` (Apache-2.0). This wheel contains the two models. The command runs no code of the
wheel. It also makes a scratch environment with `tensorflow-cpu==2.21.0` and `tf2onnx==1.17.0` (about 2 GB; `--scratch` sets the
folder and keeps it). The result is identical to the byte every time. models/MANIFEST has its sha256.

In addition to the conversion, the command makes these changes to each graph:
- The input `image` is uint8, so the caller does not normalise the image.
- The outputs have plain names and no batch axes.
- The landmark model has the output `features`, (192, 7, 7): the last map of the bottleneck width before global pooling. The next
  map has 1152 channels; it is a function of this map and six times as large. Each of the 7x7 cells covers 32 px of the crop.
- The landmark model has the output `pooled_features`, (1152,): the mean of the last map over the crop. The landmarks are linear
  functions of these numbers.
- Pairs of depthwise 1x1 convolutions replace the parametric rectifiers of the palm model. This halves the model's time on a CPU.
- The weights are stored as float16. The original files also use float16, so the precision stays the same.
"""

import argparse
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hand_mesh_ros.core.topology import joint_order_digest
from models_train import onnx_file

MODELS = Path(__file__).resolve().parents[2] / "models"
WHEEL = "mediapipe==0.10.21"
CONVERTER = ("tensorflow-cpu==2.21.0", "tf2onnx==1.17.0")
OPSET = 13
COMMAND = "python -m models_train.detector.convert"


def main() -> None:
    """Command line: see the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scratch", type=Path, help="folder of the scratch environment; the command keeps this folder")
    parser.add_argument("--output", type=Path, default=MODELS, help="output folder of the files and the MANIFEST entries")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        scratch = (args.scratch or Path(temporary)).resolve()
        scratch.mkdir(parents=True, exist_ok=True)
        python = scratch_python(scratch)
        for name, member, adapt in (
            ("palm_detection", "palm_detection/palm_detection_full.tflite", adapt_palm),
            ("hand_landmark", "hand_landmark/hand_landmark_full.tflite", adapt_landmark),
        ):
            model = adapt(convert(python, scratch, f"mediapipe/modules/{member}"))
            write(model, args.output / f"{name}.onnx", f"{WHEEL}, mediapipe/modules/{member}")


def scratch_python(scratch: Path) -> Path:
    """Returns the path of the Python with the converter. The first call installs the converter."""
    python = scratch / "venv/bin/python"
    if not python.is_file():
        venv.create(scratch / "venv", with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *CONVERTER], check=True)
    if not list(scratch.glob("mediapipe-*.whl")):
        platform = ["--only-binary=:all:", "--python-version=3.11", "--platform=manylinux_2_28_x86_64"]
        command = [python, "-m", "pip", "download", "--quiet", "--no-deps", *platform, "--dest", scratch, WHEEL]
        subprocess.run(command, check=True)
    return python


def convert(python: Path, scratch: Path, member: str) -> onnx.ModelProto:
    """Returns the ONNX graph of tf2onnx for one .tflite file of the wheel."""
    (wheel,) = scratch.glob("mediapipe-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        source = Path(archive.extract(member, scratch))
    target = source.with_suffix(".onnx")
    command = [python, "-m", "tf2onnx.convert", "--tflite", source, "--output", target, "--opset", str(OPSET)]
    subprocess.run(command, check=True, env={"PYTHONHASHSEED": "0"}, stderr=subprocess.DEVNULL)
    return onnx.load(target)


def adapt_palm(model: onnx.ModelProto) -> onnx.ModelProto:
    """Palm detector: image (192, 192, 3) -> boxes (2016, 18) relative to the anchors in pixels, scores (2016,) in 0..1."""
    graph = model.graph
    boxes, scores = (output.name for output in graph.output)
    del graph.output[:]
    take_uint8(graph)
    split_parametric_rectifiers(graph)
    give(graph, boxes, "boxes", (2016, 18))
    graph.node.append(helper.make_node("Sigmoid", [scores], ["sigmoid"]))
    give(graph, "sigmoid", "scores", (2016,))
    facts = {"kind": "palm_detection", "input_size_px": "192", "n_anchors": "2016"}
    return finish(model, facts)


def adapt_landmark(model: onnx.ModelProto) -> onnx.ModelProto:
    """Landmark model: image (224, 224, 3) -> landmarks, presence, right_prob, world_landmarks_m, features, pooled_features."""
    graph = model.graph
    landmarks, presence, handedness, world = (output.name for output in graph.output)
    del graph.output[:]
    take_uint8(graph)
    give(graph, landmarks, "landmarks", (21, 3))
    give(graph, presence, "presence", ())
    # MediaPipe calls this number "Left", for a mirrored selfie view. In an image without mirroring, the number is the probability
    # of a right hand.
    give(graph, handedness, "right_prob", ())
    give(graph, world, "world_landmarks_m", (21, 3))
    give(graph, [node for node in graph.node if node.op_type == "Add"][-1].output[0], "features", (192, 7, 7))
    give(graph, [node for node in graph.node if node.op_type == "GlobalAveragePool"][-1].output[0], "pooled_features", (1152,))
    facts = {"kind": "hand_landmark", "input_size_px": "224", "joint_order": joint_order_digest()}
    facts |= {"features": "192x7x7", "pooled_features": "1152"}
    return finish(model, facts)


def take_uint8(graph: onnx.GraphProto) -> None:
    """Replaces the batched float input in 0..1 by `image`, (side, side, 3) uint8."""
    (old,) = graph.input
    side = old.type.tensor_type.shape.dim[1].dim_value
    graph.initializer.append(numpy_helper.from_array(np.float32(1 / 255), "gain"))
    graph.initializer.append(numpy_helper.from_array(np.array([1, side, side, 3], np.int64), "batched"))
    nodes = [
        helper.make_node("Cast", ["image"], ["image_float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["image_float", "gain"], ["image_scaled"]),
        helper.make_node("Reshape", ["image_scaled", "batched"], [old.name]),
        *graph.node,
    ]
    del graph.node[:], graph.input[:]
    graph.node.extend(nodes)
    graph.input.append(helper.make_tensor_value_info("image", TensorProto.UINT8, (side, side, 3)))


def split_parametric_rectifiers(graph: onnx.GraphProto) -> None:
    """Rewrites PRelu(x) with slopes a as a * x + (1 - a) * Relu(x), both gains as depthwise 1x1 convolutions.

    ONNX Runtime has a blocked memory layout for convolutions, additions and rectifiers. Its PRelu is slow and needs a change of
    layout before and after. Measured on one core: 10.0 ms before, 4.2 ms after.
    """
    slopes = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        if node.op_type != "PRelu":
            nodes.append(node)
            continue
        (source, slope_name), (target,) = node.input, node.output
        slope = slopes[slope_name].reshape(-1, 1, 1, 1)
        for suffix, gain in (("slope", slope), ("rest", 1 - slope)):
            graph.initializer.append(numpy_helper.from_array(gain, f"{target}.{suffix}"))
        depthwise = {"group": len(slope), "kernel_shape": [1, 1]}
        nodes += [
            helper.make_node("Relu", [source], [f"{target}.relu"]),
            helper.make_node("Conv", [f"{target}.relu", f"{target}.rest"], [f"{target}.positive"], **depthwise),
            helper.make_node("Conv", [source, f"{target}.slope"], [f"{target}.linear"], **depthwise),
            helper.make_node("Add", [f"{target}.linear", f"{target}.positive"], [target]),
        ]
    del graph.node[:]
    graph.node.extend(nodes)


def give(graph: onnx.GraphProto, tensor: str, name: str, shape: tuple[int, ...]) -> None:
    """Adds an output `name` of the given shape that holds `tensor`."""
    graph.initializer.append(numpy_helper.from_array(np.array(shape, np.int64), f"{name}_shape"))
    graph.node.append(helper.make_node("Reshape", [tensor, f"{name}_shape"], [name]))
    graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))


def finish(model: onnx.ModelProto, facts: dict[str, str]) -> onnx.ModelProto:
    """Replaces the converter's long names of inner tensors by numbers, halves the storage and adds the metadata."""
    graph = model.graph
    kept = {item.name for item in (*graph.input, *graph.output)}
    short: dict[str, str] = {"": ""} | {name: name for name in kept}
    for position, node in enumerate(graph.node):
        node.name = f"{node.op_type.lower()}_{position}"
        for names in (node.input, node.output):
            for slot, name in enumerate(names):
                names[slot] = short.setdefault(name, f"t{len(short)}")
    used = [tensor for tensor in graph.initializer if tensor.name in short]
    for tensor in used:
        tensor.name = short[tensor.name]
    ordered = sorted(used, key=lambda tensor: int(tensor.name[1:]))
    del graph.initializer[:], graph.value_info[:], model.metadata_props[:]
    graph.initializer.extend(ordered)
    stored = onnx_file.store_fp16(model)
    onnx_file.add_metadata(stored, {**facts, "input": "rgb uint8, scaled to 0..1 in the graph", "licence": "Apache-2.0"})
    return stored


def write(model: onnx.ModelProto, path: Path, origin: str) -> None:
    """Writes the file and its MANIFEST entry."""
    onnx_file.add_metadata(model, {"origin": origin})
    entry = {"licence": "Apache-2.0", "origin": f"{origin}, The MediaPipe Authors", "command": COMMAND}
    onnx_file.save(model, path, entry)
    sys.stdout.write(f"{path}: {path.stat().st_size / 2**20:.1f} MiB\n")


if __name__ == "__main__":
    main()
