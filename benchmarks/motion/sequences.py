"""Image sequences of one hand, rendered or from a video, with the unfiltered results of the pipeline."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.track.smooth import HandSmoother
from hand_mesh_ros.core.types import Frame, HandEstimate
from hand_mesh_ros.sources.image_source import SourceConfig, open_source
from hand_mesh_ros.synthetic.camera import LAP_S, SyntheticCamera

RATE_HZ = 30.0
_STILL_AT_S = 0.5  # a moment at which the synthetic hand is open and near
_SMALL_PX = (160, 90)  # size of the images for the comparison


@dataclass(frozen=True)
class Moment:
    """One image and the hand that the pipeline found in it."""

    frame: Frame
    found: HandEstimate  # not smoothed
    truth_m: np.ndarray | None = None  # (21, 3) joints in the camera frame; None if unknown


def at_rest(camera: SyntheticCamera, count: int) -> Iterator[tuple[Frame, np.ndarray]]:
    """Yields images of a hand at rest, with its joints. The motion repeats after a lap; the sensor noise does not repeat."""
    return moving(camera, count, LAP_S * RATE_HZ, _STILL_AT_S)


def moving(camera: SyntheticCamera, count: int, speed: float, start_s: float = 0.0) -> Iterator[tuple[Frame, np.ndarray]]:
    """Yields images of a motion at `speed` times its normal speed, with the joints."""
    for index in range(count):
        view = camera.at(start_s + speed * index / RATE_HZ)
        yield Frame(view.rgb, camera.camera_matrix, stamp_s=index / RATE_HZ), view.joints_m


def of_video(path: Path) -> Iterator[tuple[Frame, None]]:
    """Yields the images of a video file at the rate of the file."""
    source = open_source(SourceConfig(source=str(path)), RATE_HZ)
    while (shot := source.read()) is not None:
        yield Frame(shot.rgb, shot.camera_matrix, stamp_s=shot.time_s), None


def followed(pipeline: HandMeshPipeline, images: Iterable[tuple[Frame, np.ndarray | None]]) -> list[Moment]:
    """Returns the longest run of images with the same tracked hand."""
    pipeline.reset()
    runs: list[list[Moment]] = [[]]
    for frame, truth_m in images:
        hands = pipeline.estimate(frame)
        if not hands or hands[0].state == "new":
            runs.append([])
        if hands:
            runs[-1].append(Moment(frame, hands[0], truth_m))
    return max(runs, key=len)


def smoothed(moments: Sequence[Moment], config: PipelineConfig) -> list[HandEstimate]:
    """Returns the results after the same smoothing as in the pipeline."""
    smoother = HandSmoother(config)
    return [smoother.step(moment.found, moment.frame) for moment in moments]


def stillest(moments: Sequence[Moment], length: int, count: int) -> list[slice]:
    """Returns passages without overlap where the images change least. The results of the pipeline do not matter."""
    small = [cv2.resize(moment.frame.rgb, _SMALL_PX, interpolation=cv2.INTER_AREA).astype(np.float32) for moment in moments]
    changes = np.array([np.abs(newer - older).mean() for newer, older in zip(small[1:], small[:-1])])
    totals = np.convolve(changes, np.ones(length - 1), mode="valid")
    chosen: list[int] = []
    for start in np.argsort(totals, kind="stable"):
        if len(chosen) < count and all(abs(start - other) >= length for other in chosen):
            chosen.append(int(start))
    return [slice(start, start + length) for start in sorted(chosen)]
