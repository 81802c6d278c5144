"""Convergence of a user's hand size over a stream of images with depth, and the benefit of this size after the depth ends."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.depth import rgbd
from benchmarks.depth.place_errors import PLACE, Error, cells
from benchmarks.report import table
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.topology import N_JOINTS
from hand_mesh_ros.core.types import Frame
from hand_mesh_ros.synthetic.camera import SyntheticCamera
from hand_mesh_ros.synthetic.depth_sensors import stereo
from models_train.hands import shape
from models_train.hands.sample import sample_build, sample_lengths, shipped_hand

_RATE_HZ, _WITH_DEPTH_S, _WITHOUT_S = 10, 10.0, 3.0
TIMES_S = (0.0, 0.5, 1.0, 2.0, 5.0, 9.9)
_NORMAL_90 = 1.645

_SEQUENCES = """\
## Convergence of the size of a user

{users} users with different hand sizes and proportions move a hand before the camera for {seconds:g} s at {rate} images per
second (the motion of `apps.synthetic`). Afterwards the depth ends, and the pipeline keeps the size.
"""


@dataclass(frozen=True)
class Settling:
    """Measurements of one user before the camera."""

    known: list[tuple[float, float, float]]  # time [s], error of the logarithm of the size, its estimated std
    with_depth: list[Error]
    afterwards: list[Error]  # after the end of the depth
    never: list[Error]  # the same images, for a user without any depth before


def settle(pipeline: HandMeshPipeline, seed: list[int]) -> Settling:
    """Runs the pipeline on images of a user, first with depth, then without depth."""
    rng = np.random.default_rng(seed)
    size, person = rgbd.adult_size(rng), _person(rng)
    source = SyntheticCamera(person, seed=seed[-1], side="left" if seed[-1] % 2 else "right")
    watched = Settling([], [], [], [])
    pipeline.reset()
    afterwards = []
    for index in range(round((_WITH_DEPTH_S + _WITHOUT_S) * _RATE_HZ)):
        time_s = index / _RATE_HZ
        view = source.at(time_s)
        # A change of scale about the optical centre changes no pixel.
        depth_m = np.where(view.depth_m > 0, size * view.depth_m, rgbd.WALL_M)
        sensed = stereo(depth_m, source.camera_matrix, rng) if time_s < _WITH_DEPTH_S else None
        frame, joints_m = Frame(view.rgb, source.camera_matrix, sensed, stamp_s=time_s), size * view.joints_m
        errors = [Error.of(hand, joints_m, source.camera_matrix) for hand in pipeline.estimate(frame)[:1]]
        if sensed is None:
            watched.afterwards.extend(errors)
            afterwards.append((frame, joints_m))
        else:
            watched.with_depth.extend(errors)
            known = pipeline.user_scale.known
            watched.known.append((time_s, float(np.log(known.factor / size)), known.rel_std))
    pipeline.reset()
    for frame, joints_m in afterwards:
        watched.never.extend(Error.of(hand, joints_m, source.camera_matrix) for hand in pipeline.estimate(frame)[:1])
    return watched


def _person(rng: np.random.Generator) -> HandModel:
    """Returns the shipped hand with random proportions and average size."""
    hand = shipped_hand()
    width, thickness = sample_build(rng, 1)
    rest = shape.rest_joints(hand.joints_m, sample_lengths(rng, 1, hand), width)
    flat = shape.stretch(hand.template_m, hand.joints_m, hand.skin_weights, rest, np.repeat(thickness[:, None], N_JOINTS, 1))
    return replace(hand, joints_m=rest[0].astype(np.float32), template_m=flat[0].astype(np.float32))


def settling(users: Sequence[Settling]) -> str:
    """Returns the section on the results of `settle`."""
    rows = []
    for time_s in TIMES_S:
        moments = [min(user.known, key=lambda moment: abs(moment[0] - time_s)) for user in users]
        _, error, stated = (np.array(values) for values in zip(*moments))
        inside = np.abs(error) < _NORMAL_90 * stated
        rows.append(
            [
                f"{time_s:g}",
                *(f"{100 * value:.1f}" for value in (np.median(np.abs(error)), np.median(stated))),
                f"{100 * inside.mean():.0f}",
            ]
        )
    sizes = table(["after [s]", "size error, median [%]", "estimated [%]", "inside 90 % [%]"], rows)
    places = [
        [title, str(len(errors)), *cells(errors)[: len(PLACE)]]
        for title, errors in (
            ("with depth", [error for user in users for error in user.with_depth]),
            ("after the end of the depth", [error for user in users for error in user.afterwards]),
            ("the same images, never with depth", [error for user in users for error in user.never]),
        )
    ]
    text = _SEQUENCES.format(users=len(users), seconds=_WITH_DEPTH_S, rate=_RATE_HZ)
    return f"{text}\n{sizes}\n{table(['', 'images', *PLACE], places)}"
