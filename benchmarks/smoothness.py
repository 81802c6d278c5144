"""Jitter of a hand at rest and lag of a moving one, with the One-Euro filters and without, and what prediction is worth.

    python -m benchmarks.smoothness --video hand.mp4

Scenes: the synthetic hand at rest (sensor noise alone changes), moving, moving three times as fast, and the video. The pipeline
runs once a scene without smoothing; the filters then go over its answers as they do in the pipeline.

Jitter is the root mean square second difference from image to image, divided by sqrt(6): the standard deviation per axis of white
noise that would give it. Lag is the delay of the unfiltered signal that fits the filtered one best. `depth` is along the view,
`tips` are the fingertips in the wrist frame. Prediction: error of the wrist 0.1 s after the last image, against keeping the last
pose, and how many times the stated 90 % ellipsoid holds it.
"""

import argparse
import copy
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hand_mesh_ros.apps.image_source import SourceConfig, open_source
from hand_mesh_ros.apps.synthetic import LAP_S, SyntheticCamera
from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.smooth import HandSmoother, turn_between
from hand_mesh_ros.core.topology import FINGER_JOINTS, WRIST
from hand_mesh_ros.core.types import Frame, HandDetection, HandEstimate

_RATE_HZ = 30.0
_AHEAD = 3  # images
_STILL_AT_S = 0.5  # a moment at which the synthetic hand is open and near
_CHI2_90 = 6.251  # of three dimensions


@dataclass(frozen=True)
class Sequence:
    """The unfiltered answers to one scene, where there was exactly one hand under one id."""

    hands: list[HandEstimate]
    frames: list[Frame]


