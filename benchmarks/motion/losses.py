"""Benefit of prediction during a short loss of the hand. Grey images replace some images of a sequence.

The pipeline runs over this sequence with smoothing, once with and once without prediction. The reference is the result on the
original image. The tables compare this reference with the predicted pose and with the last pose before the loss.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.motion.sequences import RATE_HZ, Moment
from benchmarks.report import table
from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.topology import FINGER_JOINTS, WRIST
from hand_mesh_ros.core.types import Frame, HandEstimate

# The last LOST images of each period of PERIOD images are lost.
PERIOD, LOST = 20, 5
PREDICT_MS = 200.0
_CHI2_90 = 6.251  # of three dimensions

_HEADER = (
    *("motion", "lost for", "predicted", "wrist, held", "wrist, predicted", "fingertips, held", "fingertips, predicted"),
    "inside [%]",
)
_SECTION = """\
## Short losses of the hand

Grey images replace the last {lost} of every {period} images. `predict_ms` is {predict:g} here instead of {default:g}, to show the
growth of the errors. Held: a robot gets no new pose and keeps the last pose. Errors are medians in millimetres. The reference is
the result on the original image. Inside: share of the wrist errors inside the estimated 90 % ellipsoid.
"""


@dataclass(frozen=True)
class Gap:
    """Errors of one lost image, in millimetres."""

    lost: int  # number of lost images in a row, including this image
    predicted: tuple[float, float] | None  # error of wrist and fingertips; None without a prediction
    held: tuple[float, float]  # errors of the last pose before the loss
    is_inside: bool  # the 90 % ellipsoid of the predicted wrist holds the error


@dataclass(frozen=True)
class Losses:
    """Lost images of one sequence."""

    gaps: list[Gap]
    returned: int  # number of losses after which the hand came back
    same_id: int  # number of these losses after which the hand kept its id


def lose(pipeline: HandMeshPipeline, moments: Sequence[Moment]) -> Losses:
    """Runs a pipeline over a sequence with lost images. The pipeline's settings switch the prediction."""
    pipeline.reset()
    gaps, returned, same_id, last = [], 0, 0, None
    for index, moment in enumerate(moments):
        lost = index % PERIOD - (PERIOD - LOST) + 1
        hands = pipeline.estimate(_without_hand(moment.frame) if lost > 0 else moment.frame)
        if lost > 0 and last is not None:
            gaps.append(_gap(lost, hands[0] if hands else None, last, moment.found))
        elif hands:
            if index and index % PERIOD == 0 and last is not None:
                returned, same_id = returned + 1, same_id + (hands[0].track_id == last.track_id)
            last = hands[0]
    return Losses(gaps, returned, same_id)


def _without_hand(frame: Frame) -> Frame:
    return replace(frame, rgb=np.full_like(frame.rgb, 127))


def _gap(lost: int, predicted: HandEstimate | None, last: HandEstimate, found: HandEstimate) -> Gap:
    if predicted is None:
        return Gap(lost, None, _errors_mm(last, found), False)
    error_m = predicted.joints_m[WRIST] - found.joints_m[WRIST]
    is_inside = error_m @ np.linalg.solve(predicted.wrist_covariance[:3, :3], error_m) < _CHI2_90
    return Gap(lost, _errors_mm(predicted, found), _errors_mm(last, found), bool(is_inside))


def _errors_mm(hand: HandEstimate, found: HandEstimate) -> tuple[float, float]:
    distances_mm = 1e3 * np.linalg.norm(hand.joints_m - found.joints_m, axis=-1)
    return float(distances_mm[WRIST]), float(distances_mm[FINGER_JOINTS[:, -1]].mean())


def section(lost: Mapping[str, Sequence[Mapping[float, Losses]]]) -> str:
    """Returns the section in Markdown, from the losses of scenes by speed and by `predict_ms`."""
    rows, ids = [], []
    for name, scenes in lost.items():
        rows += [[name, *row] for row in _rows([gap for scene in scenes for gap in scene[PREDICT_MS].gaps])]
        for ms in scenes[0]:
            returned, same = (sum(getattr(scene[ms], what) for scene in scenes) for what in ("returned", "same_id"))
            ids.append(f"{name}, {'with' if ms else 'without'} prediction {same} of {returned}")
    told = _SECTION.format(period=PERIOD, lost=LOST, predict=PREDICT_MS, default=PipelineConfig.predict_ms)
    return f"{told}\n{table(_HEADER, rows)}\nHands that came back with the same id: {'; '.join(ids)}.\n"


def _rows(gaps: Sequence[Gap]) -> list[list[str]]:
    """Returns one row per length of the loss: duration, number of predictions, median errors, and the share inside."""
    lines = []
    for lost in range(1, LOST + 1):
        every = [gap for gap in gaps if gap.lost == lost]
        made = [gap for gap in every if gap.predicted]
        held, predicted = np.median([(gap.held, gap.predicted) for gap in made], axis=0)
        figures = (f"{figure:.1f}" for figure in (held[0], predicted[0], held[1], predicted[1]))
        inside = f"{100 * np.mean([gap.is_inside for gap in made]):.0f}"
        lines.append([f"{1e3 * lost / RATE_HZ:.0f} ms", f"{len(made)} of {len(every)}", *figures, inside])
    return lines
