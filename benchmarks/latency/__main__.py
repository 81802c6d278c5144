"""Measures the time per frame of each stage on a video, and compares the pipeline with MediaPipe Hands on the same frames.

    python -m benchmarks.latency --video hand.mp4 --mediapipe-python mediapipe_env/bin/python

benchmarks/latency/mediapipe_hands.py describes the environment of `--mediapipe-python`. The two pipelines take turns frame by
frame, so that other load on the machine affects the two pipelines equally. The times do not include reading the video.
"""

import argparse
import json
import subprocess
import time
from pathlib import Path

import numpy as np

from benchmarks.report import say
from benchmarks.videos import frame_rate_hz, read_video
from hand_mesh_ros.core.geometry import camera
from hand_mesh_ros.core.pipeline import STAGES, HandMeshPipeline
from hand_mesh_ros.core.types import Frame

# The report skips the first frames, because caches and clock rates need time to settle.
_SETTLING = 10


class MediaPipe:
    """MediaPipe Hands in a separate process."""

    def __init__(self, python: Path, width: int, height: int, max_hands: int) -> None:
        script = Path(__file__).with_name("mediapipe_frames.py")
        command = [str(item) for item in (python, script, width, height, max_hands)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def __call__(self, rgb: np.ndarray) -> tuple[float, float, int]:
        """Returns wall time and processor time of one frame in milliseconds, and the number of hands.

        Raises:
            RuntimeError: if the process has ended.
        """
        try:
            self._process.stdin.write(rgb.tobytes())
            self._process.stdin.flush()
            wall_ms, cpu_ms, n_hands = self._process.stdout.readline().split()
        except (BrokenPipeError, ValueError) as error:
            raise RuntimeError(f"MediaPipe ended with code {self._process.wait()}; run it alone: {self._process.args}") from error
        return float(wall_ms), float(cpu_ms), int(n_hands)

    def close(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait()


def main() -> None:
    """Command line: see the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--video", type=Path, required=True)
    parser.add_argument("--mediapipe-python", type=Path, help="Python of an environment with mediapipe 0.10.21")
    parser.add_argument("--max-hands", type=int, default=2)
    parser.add_argument("--hypotheses", type=int, default=8)
    parser.add_argument("--steps", type=int, default=4, help="denoising steps of the joints")
    parser.add_argument("--threads", type=int, default=1, help="threads of each of our models")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--frames", type=int, default=0, help="number of frames to use; 0 for all")
    parser.add_argument("--json", type=Path, help="file for the times of every frame")
    args = parser.parse_args()
    settings = {"n_hypotheses": args.hypotheses, "joint_steps": args.steps, "threads": args.threads, "max_hands": args.max_hands}
    pipeline = HandMeshPipeline.default(args.device, **settings)
    rows = run(pipeline, args.video, args.mediapipe_python, args.frames)
    report(rows, pipeline)
    if args.json:
        args.json.write_text(json.dumps(rows))


def run(pipeline: HandMeshPipeline, video: Path, mediapipe_python: Path | None, limit: int) -> list[dict[str, float]]:
    """Returns the times in milliseconds and the number of hands of every frame."""
    mediapipe, rows, rate_hz = None, [], frame_rate_hz(video)
    for index, rgb in enumerate(read_video(video)):
        if limit and index >= limit:
            break
        height, width = rgb.shape[:2]
        if mediapipe_python and mediapipe is None:
            mediapipe = MediaPipe(mediapipe_python, width, height, pipeline.config.max_hands)
        frame = Frame(rgb, camera.assumed_camera_matrix(width, height), stamp_s=index / rate_hz)
        cpu_s = time.process_time()
        hands = pipeline.estimate(frame)
        row = {**pipeline.timings_ms, "cpu": 1e3 * (time.process_time() - cpu_s), "hands": float(len(hands))}
        if mediapipe:
            row["mediapipe"], row["mediapipe_cpu"], row["mediapipe_hands"] = mediapipe(rgb)
        rows.append(row)
    if mediapipe:
        mediapipe.close()
    return rows


def report(rows: list[dict[str, float]], pipeline: HandMeshPipeline) -> None:
    """Prints the table."""
    config, kept = pipeline.config, rows[_SETTLING:] or rows
    hands = np.array([row["hands"] for row in rows])
    cascade = f"{config.n_hypotheses} hypotheses x {config.joint_steps} steps"
    say(f"models {pipeline.model_id} on {pipeline.chain.sampler.provider}, {cascade}")
    say(f"{len(rows)} frames, exactly one hand in {np.mean(hands == 1):.1%}, search for at most {config.max_hands} hands")
    say(f"{'ms':14s} {'mean':>8s} {'p50':>8s} {'p95':>8s} {'p99':>8s}")
    for name in (*STAGES, "total", "cpu", "mediapipe", "mediapipe_cpu"):
        if name in kept[0]:
            values = np.array([row[name] for row in kept])
            say(f"{name:14s} {values.mean():8.2f} " + " ".join(f"{np.percentile(values, share):8.2f}" for share in (50, 95, 99)))
    if "mediapipe" in kept[0]:
        ours, theirs = (np.array([row[name] for row in kept]) for name in ("total", "mediapipe"))
        say(f"ours / MediaPipe: mean {ours.mean() / theirs.mean():.2f}, median {np.median(ours) / np.median(theirs):.2f}")
        say(f"MediaPipe found a hand in {np.mean([row['mediapipe_hands'] > 0 for row in rows]):.1%}")


if __name__ == "__main__":
    main()
