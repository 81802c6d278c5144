"""`hand-mesh doctor`: checks the installation."""

import platform
import sys
import time
from collections.abc import Sequence
from importlib import import_module

import click

from hand_mesh_ros.apps.command import Command, failure
from hand_mesh_ros.core.models import installation

# Check of a ROS installation.
_ROS_CHECK = "hand_mesh_ros.ros.tools.doctor"


@click.command(
    cls=Command,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    examples=("hand-mesh doctor", "hand-mesh doctor --image /camera/color/image_raw    the topics of ROS 2"),
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def doctor(context: click.Context, arguments: Sequence[str]) -> None:
    """Check the installation, and run the chain once.

    Shows the versions, the devices and the state of the model files. With ARGUMENTS, `ros2 run hand_mesh_ros doctor` runs with
    these arguments and checks the topics. The exit code is 1 if something does not work.
    """
    if arguments:
        if not (installation.is_there("rclpy") and installation.is_there(_ROS_CHECK)):
            raise click.UsageError(f"without ROS 2 the check has no arguments, but got {' '.join(arguments)!r}")
        context.exit(import_module(_ROS_CHECK).main(list(arguments)))
    click.echo(f"Python {platform.python_version()} at {sys.executable}, {platform.platform()}")
    faults = [*_missing_packages(), *_model_faults()] or _chain_faults()
    for fault in faults:
        click.echo(f"Error: {fault}", err=True)
    if faults:
        context.exit(1)
    click.echo("everything works")


def _missing_packages() -> list[str]:
    """Prints the versions, and returns an error line per missing or broken package."""
    packages = installation.packages()
    for package in packages:
        use = f" (for {package.use})" if package.use else ""
        click.echo(f"{package.name}: {package.version or 'not installed'}{use}")
    faults = [fault for package in packages if (fault := package.fault())]
    if not faults:
        import onnxruntime

        click.echo(f"devices of ONNX Runtime: {', '.join(onnxruntime.get_available_providers())}")
    return faults


def _model_faults() -> list[str]:
    """Prints the folder of the models and the device, and returns an error line per fault."""
    try:
        models = installation.models()
        click.echo(f"models: {models.count - len(models.faults)} of {models.count} files are undamaged in {models.folder}")
        if models.faults:
            return models.faults
        provider, fault = installation.device()
        click.echo(f"the models run on {provider}")
        return [fault] if fault else []
    except Exception as error:
        return [failure(error)]


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
