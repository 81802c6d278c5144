"""`hand-mesh view`: a page in the browser with the hands of a source, without ROS."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hand_mesh_ros.apps.command import Command, camera_of, camera_options, chain_options, chain_settings, stop_on_signals

if TYPE_CHECKING:
    from hand_mesh_ros.core.pipeline import HandMeshPipeline
    from hand_mesh_ros.core.types import Frame, HandEstimate
    from hand_mesh_ros.sources.assumed_camera import GivenCamera
    from hand_mesh_ros.sources.image_source import ImageSource
    from hand_mesh_ros.viewer.page import Viewer

_SYNTHETIC = "synthetic"
_RATE_HZ = 30.0  # of the synthetic camera


@click.command(
    cls=Command,
    examples=("hand-mesh view synthetic", "hand-mesh view clip.mp4 --fov 69 --port 8090", "hand-mesh view 0 --mirrored"),
)
@click.argument("source", metavar="FILE|WEBCAM|synthetic")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address of the page; 0.0.0.0 lets other machines look.")
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="Port; the next free one if taken.")
@click.option("--duration", type=click.FloatRange(0, min_open=True), metavar="S", help="End after this time [seconds].")
@camera_options
@chain_options
def view(
    source: str,
    host: str,
    port: int,
    duration: float | None,
    camera_matrix: tuple[float, float, float, float] | None,
    fov_deg: float | None,
    mirrored: bool,
    **chain: Any,
) -> None:
    """Show the hands of an image, a video, a webcam or a rendered hand in a browser page, without ROS.

    A video restarts at its end. Ctrl-C closes the page. `make demo` shows the same page with the ROS graph behind it.
    """
    camera = camera_of(camera_matrix, fov_deg)
    if source != _SYNTHETIC and not source.isdigit() and not Path(source).is_file():
        raise click.BadParameter(
            f"'{source}' is not a file, not the number of a webcam and not '{_SYNTHETIC}'", param_hint="SOURCE"
        )
    from hand_mesh_ros.core.pipeline import HandMeshPipeline
    from hand_mesh_ros.viewer.page import Viewer

    frames = _frames(source, camera, mirrored)
    first = next(frames)
    pipeline = HandMeshPipeline.default(**chain_settings(**chain))
    # Before the page opens: Ctrl-C then always closes the page.
    with stop_on_signals() as is_stopped:
        viewer = Viewer(host, port)
        try:
            viewer.set_faces(pipeline.hand_model.faces)
            click.echo(f"Open {viewer.address} in a browser. Ctrl-C ends.")
            n_images, n_hands = _show(first, frames, pipeline, viewer, _is_over(duration, is_stopped))
        finally:
            viewer.close()
    click.echo(f"{n_images} images, {n_hands} hands")


def _show(
    first: "Frame", frames: "Iterator[Frame]", pipeline: "HandMeshPipeline", viewer: "Viewer", is_over: Callable[[], bool]
) -> tuple[int, int]:
    """Draws the frames until `is_over`. Returns the numbers of images and hands."""
    n_images = n_hands = 0
    frame: Frame | None = first
    is_alone = False
    while frame is not None:
        hands = pipeline.estimate(frame, alone=is_alone or n_images == 0)
        viewer.show(_snapshot(frame, hands, pipeline.timings_ms))
        n_images, n_hands = n_images + 1, n_hands + len(hands)
        if is_over():
            break
        frame = next(frames, None)
    while not is_over():  # one image: the page stays open
        time.sleep(0.05)
    return n_images, n_hands


def _snapshot(frame: "Frame", hands: "list[HandEstimate]", timings_ms: dict[str, float]) -> Any:
    from hand_mesh_ros.viewer.page import Snapshot

    facts = {f"{stage} [ms]": f"{value:.1f}" for stage, value in timings_ms.items()}
    headline = f"{len(hands)} hand(s)" if hands else "no hand found"
    return Snapshot(frame.rgb, frame.camera_matrix, frame.distortion, hands, headline, facts)


def _frames(source: str, camera: "GivenCamera", mirrored: bool) -> "Iterator[Frame]":
    """Yields the frames of a source at the rate of the source. An image file gives one frame."""
    from hand_mesh_ros.sources import photograph
    from hand_mesh_ros.sources.image_source import SourceConfig, open_source

    if Path(source).suffix.lower() in photograph.SUFFIXES:
        yield photograph.load(Path(source), camera, mirrored=mirrored)
        return
    fov_deg = camera.fov_deg or SourceConfig.hfov_deg
    images = open_source(SourceConfig(source, hfov_deg=fov_deg if source == _SYNTHETIC else 0.0), _RATE_HZ)
    try:
        yield from _paced(images, source, camera, mirrored)
    finally:
        images.close()


def _paced(images: "ImageSource", source: str, camera: "GivenCamera", mirrored: bool) -> "Iterator[Frame]":
    from hand_mesh_ros.core.types import Frame

    started_s, now_s = time.monotonic(), time.monotonic
    while True:
        shot = images.read()
        if shot is None:
            images.rewind()
            started_s = now_s()
            continue
        if not source.isdigit():
            time.sleep(max(0.0, started_s + shot.time_s - now_s()))
        height, width = shot.rgb.shape[:2]
        matrix = shot.camera_matrix if source == _SYNTHETIC else camera.matrix(width, height)
        frame = Frame(shot.rgb, matrix, stamp_s=shot.time_s)
        yield frame.mirrored() if mirrored else frame


def _is_over(duration: float | None, is_stopped: Callable[[], bool]) -> Callable[[], bool]:
    end_s = time.monotonic() + (duration or float("inf"))
    return lambda: is_stopped() or time.monotonic() > end_s
