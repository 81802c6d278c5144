"""Several cameras on one machine, each with its own pipeline: in one process that takes turns, or in one process per camera."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.latency import __main__ as latency
from benchmarks.report import say
from benchmarks.videos import frame_rate_hz, read_video
from hand_mesh_ros.core.pipeline import HandMeshPipeline


def row(video: Path, cameras: int, processes: int, frames: int) -> str:
    """Returns a table row: cameras, processes, rate, time from image to image of a camera (median, 99 %), memory of a process."""
    in_turns = cameras // processes
    summaries = in_processes(processes, video, frames, in_turns)
    of_images = [summary["ms"]["total"] for summary in summaries]
    rate = sum(1e3 / ms["mean"] for ms in of_images)
    median, last = (in_turns * sum(ms[name] for ms in of_images) / processes for name in ("p50", "p99"))
    memory = max(summary["memory_mb"] for summary in summaries)
    return f"| {cameras} | {processes} | {rate:.0f} | {median:.1f} | {last:.1f} | {memory:.0f} |"


def in_processes(count: int, video: Path, frames: int, cameras: int) -> list[dict[str, Any]]:
    """Runs `cameras` pipelines in each of `count` processes at the same time, and returns their summaries.

    Raises:
        RuntimeError: if a process fails.
    """
    command = [sys.executable, "-m", "benchmarks.latency.fleet", str(video), str(frames), str(cameras)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    answers = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        raise RuntimeError(f"{' '.join(command)} ended with {[process.returncode for process in running]}")
    return [json.loads(answer.splitlines()[-1]) for answer in answers]


def turns(video: Path, frames: int, cameras: int) -> latency.Summary:
    """Runs pipelines in turns, each on the same video, and returns the summary of all their images."""
    pipelines = [HandMeshPipeline.default("cpu", max_hands=1, landmark_threads=1) for _ in range(cameras)]
    runs = [latency.frames_of(item, read_video(video), frame_rate_hz(video), None, frames) for item in pipelines]
    rows = [one for together in zip(*runs) for one in together]
    return latency.summarise(rows, pipelines[0])


if __name__ == "__main__":
    say(json.dumps(asdict(turns(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))))
