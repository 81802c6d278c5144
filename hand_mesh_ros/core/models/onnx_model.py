"""ONNX Runtime session of a model file. Loading fails if the metadata of the file are different from the expected values."""

import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import onnxruntime

# Prefix of the metadata properties in exported models.
METADATA_PREFIX = "hand_mesh_ros."
# Start of the licence of weights that were trained on a data set for research only.
NON_COMMERCIAL = "non-commercial"
# Metadata of a copy for processors: sha256 of the original file.
SOURCE = "source_sha256"
# TensorRT takes minutes to build the engine of a model. The cache keeps engines for the next start.
_TENSORRT_OPTIONS = {"trt_engine_cache_enable": "1", "trt_timing_cache_enable": "1"}
_LOG = logging.getLogger(__name__)
_PROVIDERS = {
    "tensorrt": ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"),
    "cuda": ("CUDAExecutionProvider", "CPUExecutionProvider"),
    "cpu": ("CPUExecutionProvider",),
}


class ModelError(RuntimeError):
    """A model file is missing, damaged or not a file of this package, or the requested device cannot run the model."""


@contextmanager
def reading(title: str, path: Path) -> Iterator[None]:
    """Context manager for reading a file of arrays.

    Raises:
        ModelError: if the file is missing, or its content cannot be used.
    """
    if not path.is_file():
        raise ModelError(f"{title} {path} is missing; restore it from the package or set models_dir")
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, BadZipFile) as error:
        raise ModelError(f"{title} {path} cannot be read: {error}") from error


def default_models_dir() -> Path:
    """Folder of the models: `HAND_MESH_ROS_MODELS` if set, else next to the sources, else the installed share folder.

    Raises:
        ModelError: if no folder has models. The message lists the folders that were searched.
    """
    named = os.environ.get("HAND_MESH_ROS_MODELS")
    root = Path(__file__).resolve().parents[3]
    prefixes = [Path(prefix) for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if prefix]
    installed = [parent / "share/hand_mesh_ros/models" for parent in (*Path(__file__).resolve().parents, *prefixes)]
    candidates = [Path(named)] if named else [root / "models", *installed]
    for candidate in candidates:
        if (candidate / "MANIFEST").is_file():
            return candidate
    tried = "\n  ".join(dict.fromkeys(map(str, candidates)))
    raise ModelError(
        f"no model folder with a MANIFEST found; set HAND_MESH_ROS_MODELS or models_dir. Searched folders:\n  {tried}"
    )