def main() -> None:
    """Command line: see the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--video", type=Path)
    parser.add_argument("--images", type=int, default=180, help="per synthetic scene")
    parser.add_argument("--cutoff", type=float, default=PipelineConfig.smooth_cutoff_hz)
    parser.add_argument("--beta", type=float, default=PipelineConfig.smooth_beta)
    args = parser.parse_args()
    pipeline = HandMeshPipeline.default("cpu", smooth_cutoff_hz=0.0, predict_ms=0.0, max_hands=1)
    config = replace(pipeline.config, smooth_cutoff_hz=args.cutoff, smooth_beta=args.beta)
    camera = SyntheticCamera(pipeline.hand_model)
    say(f"cutoff {args.cutoff:g} Hz, beta {args.beta:g} Hz per m/s; jitter off -> on, lag on")
    # The motion repeats after a lap, the sensor noise does not.
    report("still", run(pipeline, synthetic(camera, args.images, _STILL_AT_S, LAP_S * _RATE_HZ)), config)
    report("moving", run(pipeline, synthetic(camera, args.images, 0.0, 1.0)), config)
    report("fast", run(pipeline, synthetic(camera, args.images, 0.0, 3.0)), config)
    if args.video:
        report("video", run(pipeline, video(args.video)), config)


def synthetic(camera: SyntheticCamera, n_images: int, start_s: float, speed: float) -> Iterator[Frame]:
    """Images at the usual rate of a motion at `speed` times its own."""
    for index in range(n_images):
        view = camera.at(start_s + speed * index / _RATE_HZ)
        yield Frame(view.rgb, camera.camera_matrix, stamp_s=index / _RATE_HZ)


def video(path: Path) -> Iterator[Frame]:
    """Images of a file, at its own rate."""
    source = open_source(SourceConfig(source=str(path)), _RATE_HZ)
    while (shot := source.read()) is not None:
        yield Frame(shot.rgb, shot.camera_matrix, stamp_s=shot.time_s)


def run(pipeline: HandMeshPipeline, frames: Iterator[Frame]) -> Sequence:
    """The longest run of images with one and the same hand."""
    pipeline.reset()
    runs: list[Sequence] = [Sequence([], [])]
    for frame in frames:
        hands = pipeline.estimate(frame)
        if not hands or hands[0].state == "new":
            runs.append(Sequence([], []))
        if hands:
            runs[-1].hands.append(hands[0])
            runs[-1].frames.append(
                replace(frame, rgb=frame.rgb[:1, :1].copy())
            )  # only stamps and cameras are needed from here on
    return max(runs, key=lambda run: len(run.hands))


def report(name: str, sequence: Sequence, config: PipelineConfig) -> None:
    """Prints one scene."""
    if len(sequence.hands) < 10 * _AHEAD:
        raise SystemExit(f"{name}: only {len(sequence.hands)} images with one hand in a row")
    smoother, smooth, ahead = HandSmoother(config), [], []
    for hand, frame, later in zip(sequence.hands, sequence.frames, [*sequence.frames[_AHEAD:], *[None] * _AHEAD]):
        smooth.append(smoother.step(hand, frame))
        if later is not None:
            ahead.append(copy.deepcopy(smoother).predict(_detection(hand), later))
    raw, filtered = signals(sequence.hands), signals(smooth)
    say(f"{name}, {len(smooth)} images")
    for key, unit in (("across", "mm"), ("depth", "mm"), ("turn", "deg"), ("tips", "mm")):
        before, after, lag_ms = jitter(raw[key]), jitter(filtered[key]), 1e3 / _RATE_HZ * lag(raw[key], filtered[key])
        say(f"  {key:7} {before:6.2f} -> {after:5.2f} {unit:3}  lag {lag_ms:4.0f} ms")
    report_prediction(ahead, smooth[:-_AHEAD], sequence.hands[_AHEAD:])


def report_prediction(predicted: list[HandEstimate], kept: list[HandEstimate], later: list[HandEstimate]) -> None:
    """Prints how far the wrist is from where it was found later."""
    moved, stayed, truth = (np.array([hand.joints_m[WRIST] for hand in hands]) for hands in (predicted, kept, later))
    errors = moved - truth
    covariances = np.array([hand.wrist_covariance[:3, :3] for hand in predicted])
    inside = np.mean(np.einsum("ni,nij,nj->n", errors, np.linalg.inv(covariances), errors) < _CHI2_90)
    error_mm, stayed_mm = (1e3 * np.median(np.linalg.norm(points - truth, axis=-1)) for points in (moved, stayed))
    when = f"{_AHEAD / _RATE_HZ:.1f} s ahead"
    say(f"  {when}: wrist {error_mm:.1f} mm, pose kept {stayed_mm:.1f} mm, {inside:.0%} in the 90 % ellipsoid")


def signals(hands: list[HandEstimate]) -> dict[str, np.ndarray]:
    """Time series, (N, C): millimetres and degrees."""
    joints = np.array([hand.joints_m for hand in hands])
    rotations = np.array([hand.wrist_pose[:3, :3] for hand in hands])
    turns = [turn_between(newer, older) for newer, older in zip(rotations[1:], rotations[:-1])]
    tips = np.einsum("nij,nki->nkj", rotations, joints[:, FINGER_JOINTS[:, -1]] - joints[:, [WRIST]])
    return {
        "across": 1e3 * joints[:, WRIST, :2],
        "depth": 1e3 * joints[:, WRIST, 2:],
        "turn": np.rad2deg(np.concatenate([np.zeros((1, 3)), np.cumsum(turns, axis=0)])),
        "tips": 1e3 * tips.reshape(len(hands), -1),
    }


def jitter(signal: np.ndarray) -> float:
    """Standard deviation of white noise with the second differences of `signal` (N, C)."""
    return float(np.sqrt(np.mean(np.diff(signal, 2, axis=0) ** 2) / 6))


def lag(signal: np.ndarray, filtered: np.ndarray) -> float:
    """Delay of `signal` (N, C), in images, that brings it closest to `filtered`."""
    times = np.arange(len(signal))
    delays = np.arange(0, 8, 0.05)
    after = slice(10, None)

    def error(delay: float) -> float:
        delayed = [np.interp(times - delay, times, channel) for channel in signal.T]
        return float(np.sum((np.array(delayed).T - filtered)[after] ** 2))

    return float(delays[np.argmin([error(delay) for delay in delays])])


def _detection(hand: HandEstimate) -> HandDetection:
    flat = np.zeros(len(hand.joints_m), np.float32)
    return HandDetection(
        hand.keypoints_px, flat, flat, hand.joints_m, hand.handedness, hand.handedness_prob, hand.score, np.eye(3)[:2]
    )


def say(line: str) -> None:
    """One line on the standard output."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
