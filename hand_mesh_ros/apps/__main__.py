"""`hand-mesh`: hands in images, videos and bags, hands from the graph diffusion, and the models. Most commands need no ROS."""

from importlib import import_module, metadata
from pathlib import Path

import click

from hand_mesh_ros.apps.command import Group

# Command: its module in this folder and its function there. The module of a command is imported when it is needed.
_COMMANDS = {
    "image": ("pictures", "image"),
    "folder": ("pictures", "folder"),
    "video": ("video", "video"),
    "bag": ("programs", "bag"),
    "view": ("view", "view"),
    "generate": ("graph", "generate"),
    "inpaint": ("graph", "inpaint"),
    "reconstruct": ("graph", "reconstruct"),
    "fit": ("graph", "fit"),
    "models": ("models", "models"),
    "doctor": ("doctor", "doctor"),
    "train": ("programs", "train"),
    "export": ("programs", "export"),
    "evaluate": ("programs", "evaluate"),
}


class HandMesh(Group):
    """The commands, in the order of the table."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Returns the names of the commands."""
        return list(_COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Returns the command of a name."""
        if name not in _COMMANDS:
            return None
        module, function = _COMMANDS[name]
        return getattr(import_module(f"hand_mesh_ros.apps.{module}"), function)


def package_version() -> str:
    """Returns the version from package.xml, or from the installed pip package."""
    here = Path(__file__).resolve()
    for folder in (here.parents[2], *(parent / "share/hand_mesh_ros" for parent in here.parents)):
        if (folder / "package.xml").is_file():
            text = (folder / "package.xml").read_text(encoding="utf-8")
            return text.partition("<version>")[2].partition("</version>")[0]
    return metadata.version("hand_mesh_ros")


def _print_version(context: click.Context, _: click.Parameter, is_wanted: bool) -> None:
    if is_wanted and not context.resilient_parsing:
        click.echo(f"hand-mesh {package_version()}")
        context.exit()


@click.group(
    cls=HandMesh,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    examples=("hand-mesh image photo.jpg --fov 69", "hand-mesh view synthetic"),
)
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="Show the version.")
def main() -> None:
    """Hand meshes with calibrated uncertainty from images, videos, webcams and bags.

    Lengths are in metres in the optical frame of the camera: x right, y down, z forward.
    Every COMMAND shows its options and examples with --help.

    Exit codes: 0 success, 1 a failure, 2 wrong use, 130 stopped by Ctrl-C.
    """


if __name__ == "__main__":
    main(prog_name="hand-mesh")
