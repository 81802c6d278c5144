"""`hand-mesh view`: a page in the browser with the hands of a source, without ROS."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import click

from hand_mesh_ros.apps.command import Command, camera_of, camera_options, chain_options, chain_settings, counted, stop_on_signals

if TYPE_CHECKING:
    from hand_mesh_ros.core.pipeline import HandMeshPipeline
    from hand_mesh_ros.core.types import Frame, HandEstimate
    from hand_mesh_ros.sources.assumed_camera import GivenCamera
    from hand_mesh_ros.sources.image_source import ImageSource
    from hand_mesh_ros.viewer.page import Viewer

_SYNTHETIC = "synthetic"
_RATE_HZ = 30.0  # of the synthetic camera
_MOST_LATE_S = 0.5  # images that are later do not catch up


@click.command(
    cls=Command,
    examples=("hand-mesh view synthetic", "hand-mesh view clip.mp4 --fov 69 --port 8090", "hand-mesh view 0 --mirrored"),
)
@click.argument("source", metavar="FILE|WEBCAM|synthetic")
@click.option(
    "--host",
    metavar="ADDRESS",
    default="127.0.0.1",
    show_default=True,
    help="Address of the page; 0.0.0.0 lets other machines look.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    metavar="N",
    default=8080,
    show_default=True,
    help="Port; the next free one if taken.",
)
@click.option("--duration", type=click.FloatRange(0, min_open=True), metavar="S", help="End after this time [seconds].")
@click.option("--depth", is_flag=True, help="Use and show the depth of the synthetic camera.")
@camera_options
@chain_options
def view(
    source: str,
    host: str,
    port: int,
    duration: float | None,
    depth: bool,
    camera_matrix: tuple[float, float, float, float] | None,
    fov_deg: float | None,
    mirrored: bool,
    **chain: Any,
) -> None:
    """Show the hands of a source in a page of the browser.

    The source is an image, a video, a webcam by its number, or a rendered hand. The command needs no ROS. A video restarts at its
    end. Ctrl-C closes the page. `make demo` shows the same page with the ROS graph behind it.
    """
    camera = camera_of(camera_matrix, fov_deg)
    if source != _SYNTHETIC and not source.isdigit() and not Path(source).is_file():
        raise click.BadParameter(
            f"'{source}' is not a file, not the number of a webcam and not '{_SYNTHETIC}'", param_hint="SOURCE"
        )
    if depth and source != _SYNTHETIC:
        raise click.BadParameter(f"only the source '{_SYNTHETIC}' has depth, not '{source}'", param_hint="--depth")
    from hand_mesh_ros.core.pipeline import HandMeshPipeline
    from hand_mesh_ros.viewer.page import Viewer

    frames = _frames(source, camera, mirrored, depth)
    first = next(frames)
    pipeline = HandMeshPipeline.default(**chain_settings(**chain))
    changes: SimpleQueue[tuple[str, Any]] = SimpleQueue()
    # Before the page opens: Ctrl-C then always closes the page.
    with stop_on_signals() as is_stopped:
        viewer = Viewer(host, port, lambda name, value: changes.put((name, value)))
        try:
            viewer.set_faces(pipeline.hand_model.faces)
            viewer.show_settings(asdict(pipeline.config))
            click.echo(f"Open {viewer.address} in a browser. Ctrl-C ends.")
            n_images, n_hands = _show(first, frames, pipeline, viewer, changes, _is_over(duration, is_stopped))
        finally:
            viewer.close()
    click.echo(f"{counted(n_images, 'image')}, {counted(n_hands, 'hand')}")


def _show(
    first: "Frame",
    frames: "Iterator[Frame]",
    pipeline: "HandMeshPipeline",
    viewer: "Viewer",
    changes: "SimpleQueue[tuple[str, Any]]",
    is_over: Callable[[], bool],
) -> tuple[int, int]:
    """Draws the frames until `is_over`. Returns the numbers of images and hands."""
    n_images = n_hands = 0
    frame: Frame | None = first
    is_alone = False
    while frame is not None:
        hands = pipeline.estimate(frame, alone=is_alone or n_images == 0)
        viewer.show(_snapshot(frame, hands, pipeline.timings_ms))
        n_images, n_hands = n_images + 1, n_hands + len(hands)
        while not (is_over() or viewer.takes_next()):
            time.sleep(0.02)
        if is_over():
            return n_images, n_hands
        is_changed = _apply(changes, pipeline, viewer)
        following = next(frames, None)
        # A single image is estimated again only with new settings.
        while following is None and not is_changed:
            if is_over():
                return n_images, n_hands
            time.sleep(0.05)
            is_changed = _apply(changes, pipeline, viewer)
        is_alone = following is None
        frame = following or frame
    return n_images, n_hands


def _apply(changes: "SimpleQueue[tuple[str, Any]]", pipeline: "HandMeshPipeline", viewer: "Viewer") -> bool:
    """Applies settings that the user changed on the page. Returns whether there was a change."""
    wanted: dict[str, Any] = {}
    while not changes.empty():
        name, value = changes.get()
        wanted[name] = value
    if not wanted:
        return False
    try:
        pipeline.reconfigure(replace(pipeline.config, **wanted))
    except ValueError as error:
        viewer.warn(str(error))
    viewer.show_settings(asdict(pipeline.config))
    return True


def _snapshot(frame: "Frame", hands: "list[HandEstimate]", timings_ms: dict[str, float]) -> Any:
    from hand_mesh_ros.viewer.snapshot import Snapshot

    facts = {f"{stage} [ms]": f"{value:.1f}" for stage, value in timings_ms.items()}
    headline = counted(len(hands), "hand") if hands else "no hand found"
    view = frame.rgb, frame.camera_matrix, frame.distortion
    return Snapshot(*view, hands, headline, facts, frame.depth_m, frame.stamp_s, timings_ms["total"])


def _frames(source: str, camera: "GivenCamera", mirrored: bool, depth: bool) -> "Iterator[Frame]":
    """Yields the frames of a source at the rate of the source. An image file gives one frame."""
    from hand_mesh_ros.sources import photograph
    from hand_mesh_ros.sources.image_source import SourceConfig, open_source

    if Path(source).suffix.lower() in photograph.SUFFIXES:
        yield photograph.load(Path(source), camera, mirrored=mirrored)
        return
    fov_deg = camera.fov_deg or SourceConfig.hfov_deg
    images = open_source(SourceConfig(source, hfov_deg=fov_deg if source == _SYNTHETIC else 0.0), _RATE_HZ)
    try:
        yield from _paced(images, source, camera, mirrored, depth)
    finally:
        images.close()


def _paced(images: "ImageSource", source: str, camera: "GivenCamera", mirrored: bool, depth: bool) -> "Iterator[Frame]":
    from hand_mesh_ros.core.types import Frame

    started_s, now_s = time.monotonic(), time.monotonic
    while True:
        shot = images.read()
        if shot is None:
            images.rewind()
            started_s = now_s()
            continue
        if not source.isdigit():
            early_s = started_s + shot.time_s - now_s()
            # After a pause the source goes on at its own rate.
            started_s -= min(0.0, early_s + _MOST_LATE_S)
            time.sleep(max(0.0, early_s))
        height, width = shot.rgb.shape[:2]
        matrix = shot.camera_matrix if source == _SYNTHETIC else camera.matrix(width, height)
        frame = Frame(shot.rgb, matrix, shot.truth.depth_m if depth and shot.truth else None, stamp_s=shot.time_s)
        yield frame.mirrored() if mirrored else frame


def _is_over(duration: float | None, is_stopped: Callable[[], bool]) -> Callable[[], bool]:
    end_s = time.monotonic() + (duration or float("inf"))
    return lambda: is_stopped() or time.monotonic() > end_s
