"""What is installed: Python packages, model files, and the device that runs the models. Works with any package missing."""

from dataclasses import dataclass
from importlib import import_module, metadata
from importlib.util import find_spec

_REQUIRED = ("numpy", "onnxruntime", "cv2", "trimesh", "click")
# Package: what it is for.
_OPTIONAL = {
    "viser": "hand-mesh view",
    "embreex": "the synthetic camera",
    "rclpy": "the ROS nodes and hand-mesh bag",
    "rosbags": "hand-mesh bag",
    "torch": "hand-mesh train and export",
}
_DISTRIBUTIONS = {"cv2": "opencv-python-headless"}


@dataclass(frozen=True)
class Package:
    """One Python package."""

    name: str
    version: str  # empty if the package is not installed
    use: str  # what an optional package is for; empty for a required package

    def fault(self) -> str:
        """What is wrong and what to do; empty for a package that works, or that is not needed."""
        if self.use:
            return ""
        if not self.version:
            return f"the Python package {self.name} is missing: pip install hand_mesh_ros installs it"
        try:
            import_module(self.name)
        except Exception as error:  # a package that is built for another version of numpy raises errors of many kinds
            text = " ".join(str(error).split())[:300]
            cure = 'pip install "numpy<2" helps if OpenCV comes from apt' if "numpy" in text else "install it again"
            return f"the Python package {self.name} {self.version} cannot be imported ({text}): {cure}"
        return ""


@dataclass(frozen=True)
class Models:
    """The model files of a folder."""

    folder: str
    count: int  # of the files that should be there
    faults: list[str]  # what is wrong with each bad file, and what to do


def packages() -> list[Package]:
    """All packages of the chain and its programs."""
    uses = dict.fromkeys(_REQUIRED, "") | _OPTIONAL
    return [Package(name, version(name) if is_there(name) else "", use) for name, use in uses.items()]


def models() -> Models:
    """The default model files, compared with their MANIFEST.

    Raises:
        ModelError: if no folder has models, or its MANIFEST cannot be read.
        ModuleNotFoundError: if ONNX Runtime or numpy is missing.
    """
    from hand_mesh_ros.core.models import manifest
    from hand_mesh_ros.core.models.onnx_model import default_models_dir

    folder = default_models_dir()
    files = manifest.read(folder)
    return Models(str(folder), len(files), [fault for file in files if (fault := file.fault())])


def device(wanted: str = "auto") -> tuple[str, str]:
    """The execution provider that really runs a model, and what is wrong with it; an empty text if nothing is wrong.

    Args:
        wanted: as the setting `device`.

    Raises:
        ModelError: if the model or the device cannot be used.
        ModuleNotFoundError: if ONNX Runtime or numpy is missing.
    """
    from hand_mesh_ros.core.models.onnx_model import OnnxModel, default_models_dir, has_lost_gpu

    smallest = min(default_models_dir().glob("*.onnx"), key=lambda path: path.stat().st_size)
    used = OnnxModel(smallest, {}, wanted, threads=1).provider
    if has_lost_gpu(wanted, used):
        return used, (
            "ONNX Runtime has CUDA, but the models run on the processor: install the CUDA and cuDNN libraries of this "
            "onnxruntime-gpu, or set the parameter device to cpu"
        )
    return used, ""


def is_there(name: str) -> bool:
    """True if a package or module is installed."""
    try:
        return find_spec(name) is not None
    except (ModuleNotFoundError, ValueError):  # the package of a module; a module that an import has blocked
        return False


def version(name: str) -> str:
    """Version of an installed package."""
    try:
        return metadata.version(_DISTRIBUTIONS.get(name, name))
    except metadata.PackageNotFoundError:
        pass
    try:
        return str(getattr(import_module(name), "__version__", "version not known"))
    except Exception:  # `Package.fault` gives the reason
        return "version not known"
