"""`hand-mesh video`: hands of a video file or a webcam."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hand_mesh_ros.apps.command import (
    STOPPED,
    Command,
    camera_of,
    camera_options,
    chain_options,
    chain_settings,
    counted,
    out_option,
    save_option,
    stop_on_signals,
)
from hand_mesh_ros.results.kinds import OF_VIDEO

if TYPE_CHECKING:
    from hand_mesh_ros.results.video_run import Outcome


@click.command(
    cls=Command,
    examples=(
        "hand-mesh video clip.mp4 --fov 69                    writes clip_hands.mp4 and clip_hands.jsonl",
        "hand-mesh video clip.mp4 --fov 69 --resume           continues after Ctrl-C",
        "hand-mesh video 0 --out recorded --save jsonl,npz    the first webcam, until Ctrl-C",
    ),
)
@click.argument("source", metavar="FILE|WEBCAM")
@out_option("the folder of the video, or the current folder for a webcam")
@camera_options
@chain_options
@save_option(OF_VIDEO, "overlay,jsonl", "JSON lines are always written.")
@click.option(
    "--resume",
    is_flag=True,
    help="Continue a stopped run with the same options. Without a stopped run, start from the first image.",
)
@click.pass_context
def video(
    context: click.Context,
    source: str,
    out: Path | None,
    camera_matrix: tuple[float, float, float, float] | None,
    fov_deg: float | None,
    mirrored: bool,
    save: Sequence[str],
    resume: bool,
    **chain: Any,
) -> None:
    """Estimate the hands in a video or from a webcam.

    The first webcam has the number 0. Hands are followed and smoothed from image to image. The overlay is an MP4 video. The JSON
    lines have one record per image, CSV one row per joint. NPZ also holds the surfaces.

    Ctrl-C ends the run after the current image, with exit code 130. The command writes all files for the processed images.
    --resume continues the run. The JSON lines of a stopped run have the name FILE_hands.unfinished.jsonl.
    """
    camera, is_live = camera_of(camera_matrix, fov_deg), source.isdigit()
    if resume and is_live:
        raise click.UsageError("--resume continues video files; a webcam cannot repeat its images")
    if not is_live and not Path(source).is_file():
        raise click.BadParameter(f"'{source}' is not a file and not the number of a webcam", param_hint="FILE|WEBCAM")
    from hand_mesh_ros.core.pipeline import HandMeshPipeline
    from hand_mesh_ros.results.journal import is_complete
    from hand_mesh_ros.results.record import Origin, settings_of
    from hand_mesh_ros.results.video_run import VideoJob, VideoRun
    from hand_mesh_ros.sources.image_source import SourceConfig, open_source

    records = _records(source, out, is_live)
    images = open_source(SourceConfig(source, hfov_deg=0.0), 0.0)
    pipeline = HandMeshPipeline.default(**chain_settings(**chain))
    origin = Origin(Path(source).name, pipeline.model_id, {"mirrored": mirrored, **settings_of(pipeline.config)})
    run = VideoRun(VideoJob(records, save, camera, origin, mirrored, is_live), images, pipeline)
    if resume and is_complete(records):
        run.check_complete()
        click.echo(f"{records} is complete: nothing to continue")
        return
    with stop_on_signals() as is_stopped, _bar(images.n_images, source) as bar:
        outcome = run(resume, _Report(bar), is_stopped)
    _say(outcome)
    if not outcome.is_complete:
        context.exit(STOPPED)


def _records(source: str, out: Path | None, is_live: bool) -> Path:
    """Returns the path of the JSON lines. Creates their folder if missing."""
    folder = out or (Path() if is_live else Path(source).parent)
    folder.mkdir(parents=True, exist_ok=True)
    name = f"webcam{source}" if is_live else Path(source).stem
    return folder / f"{name}_hands.jsonl"


def _say(outcome: "Outcome") -> None:
    """Prints the files and the counts of a run."""
    for path in outcome.files:
        click.echo(f"wrote {path}")
    click.echo(f"{counted(outcome.progress.images, 'image')}, {counted(outcome.progress.hands, 'hand')}")
    if not outcome.is_complete:
        click.echo("stopped before the end: the same command with --resume continues", err=True)


def _bar(n_images: int, source: str) -> Any:
    """Returns a progress bar. The bar of a webcam shows only the counts, because the number of images is unknown."""
    return click.progressbar(
        length=n_images or 1,
        label=Path(source).name,
        show_pos=bool(n_images),
        show_percent=bool(n_images),
        show_eta=bool(n_images),
        item_show_func=lambda text: text,
        file=sys.stderr,
    )


class _Report:
    """Updates the bar with the number of hands per second."""

    def __init__(self, bar: Any) -> None:
        self._bar, self._hands_before, self._started_s = bar, 0, time.monotonic()

    def __call__(self, progress: Any) -> None:
        if progress.is_replay:
            self._hands_before, self._started_s = progress.hands, time.monotonic()
        rate = (progress.hands - self._hands_before) / max(time.monotonic() - self._started_s, 1e-6)
        self._bar.update(int(progress.images <= self._bar.length), f"{counted(progress.hands, 'hand')}, {rate:.1f} hands/s")
