"""`hand-mesh bag`, `train`, `export` and `evaluate`: commands that pass their arguments to another program of the repository."""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from hand_mesh_ros.apps.command import Command, failure

_ALL_ARGUMENTS = {"ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": []}


class Program(Command):
    """A command that calls `main` of a module with its arguments."""

    def __init__(self, name: str, module: str, summary: str, examples: Sequence[str]) -> None:
        """Stores the name of the command, the module, the help text and the examples."""
        arguments = click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)
        super().__init__(
            name, params=[arguments], help=summary, context_settings=_ALL_ARGUMENTS, examples=examples, callback=self._run
        )
        self._module = module

    def collect_usage_pieces(self, context: click.Context) -> list[str]:
        """Returns the part of the usage line after the name."""
        return ["[OPTIONS]", "..."]

    def _run(self, arguments: Sequence[str]) -> None:
        context = click.get_current_context()
        wants_help = {"-h", "--help"} & set(arguments)
        if wants_help:
            click.echo(f"{context.get_help()}\n")
        try:
            # The import is here, because some of these programs need torch or ROS, and pip does not install all of them.
            module = import_module(self._module)
        except ModuleNotFoundError as error:
            if not wants_help:
                raise
            click.echo(f"The options of {context.command_path} cannot be shown: {failure(error)}")
            return
        context.exit(_called(module, context.command_path, arguments))


def _called(module: Any, name: str, arguments: Sequence[str]) -> int:
    """Calls the program and returns its exit code."""
    before, sys.argv = sys.argv, [name, *arguments]
    try:
        return module.main(list(arguments)) or 0
    finally:
        sys.argv = before


bag = Program(
    "bag",
    "hand_mesh_ros.ros.tools.process_bag",
    "Estimate the hands in a recorded ROS 2 bag. Writes them to a new bag. Needs ROS 2 or its PyPI wheels, and rosbags. Exit "
    "code 1: some images were refused; 2: the bag, a topic or an option cannot be used.",
    ("hand-mesh bag drive.mcap results --image /camera/image_raw --camera-info /camera/camera_info",),
)
train = Program(
    "train",
    "models_train.train",
    "Train one model. Needs torch.",
    ("hand-mesh train joints --minutes 30 --run runs/joints", "hand-mesh train joints --minutes 60 --run runs/joints --resume"),
)
export = Program(
    "export",
    "models_train.export_onnx",
    "Write a trained model as ONNX files. Needs torch, onnx and onnxscript.",
    ("hand-mesh export joints --run runs/joints --out models",),
)
evaluate = Program(
    "evaluate",
    "benchmarks.accuracy.__main__",
    "Measure the accuracy of the chain. The data are rendered hands or annotated photographs. Needs a checkout of the "
    "repository.",
    ("hand-mesh evaluate --synthetic --count 100", "hand-mesh evaluate --data FOLDER --json figures.json"),
)
