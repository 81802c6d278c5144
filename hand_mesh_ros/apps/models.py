"""`hand-mesh models`: the model files, their state, licences and origins."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hand_mesh_ros.apps.command import Command, Group, models_dir_option

if TYPE_CHECKING:
    from hand_mesh_ros.core.models.manifest import ModelFile


@click.group(cls=Group, examples=("hand-mesh models list", "hand-mesh models verify"))
def models() -> None:
    """Show and check the model files."""


@models.command("list", cls=Command, examples=("hand-mesh models list", "hand-mesh models list --models-dir my_models"))
@models_dir_option
def list_files(models_dir: Path | None) -> None:
    """List the model files with their size and their state."""
    files = _files(models_dir)
    for file in files:
        state = "ok" if not file.fault() else "damaged" if file.size_bytes else "missing"
        click.echo(f"{file.path.name:24s} {file.size_bytes / 1e6:6.2f} MB  {state:8s} {file.licence.partition(';')[0]}")
    click.echo(f"{len(files)} files, {sum(file.size_bytes for file in files) / 1e6:.1f} MB in {_folder(models_dir)}")


@models.command(cls=Command, examples=("hand-mesh models verify && echo no file is damaged",))
@models_dir_option
def verify(models_dir: Path | None) -> None:
    """Compare the sha256 of every model file with the MANIFEST. Exit code 1 if a file differs or is missing."""
    files = _files(models_dir)
    faults = [fault for file in files if (fault := file.fault())]
    for fault in faults:
        click.echo(f"Error: {fault}", err=True)
    if faults:
        raise click.exceptions.Exit(1)
    click.echo(f"{len(files)} files in {_folder(models_dir)} agree with the MANIFEST")


@models.command(cls=Command, examples=("hand-mesh models licence",))
@models_dir_option
def licence(models_dir: Path | None) -> None:
    """Show the licence and the origin of every model file."""
    for file in _files(models_dir):
        click.echo(f"{file.path.name}\n  licence: {file.licence}\n  made by: {file.command}")
        if file.origin:
            click.echo(f"  origin: {file.origin}")


def _files(models_dir: Path | None) -> "Sequence[ModelFile]":
    from hand_mesh_ros.core.models import manifest

    return manifest.read(_folder(models_dir))


def _folder(models_dir: Path | None) -> Path:
    from hand_mesh_ros.core.models.onnx_model import default_models_dir

    return models_dir or default_models_dir()
