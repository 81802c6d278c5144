"""Measures the time per frame of each stage on a video, and compares the pipeline with MediaPipe Hands on the same frames.

    python -m benchmarks.latency --video hand.mp4 [--frames 600] [--json]
    python -m benchmarks.latency --video hand.mp4 --grid [--json]

The first call installs MediaPipe into an environment of its own. The two pipelines take turns frame by frame, so that other load
on the machine affects the two pipelines equally. The times do not include reading the video. `--grid` measures one and two hands,
1, 8 and 32 hypotheses, and two image sizes, without MediaPipe.
"""

import argparse
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice, product
from pathlib import Path

import cv2
import numpy as np

from benchmarks.latency.mediapipe_process import MediaPipe, own_environment
from benchmarks.report import say
from benchmarks.videos import frame_rate_hz, read_video
from hand_mesh_ros.core.geometry import camera
from hand_mesh_ros.core.pipeline import STAGES, HandMeshPipeline
from hand_mesh_ros.core.stream.memory import resident_mb
from hand_mesh_ros.core.types import Frame

# The report skips the first frames, because caches and clock rates need time to settle.
_SETTLING = 10
_SHARES = (50, 95, 99)
_GRID_HANDS, _GRID_HYPOTHESES, _GRID_SIZES = (1, 2), (1, 8, 32), ((640, 480), (1280, 720))
_GRID_FRAMES = 120
_GRID_COLUMNS = ("mean", "p50", "p95", "p99", "cpu")

Row = dict[str, float]  # times of one frame [ms] by stage, and numbers of hands


@dataclass(frozen=True)
class Summary:
    """Times of all frames of one run."""

    model_id: str
    provider: str
    hypotheses: int
    steps: int
    frames: int
    share_with_one_hand: float
    hands: float  # mean number per frame
    ms: dict[str, dict[str, float]]  # mean, p50, p95 and p99 of each stage, of the whole frame and of MediaPipe
    cpu_percent: float  # processor time / wall time of our pipeline
    memory_mb: float  # resident memory of our process at the end
    ratio_to_mediapipe: float | None  # mean / mean; None if not measured
    median_ratio_to_mediapipe: float | None


