"""Writes docs/latency.md: time of each stage beside MediaPipe, and how the cost grows with hands, hypotheses, images and cameras.

    python -m benchmarks.latency.page --video hand.mp4 --out docs/latency.md

Run the command on a machine without other load. It takes about five minutes. The text of the page from its first heading on is
kept, so that measurements of other commands can stay there.
"""

import argparse
import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

from benchmarks.latency import __main__ as latency
from benchmarks.latency import fleet
from benchmarks.latency.mediapipe_process import own_environment
from benchmarks.report import say
from benchmarks.videos import frame_rate_hz, read_video
from hand_mesh_ros.core.pipeline import STAGES, HandMeshPipeline

# Numbers of cameras and of processes.
_CAMERAS = ((1, 1), (2, 1), (2, 2), (4, 1), (4, 4))
_HYPOTHESES, _STEPS, _SIZES = (1, 2, 4, 8, 16, 32), (1, 2, 4, 8, 16), ((320, 240), (640, 480), (1280, 720), (1920, 1080))
_FRAMES, _FEWER = 600, 120

_TOP = """# Latency

`python -m benchmarks.latency.page --video FILE --out docs/latency.md` writes this page. The machine has {machine}. The models are
{model}, with two threads for the landmark model and one for each other model. Before the measurement, the load average by other
processes was {load:.1f}. With a load above 0.5 the times are too long, and only the processor times can be compared. The video
({width} x {height}) shows one hand in {share:.0%} of the images. All times are milliseconds per image. They do not include
reading the video.

The next table has {frames} images. Our pipeline and MediaPipe Hands 0.10.21 (one process each, at most two hands) take turns
after each image. Beside a followed hand, the palm model runs in a second thread. Its time is in the processor time only.

| | mean | median | 95 % | 99 % |
|---|---|---|---|---|"""
_RATIO = """
The whole image takes {mean:.2f} of MediaPipe's time on average ({median:.2f} of the median).

Hands and hypotheses (K) in two sizes of images. For two hands, an image shows the left half of the picture beside its mirror
image:

| image | hands | K | mean | median | 95 % | 99 % | processor |
|---|---|---|---|---|---|---|---|"""
_GROWTH = """
Growth of the mean time with one setting at a time. The others are 8 hypotheses, 4 steps, 640 x 480 and one hand:

![growth of the time](images/latency.png)

| setting | value | mean | 99 % |
|---|---|---|---|"""
_FLEET = """
Several cameras on one machine, each with its own pipeline, `landmark_threads` 1, and as many images as the machine can process.
In one process the pipelines take turns. The rate is the sum over the cameras. "Image" is the time from one image of a camera to
its next image:

| cameras | processes | rate [Hz] | image, median | 99 % | memory of a process [MB] |
|---|---|---|---|---|---|"""
_GPU = """
GPU (`device: cuda` or `tensorrt`): not measured. The tests cover the choice of the provider and the fall back to the processor.
"""


