"""Images in a row of one hand, rendered or of a video, with the unfiltered answers of the pipeline."""

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
_SMALL_PX = (160, 90)  # in which images are compared


@dataclass(frozen=True)
class Moment:
    """One image and what was found in it."""

    frame: Frame
    found: HandEstimate  # not smoothed
    truth_m: np.ndarray | None = None  # (21, 3) joints in the camera frame, where they are known


def at_rest(camera: SyntheticCamera, count: int) -> Iterator[tuple[Frame, np.ndarray]]:
    """Images of a hand that rests, with its joints. The motion repeats after a lap, the sensor noise does not."""
    return moving(camera, count, LAP_S * RATE_HZ, _STILL_AT_S)


def moving(camera: SyntheticCamera, count: int, speed: float, start_s: float = 0.0) -> Iterator[tuple[Frame, np.ndarray]]:
    """Images of a motion at `speed` times its own, with the joints."""
    for index in range(count):
        view = camera.at(start_s + speed * index / RATE_HZ)
        yield Frame(view.rgb, camera.camera_matrix, stamp_s=index / RATE_HZ), view.joints_m


def of_video(path: Path) -> Iterator[tuple[Frame, None]]:
    """Images of a file, at its own rate."""
    source = open_source(SourceConfig(source=str(path)), RATE_HZ)
    while (shot := source.read()) is not None:
        yield Frame(shot.rgb, shot.camera_matrix, stamp_s=shot.time_s), None


def followed(pipeline: HandMeshPipeline, images: Iterable[tuple[Frame, np.ndarray | None]]) -> list[Moment]:
    """The longest run of images in which one and the same hand was seen."""
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
    """The answers as the pipeline smooths them."""
    smoother = HandSmoother(config)
    return [smoother.step(moment.found, moment.frame) for moment in moments]


def stillest(moments: Sequence[Moment], length: int, count: int) -> list[slice]:
    """Where, without overlap, the images change least, whatever was found in them."""
    small = [cv2.resize(moment.frame.rgb, _SMALL_PX, interpolation=cv2.INTER_AREA).astype(np.float32) for moment in moments]
    changes = np.array([np.abs(newer - older).mean() for newer, older in zip(small[1:], small[:-1])])
    totals = np.convolve(changes, np.ones(length - 1), mode="valid")
    chosen: list[int] = []
    for start in np.argsort(totals, kind="stable"):
        if len(chosen) < count and all(abs(start - other) >= length for other in chosen):
            chosen.append(int(start))
    return [slice(start, start + length) for start in sorted(chosen)]
