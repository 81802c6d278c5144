"""Common parts of all commands: errors in one line, tracebacks with -v, examples in the help, and the options of the chain."""

import math
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

STOPPED = 130  # exit code of a program that Ctrl-C ended
_VERBOSE = "hand_mesh_ros.verbose"
# Python package: how to get it.
_INSTALL = {
    "viser": "pip install viser",
    "embreex": "pip install embreex",
    "rosbags": "pip install rosbags",
    "torch": "pip install torch, or pip install -r requirements/train.txt",
    "onnx": "pip install -r requirements/train.txt",
    "onnxscript": "pip install -r requirements/train.txt",
    "scipy": "pip install -r requirements/train.txt",
    "rclpy": "install and source ROS 2, or run make setup in a checkout and use its .venv/bin/hand-mesh",
    "sensor_msgs": "install and source ROS 2, or run make setup in a checkout and use its .venv/bin/hand-mesh",
    "hand_mesh_ros.ros": "pip does not install the ROS nodes: build the package with colcon, or run make setup in a checkout",
    "hand_mesh_ros.msg": "the messages are not built: build the package with colcon, or run make setup in a checkout",
    "benchmarks": "only the repository has this package: run make setup in a checkout and use its .venv/bin/hand-mesh",
    "models_train": "pip install the package again from a checkout",
}
_EXPECTED = (ValueError, OSError, RuntimeError)


class _WithExamples(click.Command):
    """A command with -v and with examples in its help."""

    def __init__(self, *arguments: Any, examples: Sequence[str] = (), **options: Any) -> None:
        """Stores the example command lines; the other arguments are those of click."""
        super().__init__(*arguments, **options)
        self._examples = examples
        self.params.append(verbose_option())

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Parses the arguments. Refuses file names that OpenCV cannot open."""
        for text in args:
            try:
                text.encode()
            except UnicodeEncodeError:
                raise click.UsageError(f"the argument {text!r} is not valid UTF-8: rename the file or folder", context) from None
        return super().parse_args(context, args)

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the examples."""
        if self._examples:
            with formatter.section("Examples"):
                formatter.write("".join(f"  {line}\n" for line in self._examples))


class Group(_WithExamples, click.Group):
    """A group of commands, with -v and with examples."""


class Command(_WithExamples):
    """A command. An error gives one line and exit code 1; Ctrl-C gives exit code 130."""

    def invoke(self, context: click.Context) -> Any:
        """Runs the command."""
        try:
            return super().invoke(context)
        except KeyboardInterrupt:
            click.echo("\nstopped by Ctrl-C", err=True)
            context.exit(STOPPED)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            raise click.ClickException(failure(error)) from error


def verbose_option() -> click.Option:
    """Returns the option -v. The option may stand before or after the name of a command."""

    def remember(context: click.Context, _: click.Parameter, is_verbose: bool) -> None:
        if is_verbose:
            context.meta[_VERBOSE] = True

    return click.Option(
        ["-v", "--verbose"], is_flag=True, expose_value=False, callback=remember, help="Show the traceback of an error."
    )


def failure(error: Exception) -> str:
    """Returns one line with the cause of an error and, if known, what to do. With -v the function also prints the traceback."""
    if click.get_current_context().meta.get(_VERBOSE):
        click.echo("".join(traceback.format_exception(type(error), error, error.__traceback__)), err=True)
    if isinstance(error, ModuleNotFoundError) and error.name:
        return missing_package(error.name)
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    text = " ".join(str(error).split())
    return text if isinstance(error, _EXPECTED) and text else f"{type(error).__name__}: {text} (-v shows where)"


def missing_package(name: str) -> str:
    """Returns what to do if a Python package is not installed. `name` is the package or one of its modules."""
    known = next((package for package in _INSTALL if name == package or name.startswith(f"{package}.")), None)
    advice = _INSTALL[known] if known else f"pip install {name}"
    return f"the Python package {known or name} is missing; {advice}"


class Choices(click.ParamType):
    """Type of an option: several names, separated by commas."""

    name = "names"

    def __init__(self, names: Callable[[], Sequence[str]]) -> None:
        """Stores a function that returns the allowed names."""
        self._names = names

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> tuple[str, ...]:
        """Returns the names in the value."""
        if isinstance(value, tuple):
            return value
        given = tuple(dict.fromkeys(name.strip() for name in str(value).split(",") if name.strip()))
        unknown = [name for name in given if name not in self._names()]
        if unknown or not given:
            what = f"{', '.join(unknown)!r} is unknown" if unknown else "nothing is named"
            self.fail(f"{what}; choose from {', '.join(self._names())}, separated by commas without spaces", param, context)
        return given