def main() -> None:
    """Command line: see the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("docs/latency.md"))
    parser.add_argument("--frames", type=int, default=_FRAMES, help="images of the first table")
    parser.add_argument("--fewer", type=int, default=_FEWER, help="images of each row of the other tables")
    args = parser.parse_args()
    load = os.getloadavg()[0]
    summary = beside_mediapipe(args.video, args.frames)
    grid = latency.measure_grid(args.video, args.fewer, "cpu", {})
    grown = list(growth(args.video, args.fewer))
    plot(grown, args.out.parent / "images" / "latency.png")
    lines = [*stage_lines(summary, args.video, load), *grid_lines(grid), _GROWTH]
    lines += [f"| {name} | {value} | {ms['mean']:.1f} | {ms['p99']:.1f} |" for name, value, ms in grown]
    lines += [_FLEET, *(fleet.row(args.video, *case, args.fewer) for case in _CAMERAS), _GPU]
    args.out.write_text("\n".join(lines) + kept_text(args.out))
    say(f"wrote {args.out}")


def beside_mediapipe(video: Path, frames: int) -> latency.Summary:
    """Returns the times of our pipeline and of MediaPipe."""
    pipeline = HandMeshPipeline.default("cpu")
    return latency.summarise(latency.run(pipeline, read_video(video), frame_rate_hz(video), own_environment(), frames), pipeline)


def stage_lines(summary: latency.Summary, video: Path, load: float) -> list[str]:
    """Returns the top of the page with the table of stages. `load` is the load average before the measurement."""
    height, width = next(read_video(video)).shape[:2]
    facts = {"machine": machine(), "model": summary.model_id, "width": width, "height": height, "frames": summary.frames}
    names = {name: name for name in STAGES} | {
        "total": "**whole image**",
        "mediapipe": "**MediaPipe Hands**",
        "cpu": "processor time",
        "mediapipe_cpu": "processor time of MediaPipe",
    }
    rows = [row(title, summary.ms[name]) for name, title in names.items()]
    ratio = _RATIO.format(mean=summary.ratio_to_mediapipe, median=summary.median_ratio_to_mediapipe)
    return [_TOP.format(**facts, load=load, share=summary.share_with_one_hand), *rows, ratio]


def row(title: str, ms: dict[str, float]) -> str:
    """Returns a row of a table."""
    return f"| {title} | " + " | ".join(f"{ms[name]:.2f}" for name in ("mean", "p50", "p95", "p99")) + " |"


def grid_lines(grid: Iterable[dict[str, float]]) -> list[str]:
    """Returns the rows of `latency.measure_grid`."""
    return [
        row(f"{item['width']:.0f} x {item['height']:.0f} | {item['hands']:.0f} | {item['hypotheses']:.0f}", item)
        + f" {item['cpu']:.2f} |"
        for item in grid
    ]


def growth(video: Path, frames: int) -> Iterable[tuple[str, str, dict[str, float]]]:
    """Yields setting, value and times for several numbers of hypotheses, numbers of steps and sizes of images."""
    usual = (640, 480)
    cases: list[tuple[str, str, tuple[int, int], dict[str, int]]] = [
        *(("hypotheses", str(count), usual, {"n_hypotheses": count}) for count in _HYPOTHESES),
        *(("steps", str(count), usual, {"joint_steps": count}) for count in _STEPS),
        *(("image", f"{width} x {height}", (width, height), {}) for width, height in _SIZES),
    ]
    for name, value, (width, height), settings in cases:
        pipeline = HandMeshPipeline.default("cpu", max_hands=1, **settings)
        images = latency.resized(read_video(video), width, height, 1)
        yield (
            name,
            value,
            latency.summarise(latency.run(pipeline, images, frame_rate_hz(video), None, frames), pipeline).ms["total"],
        )


def plot(grown: Sequence[tuple[str, str, dict[str, float]]], path: Path) -> None:
    """Draws the mean times, one panel per setting."""
    names = list(dict.fromkeys(name for name, _, _ in grown))
    figure, panels = plt.subplots(1, len(names), figsize=(9, 2.8), sharey=True, layout="constrained")
    for panel, name in zip(panels, names):
        values = [(value, ms["mean"]) for setting, value, ms in grown if setting == name]
        panel.plot(*zip(*values), marker="o")
        panel.set(xlabel=name)
        panel.tick_params("x", labelrotation=30 if name == "image" else 0)
    # The panels share their axis.
    panels[0].set(ylabel="ms per image", ylim=(0, 1.1 * max(ms["mean"] for _, _, ms in grown)))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def machine() -> str:
    """Returns the processor and the number of its cores that this process may use."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(names) or os.cpu_count()} cores ({names[0] if names else platform.processor()})"


def kept_text(path: Path) -> str:
    """Returns the text of the page from its first heading on."""
    text = path.read_text() if path.exists() else ""
    start = text.find("\n## ")
    return text[start:] if start >= 0 else ""


if __name__ == "__main__":
    main()
