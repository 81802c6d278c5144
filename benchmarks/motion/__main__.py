"""Measures jitter at rest and lag in motion, with and without the One-Euro filters, and the benefit of prediction.

    python -m benchmarks.motion --video hand.mp4 --out docs/smoothness.md

Scenes: rendered hands with sensor noise at rest, in motion, and in motion at three times the speed; also the stillest passages of
a video. The pipeline runs once per scene without smoothing. The benchmark then filters the results in the same way as the
pipeline.
"""

import argparse
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.motion import losses
from benchmarks.motion import tables as smoothness_tables
from benchmarks.motion.sequences import RATE_HZ, Moment, at_rest, followed, moving, of_video
from benchmarks.motion.tables import Scenes
from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.types import Frame
from hand_mesh_ros.synthetic.camera import SyntheticCamera

SEEDS, IMAGES = 5, 150
SPEEDS = {"moving": 1.0, "three times as fast": 3.0}

_INTRODUCTION = """\
# Jitter, lag and short losses

`python -m benchmarks.motion` writes this page with the models {model_id}, `smooth_cutoff_hz` {cutoff:g} and `smooth_beta`
{beta:g}.

{seeds} rendered hands (skin, light, room and motion differ), 640 x 480 px at {rate:g} Hz, new random noise of two grey levels in
each pixel of each image. The wrist rotates and moves in sine waves. The fingers move between gestures with minimal jerk. There is
no motion blur.

Jitter: the standard deviation per axis of white noise with the same second differences from image to image. Lag: the delay of the
true motion that gives the smallest error. Error: root mean square per axis against the truth at the stamp of the image.
Error without lag: the same error against the delayed truth. A constant error of a scene (size, joint definition) does not count.
Numbers are means over hands or passages ± their standard deviation. All times use the image stamps, so the inference time adds to
the lag.
"""


def main() -> None:
    """Command line: see the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--video", type=Path)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="rendered hands")
    parser.add_argument("--images", type=int, default=IMAGES, help="per scene of a moving hand; scenes at rest have half")
    parser.add_argument("--cutoff", type=float, default=PipelineConfig.smooth_cutoff_hz)
    parser.add_argument("--beta", type=float, default=PipelineConfig.smooth_beta)
    parser.add_argument("--out", type=Path, help="file for the tables; the command also prints the tables")
    args = parser.parse_args()
    config = PipelineConfig(device="cpu", max_hands=1, smooth_cutoff_hz=args.cutoff, smooth_beta=args.beta)
    text = report(config, args.seeds, args.images, args.video)
    sys.stdout.write(text)
    if args.out:
        args.out.write_text(text)


def report(config: PipelineConfig, seeds: int, images: int, video: Path | None) -> str:
    """Returns the whole page in Markdown.

    Args:
        config: configuration with the filter settings to measure.
        seeds: number of rendered hands.
        images: number of images per scene of a moving hand.
        video: a file that shows one hand.

    Raises:
        SystemExit: if the pipeline loses the hand during a scene.
    """
    pipeline = HandMeshPipeline(replace(config, smooth_cutoff_hz=0.0, predict_ms=0.0))
    scenes = record(pipeline, config, seeds, images, video)
    introduction = _INTRODUCTION.format(
        model_id=pipeline.model_id, cutoff=config.smooth_cutoff_hz, beta=config.smooth_beta, seeds=seeds, rate=RATE_HZ
    )
    sections = (smoothness_tables.at_rest, smoothness_tables.in_motion, smoothness_tables.sweep)
    return "\n".join(
        [introduction, *(section(scenes, config, pipeline.hand_model) for section in sections), losses.section(scenes.lost)]
    )


def record(pipeline: HandMeshPipeline, config: PipelineConfig, seeds: int, images: int, video: Path | None) -> Scenes:
    """Runs `pipeline`, without smoothing, over all scenes, and pipelines with the settings of `config` over lost images."""
    losing = {ms: HandMeshPipeline(replace(config, predict_ms=ms)) for ms in (losses.PREDICT_MS, 0.0)}
    scenes = Scenes([], {name: [] for name in SPEEDS}, {name: [] for name in SPEEDS}, [])
    for seed in range(seeds):
        camera = SyntheticCamera(pipeline.hand_model, seed=seed)
        scenes.still.append(_lean(_followed("at rest", seed, pipeline, at_rest(camera, images // 2))))
        for name, speed in SPEEDS.items():
            moments = _followed(name, seed, pipeline, moving(camera, images, speed))
            scenes.lost[name].append({ms: losses.lose(losing[ms], moments) for ms in losing})
            scenes.moving[name].append(_lean(moments))
    if video:
        scenes.video.extend(followed(pipeline, of_video(video)))
    return scenes


def _followed(name: str, seed: int, pipeline: HandMeshPipeline, images: Iterable[tuple[Frame, np.ndarray]]) -> list[Moment]:
    images = list(images)
    moments = followed(pipeline, images)
    if len(moments) < len(images) // 2:
        raise SystemExit(f"{name}, seed {seed}: the longest track has only {len(moments)} of {len(images)} images")
    return moments


def _lean(moments: list[Moment]) -> list[Moment]:
    """Returns the moments without pictures, because the next steps need only stamps and cameras."""
    return [replace(moment, frame=replace(moment.frame, rgb=moment.frame.rgb[:1, :1].copy())) for moment in moments]


if __name__ == "__main__":
    main()