def save_option(kinds: Sequence[str], default: str, note: str) -> Callable:
    """Returns a decorator that adds --save. `kinds` are the allowed names; `note` ends the help."""
    text = f"Files to write, separated by commas: {','.join(kinds)}. {note}"
    return click.option("--save", type=Choices(lambda: kinds), default=default, show_default=True, metavar="NAMES", help=text)


class Pinhole(click.ParamType):
    """Type of an option: fx,fy,cx,cy in pixels."""

    name = "FX,FY,CX,CY"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> tuple[float, ...]:
        """Returns the four numbers."""
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(float(text) for text in str(value).split(","))
        except ValueError:
            numbers = ()
        if len(numbers) != 4:
            self.fail(f"{value!r} is not four numbers separated by commas: fx,fy,cx,cy in pixels", param, context)
        if not all(map(math.isfinite, numbers)) or min(numbers[:2]) <= 0:
            self.fail(f"{value!r} has a focal length that is not positive, or a number that is not finite", param, context)
        return numbers


def camera_options(command: Callable) -> Callable:
    """Adds --camera-matrix, --fov and --mirrored. `camera_of` takes the values of the first two."""
    for decorate in (
        click.option("--mirrored", is_flag=True, help="The image is a selfie view: mirrored left to right."),
        click.option(
            "--fov",
            "fov_deg",
            type=click.FloatRange(0, 180, min_open=True, max_open=True),
            metavar="DEG",
            help="Horizontal field of view [degrees], if the calibration is unknown.",
        ),
        click.option(
            "--camera-matrix",
            type=Pinhole(),
            metavar="FX,FY,CX,CY",
            help="Calibration [pixels]. Without it and without --fov, hands are relative to their wrist.",
        ),
    ):
        command = decorate(command)
    return command


depth_option = click.option(
    "--depth",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Depth registered to the image: 16-bit PNG [millimetres] or .npy [metres].",
)


def chain_options(command: Callable) -> Callable:
    """Adds the settings of the chain. `chain_settings` converts their values into fields of PipelineConfig."""
    for decorate in (
        models_dir_option,
        device_option,
        click.option("--fit", is_flag=True, help="Fit the mesh to the keypoints with the graph diffusion."),
        click.option(
            "--max-hands",
            type=click.IntRange(1, 8),
            default=2,
            show_default=True,
            metavar="N",
            help="Hands per image at most. Up to 2: one per side. From 3: also several of one side.",
        ),
        click.option(
            "--hypotheses", type=click.IntRange(1, 64), default=8, show_default=True, metavar="K", help="Hypotheses per hand."
        ),
    ):
        command = decorate(command)
    return command


def device_option(command: Callable) -> Callable:
    """Adds --device."""
    devices = click.Choice(["auto", "cpu", "cuda", "tensorrt"])
    return click.option("--device", type=devices, default="auto", show_default=True, help="Where the models run.")(command)


def models_dir_option(command: Callable) -> Callable:
    """Adds --models-dir."""
    folder = click.Path(exists=True, file_okay=False, path_type=Path)
    return click.option("--models-dir", type=folder, help="Folder of the model files; default: the shipped models.")(command)


def out_option(default: str) -> Callable:
    """Returns a decorator that adds --out. `default` describes the default folder."""
    folder = click.Path(file_okay=False, path_type=Path)
    return click.option("--out", type=folder, help=f"Folder of the results, created if missing; default: {default}.")


def counted(n: int, noun: str) -> str:
    """Returns a number with its noun, for example "1 hand" or "2 hands"."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def camera_of(camera_matrix: tuple[float, float, float, float] | None, fov_deg: float | None) -> Any:
    """Returns the `GivenCamera` of the options.

    Raises:
        click.UsageError: if the user gives the two options.
    """
    from hand_mesh_ros.sources.assumed_camera import GivenCamera

    if camera_matrix and fov_deg:
        raise click.UsageError("--camera-matrix and --fov cannot be used together: give one of the two")
    return GivenCamera(camera_matrix, fov_deg or 0.0)


def chain_settings(hypotheses: int, max_hands: int, fit: bool, device: str, models_dir: Path | None) -> dict[str, Any]:
    """Returns the fields of PipelineConfig for the options of the chain."""
    return {
        "n_hypotheses": hypotheses,
        "max_hands": max_hands,
        # Two hands are those of one person. More hands are those of several people, who may show the same side.
        "one_per_side": max_hands <= 2,
        "fit_enabled": fit,
        "fit_budget_ms": 0.0,
        "device": device,
        "models_dir": str(models_dir or ""),
    }


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Gives a function that returns whether Ctrl-C or SIGTERM arrived. A second signal ends the program immediately."""
    came: list[int] = []

    def remember(number: int, _: object) -> None:
        came.append(number)
        signal.signal(number, before[number])

    before = {int(number): signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