class OnnxModel:
    """A loaded model. A call takes named inputs and returns named outputs."""

    def __init__(self, path: Path, expected: dict[str, str], device: str = "auto", threads: int = 0) -> None:
        """Loads a model.

        Args:
            path: the .onnx file.
            expected: metadata that the file must contain, without the prefix: for example {"kind": "joint_denoiser"}.
            device: "auto" (CUDA if ONNX Runtime has it, else the CPU), "cpu", "cuda" or "tensorrt".
            threads: threads within one operator; 0 lets ONNX Runtime choose.

        Raises:
            ModelError: if the file or the device cannot be used. The message gives the problem and its solution.
        """
        if not path.is_file():
            raise ModelError(f"model file {path} is missing; restore it from the package or set models_dir")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # A waiting thread must not take the processor from the palm model or from other nodes.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        _share_memory(options)
        providers = _providers(device)
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=providers, provider_options=[_options(name) for name in providers]
            )
        except Exception as error:  # ONNX Runtime's own exception types are not public
            raise ModelError(f"model file {path} cannot be loaded ({path.stat().st_size} bytes): {error}") from error
        stored = self._session.get_modelmeta().custom_metadata_map
        self.metadata = {
            key.removeprefix(METADATA_PREFIX): value for key, value in stored.items() if key.startswith(METADATA_PREFIX)
        }
        for key, value in expected.items():
            if self.metadata.get(key) != value:
                raise ModelError(f"model file {path} has {key} '{self.metadata.get(key)}', expected '{value}'; export it again")
        if device != "auto" and self.provider != providers[0]:
            raise ModelError(
                f"device '{device}' needs ONNX Runtime's {providers[0]}, but the model runs on {self.provider}: the driver or a "
                "library of the GPU is missing (see the log of ONNX Runtime); install it, or set device to cpu"
            )
        if self.is_non_commercial:
            _LOG.warning("model file %s is %s", path, self.metadata["licence"])
        self.path = path
        self.input_names = [item.name for item in self._session.get_inputs()]
        self.output_names = [item.name for item in self._session.get_outputs()]

    @classmethod
    def fastest(cls, path: Path, expected: dict[str, str], device: str = "auto", threads: int = 0) -> "OnnxModel":
        """Loads a model, or its copy for processors (`models_train.cpu_copies`) if there is one and the CPU runs the model.

        Args:
            path: the original .onnx file.
            expected: as in the constructor.
            device: as in the constructor.
            threads: as in the constructor.

        Raises:
            ModelError: as in the constructor, and if the copy was made from another original file.
        """
        copy = cpu_copy(path)
        if not (path.is_file() and copy.is_file()) or _providers(device)[0] != "CPUExecutionProvider":
            return cls(path, expected, device, threads)
        model = cls(copy, expected, device, threads)
        if model.fact(SOURCE) != hashlib.sha256(path.read_bytes()).hexdigest():
            cls(path, expected, device, threads)  # raises if the original is damaged
            raise ModelError(f"model file {copy} was not made from the present {path.name}; make the copy again, or delete it")
        return model

    @property
    def provider(self) -> str:
        """Name of the execution provider that runs the model."""
        return self._session.get_providers()[0]

    @property
    def is_non_commercial(self) -> bool:
        """True if the licence of the weights excludes commercial use."""
        return self.metadata.get("licence", "").startswith(NON_COMMERCIAL)

    def fact(self, name: str) -> str:
        """A value of the metadata.

        Raises:
            ModelError: if the metadata do not contain `name`.
        """
        if name not in self.metadata:
            raise ModelError(f"model file {self.path} has no {name} in its metadata; export it again")
        return self.metadata[name]

    def input_shape(self, name: str) -> list[int | str]:
        """Shape of an input. A free dimension is a name."""
        return next(item.shape for item in self._session.get_inputs() if item.name == name)

    def __call__(self, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Runs the model. Inputs and outputs have the names in the model file."""
        return dict(zip(self.output_names, self._session.run(None, inputs)))


def _share_memory(options: onnxruntime.SessionOptions) -> None:
    """Lets all models use the same memory for intermediate results. So the memory of the next model is in the cache already."""
    if _has_shared_memory():
        options.add_session_config_entry("session.use_env_allocators", "1")


@lru_cache(maxsize=1)
def _has_shared_memory() -> bool:
    kinds = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    try:
        onnxruntime.create_and_register_allocator(onnxruntime.OrtMemoryInfo("Cpu", *kinds), None)
    except Exception as error:  # another package has registered its memory, or ONNX Runtime is too old
        _LOG.debug("each model has memory of its own: %s", error)
        return False
    return True


def cpu_copy(path: Path) -> Path:
    """Path of the copy of a model file for processors."""
    return path.with_name(f"{path.stem}_cpu{path.suffix}")


def has_lost_gpu(device: str, provider: str) -> bool:
    """True if ONNX Runtime was built for CUDA, but a model runs on the CPU provider without `device` cpu.

    The usual cause is a missing library of the GPU. ONNX Runtime then falls back to the processor without an error.
    """
    return (
        device != "cpu"
        and provider == "CPUExecutionProvider"
        and "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    )


def _options(provider: str) -> dict[str, str]:
    if provider != "TensorrtExecutionProvider":
        return {}
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hand_mesh_ros" / "tensorrt"
    return {**_TENSORRT_OPTIONS, "trt_engine_cache_path": str(cache), "trt_timing_cache_path": str(cache)}


def _providers(device: str) -> list[str]:
    available = onnxruntime.get_available_providers()
    if device == "auto":
        device = "cuda" if "CUDAExecutionProvider" in available else "cpu"
    wanted = _PROVIDERS[device]
    if wanted[0] not in available:
        raise ModelError(
            f"device '{device}' needs ONNX Runtime's {wanted[0]}, available are {available}; install onnxruntime-gpu"
        )
    return [provider for provider in wanted if provider in available]
