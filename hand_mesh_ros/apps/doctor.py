"""`hand-mesh doctor`: checks the installation."""

import platform
import sys
import time
from collections.abc import Sequence
from importlib import import_module, metadata
from importlib.util import find_spec

import click

from hand_mesh_ros.apps.command import Command, failure

# Check of a ROS installation.
_ROS_CHECK = "hand_mesh_ros.ros.tools.doctor"
_REQUIRED = ("numpy", "onnxruntime", "cv2", "trimesh", "click")
# Package: what it is for.
_OPTIONAL = {
    "viser": "hand-mesh view",
    "embreex": "the synthetic camera",
    "rclpy": "the ROS nodes and hand-mesh bag",
    "rosbags": "hand-mesh bag",
    "torch": "hand-mesh train and export",
}


@click.command(
    cls=Command,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    examples=("hand-mesh doctor", "hand-mesh doctor -- --help    options of the check of the ROS side"),
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def doctor(context: click.Context, arguments: Sequence[str]) -> None:
    """Show the versions, the devices and the state of the model files, and run the chain once.

    If ROS 2 is installed, the check of the ROS side runs instead, with the ARGUMENTS. The exit code is 1 if something does not
    work.
    """
    if _is_there("rclpy") and _is_there(_ROS_CHECK):
        context.exit(import_module(_ROS_CHECK).main(list(arguments)))
    if arguments:
        raise click.UsageError(f"without ROS 2 the check has no arguments, but got {' '.join(arguments)!r}")
    click.echo(f"Python {platform.python_version()} at {sys.executable}, {platform.platform()}")
    faults = [*_missing_packages(), *_model_faults()] or _chain_faults()
    for fault in faults:
        click.echo(f"Error: {fault}", err=True)
    if faults:
        context.exit(1)
    click.echo("everything works")


def _missing_packages() -> list[str]:
    """Prints the versions, and returns an error line per missing package."""
    missing = []
    for name in (*_REQUIRED, *_OPTIONAL):
        is_there = _is_there(name)
        use = f" (for {_OPTIONAL[name]})" if name in _OPTIONAL else ""
        click.echo(f"{name}: {_version(name) if is_there else 'not installed'}{use}")
        if name in _REQUIRED and not is_there:
            missing.append(f"the Python package {name} is missing: pip install hand_mesh_ros installs it")
    if _is_there("onnxruntime"):
        import onnxruntime

        click.echo(f"devices of ONNX Runtime: {', '.join(onnxruntime.get_available_providers())}")
    return missing


def _model_faults() -> list[str]:
    """Prints the folder of the models, and returns an error line per missing or damaged file."""
    try:
        from hand_mesh_ros.core.models import manifest
        from hand_mesh_ros.core.models.onnx_model import default_models_dir

        folder = default_models_dir()
        files = manifest.read(folder)
    except Exception as error:
        return [failure(error)]
    faults = [fault for file in files if (fault := file.fault())]
    click.echo(f"models: {len(files) - len(faults)} of {len(files)} files are undamaged in {folder}")
    return faults


def _chain_faults() -> list[str]:
    """Runs the chain on an empty image, and returns an error line if the run fails."""
    try:
        import numpy as np

        from hand_mesh_ros.core.pipeline import HandMeshPipeline
        from hand_mesh_ros.core.types import Frame

        started_s = time.perf_counter()
        pipeline = HandMeshPipeline.default()
        loaded_s = time.perf_counter()
        pipeline.estimate(Frame(np.full((480, 640, 3), 90, np.uint8), np.zeros((3, 3))))
        load_ms, run_ms = 1e3 * (loaded_s - started_s), 1e3 * (time.perf_counter() - loaded_s)
        click.echo(
            f"chain {pipeline.model_id}: loaded in {load_ms:.0f} ms, an image of 640x480 px without a hand takes {run_ms:.0f} ms"
        )
    except Exception as error:
        return [failure(error)]
    return []


def _is_there(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # the package that contains the module is missing
        return False


def _version(name: str) -> str:
    distributions = {"cv2": "opencv-python-headless"}
    try:
        return metadata.version(distributions.get(name, name))
    except metadata.PackageNotFoundError:
        return str(getattr(import_module(name), "__version__", "version not known"))
