"""The networks of exported files as torch networks: the start of a fine-tuning."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from hand_mesh_ros.core.cascade.joint_stage import DENOISER_FILE, ENCODER_FILE
from hand_mesh_ros.core.cascade.view import CONDITION_SIZE, FEATURES_SHAPE
from hand_mesh_ros.core.models.onnx_model import ModelError, OnnxModel
from hand_mesh_ros.core.topology import N_JOINTS, joint_order_digest
from models_train.nets.joint_denoiser import JointNet, JointSize
from models_train.tasks.task import Export

# Suffix of weights in half precision, see `models_train.onnx_file`.
_HALF = ".half"
# Largest differences between the networks and their files. The unit of joints is 5 cm.
_VIEW_TOLERANCE, _JOINT_TOLERANCE = 1e-3, 1e-3
# First of the numbers that `restore` writes into a network. All are whole, exact in float32, and larger than any constant.
_FIRST_LABEL = 1 << 22


@dataclass(frozen=True)
class ExportedStage:
    """Weights of exported files, with the facts that a fine-tuned stage inherits."""

    net: JointNet
    view_space: str
    licence: str  # empty if the files have no restriction


def load_exported_joints(folder: Path) -> ExportedStage:
    """Returns the joint stage of a folder of model files. The half-precision weights become float32.

    Raises:
        ModelError: if a file is missing, foreign, or computes something else than the network with its weights.
    """
    identity = {"joint_order": joint_order_digest()}
    encoder = OnnxModel(folder / ENCODER_FILE, {"kind": "joint_encoder", **identity}, "cpu", threads=1)
    space = encoder.fact("view_space")
    expected = {"kind": "joint_denoiser", "view_space": space, **identity}
    denoiser = OnnxModel(folder / DENOISER_FILE, expected, "cpu", threads=1)
    states = {part: _weights(folder / name) for part, name in (("encoder", ENCODER_FILE), ("denoiser", DENOISER_FILE))}
    numbers = [int(match[1]) for name in states["denoiser"] if (match := re.match(r"blocks\.(\d+)\.", name))]
    width = len(states["encoder"]["mix.3.bias"])
    net = JointNet(JointSize(width, max(numbers) + 1, looks="features" in encoder.input_names)).eval()
    for part, state in states.items():
        own = getattr(net, part)
        try:
            own.load_state_dict({name: state[name] for name in own.state_dict()})
        except (KeyError, RuntimeError) as error:
            raise ModelError(f"{folder} has other weights than the {part} of this version: {error}") from error
    _check(net.encoder, encoder, {"condition": _random(4, CONDITION_SIZE), **_features(net)}, _VIEW_TOLERANCE)
    # One skeleton, since all skeletons of a call have one time and one view.
    noisy = {"noisy_joints": _random(1, 3 * N_JOINTS), "time": torch.tensor([500.0])}
    _check(net.denoiser, denoiser, {**noisy, "view_embedding": _random(1, width)}, _JOINT_TOLERANCE)
    licences = [file.metadata["licence"] for file in (encoder, denoiser) if file.is_non_commercial]
    return ExportedStage(net, space, licences[0] if licences else "")


def restore(export: Export, path: Path) -> OnnxModel:
    """Copies the weights of an exported file into the network of `export`, and returns the file.

    The exporter transposes, cuts and renames some weights. A probe shows where each weight goes: an export of the same network
    in which every weight has another value.

    Raises:
        ModelError: if the file is missing or foreign, has other weights, or computes something else than the network with them.
    """
    identity = {name: value for name, value in export.metadata.items() if name in ("kind", "joint_order", "topology")}
    file = OnnxModel(path, identity, "cpu", threads=1)
    count = sum(value.numel() for value in export.module.state_dict().values())
    _write_state(export.module, torch.arange(_FIRST_LABEL, _FIRST_LABEL + count, dtype=torch.float32))
    values, weights = torch.full((count,), torch.nan), _weights(path)
    for tensor in export.to_graph().graph.initializer:
        place = torch.from_numpy(numpy_helper.to_array(tensor).ravel().astype(np.float64)) - _FIRST_LABEL
        is_weight = (place >= 0) & (place < count)
        if not is_weight.any():
            continue
        if tensor.name not in weights or list(weights[tensor.name].shape) != list(tensor.dims):
            raise ModelError(f"{path} has no weights {tensor.name} of shape {list(tensor.dims)}")
        values[place[is_weight].long()] = weights[tensor.name].ravel()[is_weight]
    if values.isnan().any():
        raise ModelError(f"{path} lacks {int(values.isnan().sum())} of the {count} weights of its network")
    _write_state(export.module, values)
    _check(export.module, file, export.inputs, export.tolerance)
    return file


def _write_state(module: nn.Module, values: torch.Tensor) -> None:
    """Copies values (N,) into all weights and buffers of a module, one after another."""
    state = module.state_dict().values()
    for target, part in zip(state, values.split([each.numel() for each in state])):
        target.copy_(part.reshape(target.shape))


def _weights(path: Path) -> dict[str, torch.Tensor]:
    model = onnx.load(str(path))
    return {
        tensor.name.removesuffix(_HALF): torch.from_numpy(numpy_helper.to_array(tensor).copy()).float()
        for tensor in model.graph.initializer
    }


def _random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def _features(net: JointNet) -> dict[str, torch.Tensor]:
    return {"features": _random(4, *FEATURES_SHAPE)} if net.size.looks else {}


def _check(module: nn.Module, file: OnnxModel, inputs: dict[str, torch.Tensor], tolerance: float) -> None:
    """Raises ModelError if the network and the file differ on random input."""
    with torch.no_grad():
        expected = module(**inputs).numpy()
    found = file(**{name: value.numpy() for name, value in inputs.items()})[file.output_names[0]]
    difference = float(np.abs(expected - found).max())
    if not difference <= tolerance:
        raise ModelError(f"{file.path} differs from its network by {difference:.3g}; the limit is {tolerance}")
