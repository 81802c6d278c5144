"""`hand-mesh image` and `hand-mesh folder`: hands of image files."""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hand_mesh_ros.apps.command import (
    Command,
    camera_of,
    camera_options,
    chain_options,
    chain_settings,
    counted,
    depth_option,
    failure,
    out_option,
    save_option,
)
from hand_mesh_ros.results.kinds import OF_IMAGE

if TYPE_CHECKING:
    from hand_mesh_ros.core.types import HandEstimate

_save_option = save_option(OF_IMAGE, "overlay,obj", "Meshes in metres.")


@click.command(
    cls=Command,
    examples=(
        "hand-mesh image photo.jpg                      writes photo_hands.png, photo_left.obj, ...",
        "hand-mesh image photo.jpg --fov 69 --save json,glb --out results",
        "hand-mesh image color.png --depth depth.png --camera-matrix 615,615,319.5,239.5",
    ),
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@out_option("the folder of each image")
@depth_option
@camera_options
@chain_options
@_save_option
def image(
    files: Sequence[Path],
    out: Path | None,
    depth: Path | None,
    camera_matrix: tuple[float, float, float, float] | None,
    fov_deg: float | None,
    mirrored: bool,
    save: Sequence[str],
    **chain: Any,
) -> None:
    """Estimate the hands in image files.

    Each image gets an overlay picture and one mesh file per hand, or what --save names. JSON and NPZ hold joints, covariances
    and hypotheses, with units and frames in their keys. CSV has one row per joint. The command reports images that it
    cannot read, continues with the next image, and ends with exit code 1.
    """
    camera, files = camera_of(camera_matrix, fov_deg), list(dict.fromkeys(files))
    if depth and len(files) > 1:
        raise click.UsageError(f"--depth needs exactly one image, but got {len(files)}")
    if depth and not camera.is_known:
        raise click.UsageError("--depth needs --camera-matrix or --fov: depth without a camera gives no positions")
    estimate = _Estimate(camera, depth, mirrored, save, chain)
    _finish(estimate.all(((path, out or path.parent) for path in files), _stems(files, out), click.echo), len(files))


@click.command(
    cls=Command,
    examples=("hand-mesh folder photos --fov 69", "hand-mesh folder photos --out results --save json,csv"),
)
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@out_option("the folder hands in DIR")
@camera_options
@chain_options
@_save_option
def folder(
    folder: Path,
    out: Path | None,
    camera_matrix: tuple[float, float, float, float] | None,
    fov_deg: float | None,
    mirrored: bool,
    save: Sequence[str],
    **chain: Any,
) -> None:
    """Estimate the hands in all images of a folder.

    The command does not search subfolders. It reports images that it cannot read, continues with the next image, and ends with
    exit code 1.
    """
    camera, out = camera_of(camera_matrix, fov_deg), out or folder / "hands"
    if out.resolve() == folder.resolve():
        raise click.UsageError("--out must be another folder than DIR: a second run would read the results of the first run")
    from hand_mesh_ros.sources.photograph import SUFFIXES

    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    if not files:
        raise click.ClickException(f"{folder} contains no image: no file name ends with {', '.join(sorted(SUFFIXES))}")
    estimate = _Estimate(camera, None, mirrored, save, chain)
    with click.progressbar(files, label=counted(len(files), "image"), file=sys.stderr) as bar:
        failed = estimate.all(((path, out) for path in bar), _stems(files, out), lambda _: None)
    click.echo(f"{counted(len(files) - len(failed), 'image')}, {counted(estimate.n_hands, 'hand')}: {out}")
    _finish(failed, len(files))


class _Estimate:
    """The chain with the options of a command."""

    def __init__(self, camera: Any, depth: Path | None, mirrored: bool, save: Sequence[str], chain: dict[str, Any]) -> None:
        self._camera, self._depth, self._mirrored, self._save = camera, depth, mirrored, save
        self._settings = chain_settings(**chain)
        self.n_hands = 0

    def all(self, places: Iterable[tuple[Path, Path]], stems: dict[Path, str], say: Callable[[str], None]) -> list[str]:
        """Processes pairs of an image and the folder of its results. Returns one line per image that failed."""
        from hand_mesh_ros.core.pipeline import HandMeshPipeline

        pipeline, failed = None, []
        for path, folder in places:
            folder.mkdir(parents=True, exist_ok=True)
            # The folder comes first, so that a wrong --out fails before the slow loading of the models.
            pipeline = pipeline or HandMeshPipeline.default(**self._settings)
            try:
                self._one(pipeline, path, folder / stems[path], say)
            except (ValueError, OSError) as error:
                failed.append(failure(error))
        return failed

    def _one(self, pipeline: Any, path: Path, target: Path, say: Callable[[str], None]) -> None:
        from hand_mesh_ros.results import image_files
        from hand_mesh_ros.results.record import Origin, settings_of
        from hand_mesh_ros.sources import photograph

        frame = photograph.load(path, self._camera, self._depth, self._mirrored)
        pipeline.reset()
        hands = pipeline.estimate(frame, alone=True)
        settings = {"mirrored": self._mirrored, **settings_of(pipeline.config)}
        origin = Origin(path.name, pipeline.model_id, settings)
        faces = pipeline.hand_model.faces
        for written in image_files.write(target.parent, target.name, self._save, frame, hands, faces, origin):
            say(f"wrote {written}")
        for hand in hands:
            say(describe(hand))
        if not hands:
            say(f"{path}: no hand found")
        self.n_hands += len(hands)


def describe(hand: "HandEstimate") -> str:
    """Returns one line about a hand."""
    text = f"{hand.handedness} hand, score {hand.score:.2f}, {len(hand.weights)} hypotheses in {counted(hand.n_modes, 'mode')}"
    if hand.scale_source == "none":
        return f"{text}; the camera is unknown, so the mesh is relative to the wrist"
    place = ", ".join(f"{value:.3f}" for value in hand.wrist_pose[:3, 3])
    return f"{text}; wrist at ({place}) m, scale from {hand.scale_source} to {100 * hand.scale_rel_std:.0f} %"


def _stems(files: Sequence[Path], out: Path | None) -> dict[Path, str]:
    """Returns the first part of the file names of the results, per image. Images with equal names get their format too.

    Raises:
        click.UsageError: if the results of two images have the same file names.
    """
    counts = Counter((out or path.parent, path.stem) for path in files)
    stems = {path: path.stem if counts[out or path.parent, path.stem] == 1 else path.name.replace(".", "_") for path in files}
    targets = [(out or path.parent, stem) for path, stem in stems.items()]
    if len(set(targets)) < len(files):
        twice = next(path for path in files if targets.count((out or path.parent, stems[path])) > 1)
        raise click.UsageError(f"two images would write the same files {stems[twice]}_...: use another --out for each image")
    return stems


def _finish(failed: Sequence[str], n_images: int) -> None:
    """Prints the lines of the failed images.

    Raises:
        click.exceptions.Exit: with code 1 if an image failed.
    """
    for reason in failed:
        click.echo(f"Error: {reason}", err=True)
    if failed and n_images > 1:
        click.echo(f"{len(failed)} of {n_images} images failed", err=True)
    if failed:
        raise click.exceptions.Exit(1)
