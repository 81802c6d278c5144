"""What hypotheses should start from in a stream: the same noise in every image, fresh noise, or those of the image before.

    python -m benchmarks.temporal

The last hypotheses get noise up to some time and are denoised again from there, as a set of modes that is followed. Scenes with
known truth: the synthetic hand at rest, where sensor noise alone changes, and moving. Nothing is smoothed. Jitter is that of the
joints relative to the wrist, as in `benchmarks.motion`.
"""

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks import metrics
from benchmarks.motion import jitter
from benchmarks.tables import table
from hand_mesh_ros.core.cascade.joint_stage import JointSampler
from hand_mesh_ros.core.cascade.view import JOINT_UNIT_M, HandView
from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.geometry.mirror import mirror_points
from hand_mesh_ros.core.models import noise as schedule
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.topology import WRIST
from hand_mesh_ros.core.types import Frame, HandDetection, Hypotheses
from hand_mesh_ros.synthetic.camera import LAP_S, SyntheticCamera

_RATE_HZ = 30.0
_STILL_AT_S = 0.5  # a moment at which the synthetic hand is open and near
_HEADER = (
    *("scene", "noise", "from time", "steps"),
    *("PA-MPJPE", "best of 8", "energy score", "pairwise distance", "jitter", "several modes"),
)
# Time up to which the last hypotheses are noised, and steps back from there.
_RESTARTS = ((1000, 4), (800, 4), (600, 3), (400, 2), (200, 1))


@dataclass(frozen=True)
class Seen:
    """One image of a scene as the detector sees it."""

    frame: Frame
    detection: HandDetection
    joints_m: np.ndarray  # (21, 3) the truth


class FollowingSampler(JointSampler):
    """Hypotheses that go on from those of the image before; of one hand."""

    def __init__(self, config: PipelineConfig, time: float, has_fresh_noise: bool) -> None:
        """Loads the models; the first image is answered from pure noise, and all of them if `time` is the whole schedule."""
        super().__init__(default_models_dir(), config)
        self._time, self._last_m = time, None
        self._rng = np.random.default_rng(config.seed) if has_fresh_noise else None

    def __call__(self, detection: HandDetection, frame: Frame) -> Hypotheses:
        hypotheses = super().__call__(detection, frame)
        is_left = detection.handedness == "left"
        self._last_m = mirror_points(hypotheses.joints_m) if is_left else hypotheses.joints_m
        return hypotheses

    def _start(self, view: HandView) -> tuple[np.ndarray, float]:
        drawn = self._noise if self._rng is None else self._rng.standard_normal(self._noise.shape)
        if self._last_m is None or self._time == schedule.TRAINING_STEPS:
            return drawn, schedule.TRAINING_STEPS
        last = (self._last_m @ view.virtual_from_camera.T / JOINT_UNIT_M).reshape(len(drawn), -1)
        return schedule.mix(last, drawn, float(schedule.alpha_bar(self._time))), self._time


def main() -> None:
    """Command line: see the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=180, help="of the moving scene; a third of them at rest")
    parser.add_argument("--out", type=Path, help="file for the table; none if not given")
    args = parser.parse_args()
    pipeline = HandMeshPipeline.default("cpu", max_hands=1)
    scenes = {
        # The motion repeats after a lap, the sensor noise does not.
        "at rest": scene(pipeline, args.images // 3, _STILL_AT_S, LAP_S * _RATE_HZ),
        "moving": scene(pipeline, args.images, 0.0, 2.0),
    }
    rows = []
    for name, seen in scenes.items():
        for has_fresh_noise in (False, True):
            for time, steps in _RESTARTS:
                sampler = FollowingSampler(replace(pipeline.config, joint_steps=steps), time, has_fresh_noise)
                settings = [name, "fresh" if has_fresh_noise else "the same", str(time), str(steps)]
                rows.append([*settings, *follow(pipeline, sampler, seen)])
                say(", ".join(rows[-1]))
    if args.out:
        args.out.write_text(table(_HEADER, rows))


def scene(pipeline: HandMeshPipeline, n_images: int, start_s: float, speed: float) -> list[Seen]:
    """Images at the usual rate of the synthetic hand, in which it was found."""
    camera, seen = SyntheticCamera(pipeline.hand_model), []
    for index in range(n_images):
        view = camera.at(start_s + speed * index / _RATE_HZ)
        frame = Frame(view.rgb, camera.camera_matrix, stamp_s=index / _RATE_HZ)
        following = [seen[-1].detection] if seen else []
        found = pipeline.detector.detect(frame, following, search=not following)
        if found:
            seen.append(Seen(replace(frame, rgb=frame.rgb[:1, :1].copy()), found[0], view.joints_m))
    return seen


def follow(pipeline: HandMeshPipeline, sampler: JointSampler, seen: list[Seen]) -> list[str]:
    """The figures of one sampler, with units."""
    pipeline.sampler = sampler
    errors_m, skeletons_m, has_several = [], [], []
    for one in seen:
        hand, placed_m = pipeline.aggregate_hand(one.detection, one.frame)
        relative, truth = placed_m - placed_m[:, [WRIST]], one.joints_m - one.joints_m[WRIST]
        errors_m.append(
            (
                metrics.pa_error(hand.joints_m, truth),
                metrics.best_of(relative, truth),
                metrics.energy_score(relative, hand.weights, truth),
                metrics.pairwise_distance(relative),
            )
        )
        skeletons_m.append(hand.joints_m.ravel())
        has_several.append(hand.mode.max() > 0)
    lengths_mm = [*(1e3 * np.mean(errors_m, axis=0)), 1e3 * jitter(np.array(skeletons_m))]
    return [f"{length:.2f} mm" for length in lengths_mm] + [f"{100 * np.mean(has_several):.0f} %"]


def say(line: str) -> None:
    """One line on the standard output."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