def main() -> None:
    """Command line: see the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", type=Path, required=True)
    parser.add_argument("--no-mediapipe", action="store_true", help="measure only our pipeline")
    parser.add_argument("--mediapipe-python", type=Path, help="Python with mediapipe 0.10.21, instead of an own environment")
    parser.add_argument("--max-hands", type=int, default=2)
    parser.add_argument("--hypotheses", type=int, default=8)
    parser.add_argument("--steps", type=int, default=4, help="denoising steps of the joints")
    parser.add_argument("--threads", type=int, default=1, help="threads of each of our models")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--frames", type=int, default=0, help="number of frames to use; 0 for all")
    parser.add_argument("--grid", action="store_true", help="one and two hands, 1, 8 and 32 hypotheses, two image sizes")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object in the last line")
    args = parser.parse_args()
    settings = {"joint_steps": args.steps, "threads": args.threads}
    if args.grid:
        grid = measure_grid(args.video, args.frames or _GRID_FRAMES, args.device, settings)
        if args.json:
            say(json.dumps({"grid": grid}))
        return
    pipeline = HandMeshPipeline.default(args.device, **settings, n_hypotheses=args.hypotheses, max_hands=args.max_hands)
    python = None if args.no_mediapipe else args.mediapipe_python or own_environment()
    rows = run(pipeline, read_video(args.video), frame_rate_hz(args.video), python, args.frames)
    summary = summarise(rows, pipeline)
    report(summary)
    if args.json:
        say(json.dumps(asdict(summary)))


def run(
    pipeline: HandMeshPipeline, images: Iterable[np.ndarray], rate_hz: float, mediapipe_python: Path | None, limit: int = 0
) -> list[Row]:
    """Returns the times of `frames_of` as a list."""
    return list(frames_of(pipeline, images, rate_hz, mediapipe_python, limit))


def frames_of(
    pipeline: HandMeshPipeline, images: Iterable[np.ndarray], rate_hz: float, mediapipe_python: Path | None, limit: int = 0
) -> Iterator[Row]:
    """Yields the times in milliseconds and the number of hands of every frame.

    Args:
        pipeline: the pipeline to measure.
        images: (H, W, 3) uint8 rgb, all of one size.
        rate_hz: their rate.
        mediapipe_python: Python with MediaPipe; None to measure only our pipeline.
        limit: number of images to use; 0 for all.
    """
    mediapipe = None
    for index, rgb in enumerate(islice(images, limit or None)):
        height, width = rgb.shape[:2]
        if mediapipe_python and mediapipe is None:
            mediapipe = MediaPipe(mediapipe_python, width, height, pipeline.config.max_hands)
        frame = Frame(rgb, camera.assumed_camera_matrix(width, height), stamp_s=index / rate_hz)
        cpu_s = time.process_time()
        hands = pipeline.estimate(frame)
        row = {**pipeline.timings_ms, "cpu": 1e3 * (time.process_time() - cpu_s), "hands": float(len(hands))}
        if mediapipe:
            row["mediapipe"], row["mediapipe_cpu"], row["mediapipe_hands"] = mediapipe(rgb)
        yield row
    if mediapipe:
        mediapipe.close()


def summarise(rows: list[Row], pipeline: HandMeshPipeline) -> Summary:
    """Returns the summary of a run."""
    kept, config = rows[_SETTLING:] or rows, pipeline.config
    names = [name for name in (*STAGES, "total", "cpu", "mediapipe", "mediapipe_cpu") if name in kept[0]]
    values = {name: np.array([row[name] for row in kept]) for name in names}
    hands, total = np.array([row["hands"] for row in rows]), values["total"]
    theirs = values.get("mediapipe")
    return Summary(
        model_id=pipeline.model_id,
        provider=pipeline.provider,
        hypotheses=config.n_hypotheses,
        steps=config.joint_steps,
        frames=len(rows),
        share_with_one_hand=float(np.mean(hands == 1)),
        hands=float(hands.mean()),
        ms={name: _percentiles(times) for name, times in values.items()},
        cpu_percent=float(100 * values["cpu"].sum() / total.sum()),
        memory_mb=resident_mb(),
        ratio_to_mediapipe=None if theirs is None else float(total.mean() / theirs.mean()),
        median_ratio_to_mediapipe=None if theirs is None else float(np.median(total) / np.median(theirs)),
    )


def _percentiles(times_ms: np.ndarray) -> dict[str, float]:
    return {"mean": float(times_ms.mean())} | {f"p{share}": float(np.percentile(times_ms, share)) for share in _SHARES}


def report(summary: Summary) -> None:
    """Prints a table."""
    say(f"models {summary.model_id} on {summary.provider}, {summary.hypotheses} hypotheses x {summary.steps} steps")
    say(f"{summary.frames} frames, exactly one hand in {summary.share_with_one_hand:.1%}, {summary.hands:.2f} hands a frame")
    say(f"processor {summary.cpu_percent:.0f} %, memory {summary.memory_mb:.0f} MB")
    say(f"{'ms':14s} {'mean':>8s} {'p50':>8s} {'p95':>8s} {'p99':>8s}")
    for name, figures in summary.ms.items():
        say(f"{name:14s} " + " ".join(f"{value:8.2f}" for value in figures.values()))
    if summary.ratio_to_mediapipe is not None:
        say(f"ours / MediaPipe: mean {summary.ratio_to_mediapipe:.2f}, median {summary.median_ratio_to_mediapipe:.2f}")


def measure_grid(video: Path, limit: int, device: str, settings: dict[str, int]) -> list[dict[str, float]]:
    """Prints and returns the time per frame for numbers of hands, numbers of hypotheses and image sizes."""
    say(
        f"{'image':>10s} {'hands':>6s} {'found':>6s} {'K':>4s} {'mean':>8s} {'p50':>8s} {'p95':>8s} {'p99':>8s} {'cpu':>8s}  [ms]"
    )
    rows = []
    for (width, height), n_hands, hypotheses in product(_GRID_SIZES, _GRID_HANDS, _GRID_HYPOTHESES):
        pipeline = HandMeshPipeline.default(device, **settings, n_hypotheses=hypotheses, max_hands=n_hands)
        images = resized(read_video(video), width, height, n_hands)
        summary = summarise(run(pipeline, images, frame_rate_hz(video), None, limit), pipeline)
        row = {"width": width, "height": height, "hands": n_hands, "found": summary.hands, "hypotheses": hypotheses}
        row |= summary.ms["total"] | {"cpu": summary.ms["cpu"]["mean"]}
        times = " ".join(f"{row[name]:8.2f}" for name in _GRID_COLUMNS)
        say(f"{width:>5d}x{height:<4d} {n_hands:>6d} {summary.hands:>6.2f} {hypotheses:>4d} {times}")
        rows.append(row)
    return rows


def resized(images: Iterable[np.ndarray], width: int, height: int, n_hands: int) -> Iterator[np.ndarray]:
    """Yields images (height, width, 3). For two hands, an image shows the left half of the picture beside its mirror image.

    The picture must show its hand in the middle. The aspect ratio is kept; the image is cropped at its borders.
    """
    part = width // n_hands
    for rgb in images:
        scale = max(part / rgb.shape[1], height / rgb.shape[0])
        size = (max(part, round(scale * rgb.shape[1])), max(height, round(scale * rgb.shape[0])))
        large = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        left, top = (size[0] - part) // 2, (size[1] - height) // 2
        one = large[top : top + height, left : left + part]
        yield np.ascontiguousarray(one if n_hands == 1 else np.concatenate([one, one[:, ::-1]], axis=1))


if __name__ == "__main__":
    main()
