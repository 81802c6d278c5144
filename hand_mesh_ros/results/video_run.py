"""The chain on every image of a video, with files that survive a stop and can be continued."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.types import Frame, HandEstimate
from hand_mesh_ros.results import tables
from hand_mesh_ros.results.journal import Journal
from hand_mesh_ros.results.record import Origin, Record, hands_of, to_record
from hand_mesh_ros.results.video_file import OverlayVideo
from hand_mesh_ros.sources.assumed_camera import GivenCamera
from hand_mesh_ros.sources.image_source import ImageSource, Shot
from hand_mesh_ros.viewer.overlay import draw_overlay

# A continued run shows the chain these last images of the stopped one again, so that it follows the same hands [s].
_AGAIN_S = 1.0
_USUAL_RATE_HZ = 30.0
# What a continued run must share with the stopped one.
_SAME = ("source", "width_px", "height_px", "camera_matrix_px", "model_id", "settings")


@dataclass(frozen=True)
class VideoJob:
    """What to do with a video."""

    records: Path  # NAME.jsonl of the complete run; the other files differ in the suffix, and their folder must be there
    kinds: Collection[str]  # some of `kinds.OF_VIDEO`; "jsonl" is always written, since a continued run needs it
    camera: GivenCamera
    origin: Origin
    mirrored: bool = False  # a selfie view
    is_live: bool = False  # a webcam: it ends when the user stops it


@dataclass(frozen=True)
class Progress:
    """How far a run is. All counts include the images of a stopped run."""

    images: int = 0
    hands: int = 0
    is_replay: bool = False  # an image of the stopped run


@dataclass(frozen=True)
class Outcome:
    """What a run did."""

    progress: Progress
    is_complete: bool
    files: Sequence[Path] = field(default_factory=tuple)


class VideoRun:
    """One run over a video."""

    def __init__(self, job: VideoJob, source: ImageSource, pipeline: HandMeshPipeline) -> None:
        """Takes the job, the opened source and a new pipeline."""
        self._job, self._source, self._pipeline = job, source, pipeline
        self._rate_hz = source.rate_hz or _USUAL_RATE_HZ
        self._journal = Journal(job.records, len(pipeline.hand_model.template_m))
        self._overlay = OverlayVideo(job.records.with_suffix(".mp4"), self._rate_hz) if "overlay" in job.kinds else None
        self._ids = _Ids()

    def __call__(self, resume: bool, report: Callable[[Progress], None], is_stopped: Callable[[], bool]) -> Outcome:
        """Processes the images to the end of the video, or until `is_stopped`. The files are written in any case.

        Args:
            resume: continue after the images of a stopped run.
            report: called after every image.
            is_stopped: asked after every image.

        Raises:
            FileExistsError: if a stopped run left its records and `resume` is False.
            SourceError: if the video is damaged; what came before is written.
            ValueError: if the stopped run had other settings.
        """
        progress = self._replay(self._start(resume), report)
        is_complete, files = False, []
        try:
            while not is_stopped() and not is_complete:
                shot = self._source.read()
                is_complete = shot is None
                if shot is not None:
                    hands = self._add(shot, progress.images)
                    progress = Progress(progress.images + 1, progress.hands + len(hands))
                    report(progress)
            is_complete = is_complete or self._job.is_live
        finally:
            files = self._write_files(is_complete)
        return Outcome(progress, is_complete, files)

    def _start(self, resume: bool) -> int:
        if resume:
            return self._journal.recover()
        try:
            self._journal.start()
        except FileExistsError as error:
            left = self._journal.unfinished
            raise FileExistsError(f"{left} is left from a stopped run: continue it with --resume, or delete it") from error
        return 0

    def _replay(self, n_known: int, report: Callable[[Progress], None]) -> Progress:
        """Reads past the images of the stopped run. The overlay is drawn again, since a video file cannot be continued."""
        progress = Progress()
        first_shown = n_known - max(1, round(_AGAIN_S * self._rate_hz))
        try:
            for record in self._journal.records() if n_known else ():
                frame, hands = self._known_frame(record, progress.images), hands_of(record)
                self._draw(frame, hands)
                if progress.images >= first_shown:
                    self._ids.match(self._pipeline.estimate(frame), hands)
                self._ids.reserve(hands)
                progress = Progress(progress.images + 1, progress.hands + len(hands), is_replay=True)
                report(progress)
        except BaseException:
            if self._overlay:
                self._overlay.discard()  # the video of the stopped run stays
            raise
        return progress

    def _add(self, shot: Shot, index: int) -> list[HandEstimate]:
        frame = self._frame(shot)
        hands = self._ids.renamed(self._pipeline.estimate(frame))
        self._journal.append(self._record(frame, hands, index), hands)
        self._draw(frame, hands)
        return hands

    def _frame(self, shot: Shot) -> Frame:
        height, width = shot.rgb.shape[:2]
        frame = Frame(shot.rgb, self._job.camera.matrix(width, height), stamp_s=shot.time_s)
        return frame.mirrored() if self._job.mirrored else frame

    def _record(self, frame: Frame, hands: Sequence[HandEstimate], index: int) -> Record:
        return to_record(frame, hands, replace(self._job.origin, index=index, time_s=frame.stamp_s))

    def _known_frame(self, stored: Record, index: int) -> Frame:
        """The next image, which the stopped run has seen with the same settings."""
        shot = self._source.read()
        if shot is None:
            raise ValueError(f"{self._job.origin.name} ends after {index} images, but {self._journal.unfinished} has more")
        frame = self._frame(shot)
        now = self._record(frame, (), index)
        for key in _SAME:
            if stored.get(key) != now[key]:
                raise ValueError(
                    f"{self._journal.unfinished} has {key} {stored.get(key)} in image {index}, this run {now[key]}: "
                    "continue with the same options, or delete the file"
                )
        return frame

    def _draw(self, frame: Frame, hands: Sequence[HandEstimate]) -> None:
        if self._overlay:
            self._overlay.write(draw_overlay(frame.rgb, hands, frame.working_camera_matrix))

    def _write_files(self, is_complete: bool) -> list[Path]:
        journal, files = self._journal, []
        if self._overlay and self._overlay.close():
            files.append(self._overlay.path)
        if "npz" in self._job.kinds:
            files.append(journal.path.with_suffix(".npz"))
            tables.write_npz(files[-1], journal.records(), journal.surfaces(), self._pipeline.hand_model.faces)
        if "csv" in self._job.kinds:
            files.append(journal.path.with_suffix(".csv"))
            tables.write_csv(files[-1], journal.records())
        if is_complete:
            journal.finish()
        return [*files, journal.path if is_complete else journal.unfinished]


class _Ids:
    """Track ids of a continued run: those of the stopped run for the hands that are still followed, new ones for others."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._largest = 0

    def reserve(self, hands: Sequence[HandEstimate]) -> None:
        """Ids of the stopped run, which no other hand may get."""
        self._largest = max([self._largest, *(int(hand.track_id) for hand in hands)])

    def match(self, found: Sequence[HandEstimate], stored: Sequence[HandEstimate]) -> None:
        """Learns which of the stored hands of an image is which of those found again."""
        for hand in found:
            near = [other for other in stored if other.handedness == hand.handedness and _is_same_place(hand, other)]
            if near:
                self._names[hand.track_id] = min(near, key=lambda other: _distance_px(hand, other)).track_id

    def renamed(self, hands: Sequence[HandEstimate]) -> list[HandEstimate]:
        """The hands with their ids in the whole video."""
        for hand in hands:
            if hand.track_id not in self._names:
                self._largest += 1
                self._names[hand.track_id] = str(self._largest)
        return [replace(hand, track_id=self._names[hand.track_id]) for hand in hands]


def _distance_px(hand: HandEstimate, other: HandEstimate) -> float:
    return float(np.linalg.norm(hand.keypoints_px - other.keypoints_px, axis=1).mean())


def _is_same_place(hand: HandEstimate, other: HandEstimate) -> bool:
    """Whether the keypoints are apart by less than a quarter of the extent of the hand."""
    return _distance_px(hand, other) < 0.25 * float(np.ptp(hand.keypoints_px, axis=0).max())
