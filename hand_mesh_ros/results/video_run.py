"""Runs the chain on every image of a video. A later run can continue a stopped run."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.types import Frame, HandEstimate
from hand_mesh_ros.results import tables
from hand_mesh_ros.results.journal import Journal, first_record
from hand_mesh_ros.results.record import Origin, Record, hands_of, to_record
from hand_mesh_ros.results.video_file import OverlayVideo
from hand_mesh_ros.sources.assumed_camera import GivenCamera
from hand_mesh_ros.sources.image_source import ImageSource, Shot
from hand_mesh_ros.viewer.overlay import draw_overlay

# A continued run processes the last images of the stopped run again for this time, so that the chain tracks the same hands [s].
_AGAIN_S = 1.0
_USUAL_RATE_HZ = 30.0
# Keys of the records that must be equal in the stopped and the continued run.
_SAME = ("source", "width_px", "height_px", "camera_matrix_px", "model_id", "settings")
_SUFFIXES = {"overlay": ".mp4", "jsonl": ".jsonl", "npz": ".npz", "csv": ".csv"}


@dataclass(frozen=True)
class VideoJob:
    """Settings of a run."""

    records: Path  # path NAME.jsonl in an existing folder; the other files differ only in the suffix
    kinds: Collection[str]  # some of `kinds.OF_VIDEO`; the run always writes "jsonl"
    camera: GivenCamera
    origin: Origin
    mirrored: bool = False  # a selfie view
    is_live: bool = False  # a webcam: the run is complete when the user stops it


@dataclass(frozen=True)
class Progress:
    """Progress of a run. The counts include the images of the stopped run."""

    images: int = 0
    hands: int = 0
    is_replay: bool = False  # True for an image of the stopped run


@dataclass(frozen=True)
class Outcome:
    """Result of a run."""

    progress: Progress
    is_complete: bool
    files: Sequence[Path] = field(default_factory=tuple)


class VideoRun:
    """A run over a video."""

    def __init__(self, job: VideoJob, source: ImageSource, pipeline: HandMeshPipeline) -> None:
        """Stores the settings, the open source and a new pipeline."""
        self._job, self._source, self._pipeline = job, source, pipeline
        self._rate_hz = source.rate_hz or _USUAL_RATE_HZ
        self._journal = Journal(job.records, len(pipeline.hand_model.template_m))
        self._overlay = (
            OverlayVideo(job.records.with_suffix(_SUFFIXES["overlay"]), self._rate_hz) if "overlay" in job.kinds else None
        )
        self._ids = _Ids()

    def __call__(self, resume: bool, report: Callable[[Progress], None], is_stopped: Callable[[], bool]) -> Outcome:
        """Processes the images until the end of the video or until `is_stopped`. The run writes its files in both cases.

        Args:
            resume: True to continue a stopped run.
            report: called after every image.
            is_stopped: called after every image; True ends the run.

        Raises:
            FileExistsError: if there is a stopped run and `resume` is False.
            SourceError: if the video is damaged. The files have the images before the damage.
            ValueError: if the settings of the stopped run were different.
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

    def check_complete(self) -> None:
        """Checks that the complete run, which `resume` would continue, has the settings and the files of this run.

        Raises:
            FileNotFoundError: if the complete run did not write a file of this run.
            ValueError: if the settings of the complete run were different.
        """
        records = self._job.records
        for path in (records.with_suffix(_SUFFIXES[kind]) for kind in self._job.kinds):
            if not path.is_file():
                raise FileNotFoundError(f"{records} is complete, but {path.name} is missing: run without --resume to write it")
        stored = first_record(records)
        if stored is not None:
            self._known_frame(stored, 0, records, "run without --resume to replace the file")

    def _start(self, resume: bool) -> int:
        if resume:
            return self._journal.recover()
        try:
            self._journal.start()
        except FileExistsError as error:
            left = self._journal.unfinished
            raise FileExistsError(
                f"{left} exists from a stopped run: continue the run with --resume, or delete the file"
            ) from error
        return 0

    def _replay(self, n_known: int, report: Callable[[Progress], None]) -> Progress:
        """Reads the images of the stopped run and draws their overlays again, because OpenCV cannot append to a video."""
        progress = Progress()
        first_shown = n_known - max(1, round(_AGAIN_S * self._rate_hz))
        try:
            for record in self._journal.records() if n_known else ():
                frame = self._known_frame(
                    record, progress.images, self._journal.unfinished, "use the same options, or delete the file"
                )
                hands = hands_of(record)
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

    def _known_frame(self, stored: Record, index: int, path: Path, advice: str) -> Frame:
        """Returns the next image of an earlier run, after a check of the settings. The errors name its file and an advice."""
        shot = self._source.read()
        if shot is None:
            raise ValueError(f"{self._job.origin.name} ends after {index} images, but {path} has more")
        frame = self._frame(shot)
        now = self._record(frame, (), index)
        for key in _SAME:
            if stored.get(key) != now[key]:
                raise ValueError(f"{path} has {key} {stored.get(key)} in image {index}, but this run has {now[key]}: {advice}")
        return frame

    def _draw(self, frame: Frame, hands: Sequence[HandEstimate]) -> None:
        if self._overlay:
            self._overlay.write(draw_overlay(frame.rgb, hands, frame.working_camera_matrix))

    def _write_files(self, is_complete: bool) -> list[Path]:
        journal, files = self._journal, []
        if self._overlay and self._overlay.close():
            files.append(self._overlay.path)
        if "npz" in self._job.kinds:
            files.append(journal.path.with_suffix(_SUFFIXES["npz"]))
            tables.write_npz(files[-1], journal.records(), journal.surfaces(), self._pipeline.hand_model.faces)
        if "csv" in self._job.kinds:
            files.append(journal.path.with_suffix(_SUFFIXES["csv"]))
            tables.write_csv(files[-1], journal.records())
        if is_complete:
            journal.finish()
        return [*files, journal.path if is_complete else journal.unfinished]


class _Ids:
    """Track ids of a continued run. Hands that are still tracked keep the ids of the stopped run. Other hands get new ids."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._largest = 0

    def reserve(self, hands: Sequence[HandEstimate]) -> None:
        """Stores ids of the stopped run, so that no other hand gets these ids."""
        self._largest = max([self._largest, *(int(hand.track_id) for hand in hands)])

    def match(self, found: Sequence[HandEstimate], stored: Sequence[HandEstimate]) -> None:
        """Matches the hands of an image with the stored hands of the same image."""
        for hand in found:
            near = [other for other in stored if other.handedness == hand.handedness and _is_same_place(hand, other)]
            if near:
                self._names[hand.track_id] = min(near, key=lambda other: _distance_px(hand, other)).track_id

    def renamed(self, hands: Sequence[HandEstimate]) -> list[HandEstimate]:
        """Returns the hands with their ids in the whole video."""
        for hand in hands:
            if hand.track_id not in self._names:
                self._largest += 1
                self._names[hand.track_id] = str(self._largest)
        return [replace(hand, track_id=self._names[hand.track_id]) for hand in hands]


def _distance_px(hand: HandEstimate, other: HandEstimate) -> float:
    return float(np.linalg.norm(hand.keypoints_px - other.keypoints_px, axis=1).mean())


def _is_same_place(hand: HandEstimate, other: HandEstimate) -> bool:
    """Returns whether the mean distance of the keypoints is less than a quarter of the extent of the hand."""
    return _distance_px(hand, other) < 0.25 * float(np.ptp(hand.keypoints_px, axis=0).max())
