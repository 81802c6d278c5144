"""Hands that cross each other, that leave the image and come back, in gloves, and in infrared light: rendered films and images.

Each film starts with hands that the detector finds, so these figures show the behaviour of the stream and not single misses.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.reach.films import GLOVES, Actor, Stage, actor
from benchmarks.reach.pastes import Paste
from benchmarks.reach.streams import RATE_HZ, Record, Shot, Stream, play, watch
from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.detect.detector import HandDetector
from hand_mesh_ros.core.detect.search import one_look
from hand_mesh_ros.core.types import Frame, Side

# Number of images before the motion, of the motion, and after the motion; on the way out of the image and back, and absent.
_BEFORE, _MOTION, _AFTER = 15, 40, 25
_WAY, _GONE, _BACK_IN = 15, 20, 25
_STILL_IMAGES = 30


def crossings(detector: HandDetector, config: PipelineConfig, count: int, seed: int) -> dict[str, dict[str, Any]]:
    """Returns the figures of films in which two hands pass each other, or meet and part again."""
    kinds: dict[str, tuple[tuple[Side, Side], float, bool]] = {
        "left and right cross": (("left", "right"), 1.0, True),
        "left and right meet and part": (("left", "right"), 0.4, True),
        "two right hands cross": (("right", "right"), 1.0, False),
    }
    figures = {}
    for number, (name, (sides, way, one_per_side)) in enumerate(kinds.items()):
        settings = replace(config, one_per_side=one_per_side)
        rng = np.random.default_rng([seed, number])
        records = []
        while len(records) < count:
            stage, hands = Stage(rng), [actor(rng, side) for side in sides]
            path = crossing_path(rng, way)
            if _all_found(detector, stage.shot(hands, path(0))):
                records.append(play(Stream(detector, settings), crossing_film(stage, hands, path)))
        figures[name] = crossing_figures(records, sides)
    return figures


def crossing_path(rng: np.random.Generator, way: float) -> Callable[[float], list[np.ndarray]]:
    """Returns the centres [m] of two hands by the progress 0..1 of a motion.

    With a `way` of 1 the hands change places. With a smaller way, they come near each other and go back.
    """
    near, far = rng.uniform(0.42, 0.5), rng.uniform(0.52, 0.62)
    depths = rng.permutation([near, far])
    start = rng.uniform(0.13, 0.17)
    heights = rng.uniform(-0.03, 0.05, 2)

    def centres(progress: float) -> list[np.ndarray]:
        smooth = progress**3 * (10 - 15 * progress + 6 * progress**2)
        share = smooth if way == 1 else way * np.sin(np.pi * smooth)
        return [np.array([sign * start * (1 - 2 * share), heights[index], depths[index]]) for index, sign in enumerate((1, -1))]

    return centres


def crossing_film(stage: Stage, hands: Sequence[Actor], path: Callable[[float], list[np.ndarray]]) -> Iterator[Shot]:
    """Yields the images of two hands on a path: at rest, in motion, at rest."""
    for image in range(_BEFORE + _MOTION + _AFTER):
        progress = float(np.clip((image - _BEFORE) / _MOTION, 0, 1))
        yield stage.shot([stage.wobbled(hand, image, index) for index, hand in enumerate(hands)], path(progress))


def _all_found(detector: HandDetector, shot: Shot) -> bool:
    """Returns whether the detector finds all hands of a single image, with the whole image only."""
    record = Record()
    record.add(shot, detector.detect(Frame(shot.rgb, np.zeros((3, 3))), plan=one_look(shot.rgb)), 0.0)
    return all(record.ids[0])


def crossing_figures(records: Sequence[Record], sides: Sequence[Side]) -> dict[str, Any]:
    """Returns found share, exchanged and new ids, wrong sides, doubles, and the time until both hands are found again."""
    ids = [each for record in records for each in record.ids[_BEFORE:]]
    names = [each for record in records for each in record.sides[_BEFORE:]]
    seen = np.concatenate([record.shown[_BEFORE:] for record in records])
    found = np.array([[bool(name) for name in each] for each in ids])
    wrong = np.array([[side != right and side != "" for side, right in zip(each, sides)] for each in names])
    again = [_found_again(record) for record in records]
    return {
        "films": len(records),
        "found": float(found[seen].mean()),
        "ids exchanged": sum(_exchanged(record) for record in records),
        "new ids": sum(_new_ids(record) for record in records),
        "wrong side": float(wrong[found].mean()) if found.any() else 0.0,
        "double images": sum(record.doubles for record in records),
        "others": sum(record.others for record in records),
        "found again, median [s]": float(np.median(again) / RATE_HZ),
        "found again, longest [s]": float(np.max(again) / RATE_HZ),
    }


def _known(record: Record, index: int, images: slice) -> str:
    """Returns the most frequent id of a hand in some images; "" if it has no report there."""
    names = [ids[index] for ids in record.ids[images] if ids[index]]
    return max(set(names), key=names.count) if names else ""


def _exchanged(record: Record) -> bool:
    """Returns whether a hand has the id of the other hand at the end."""
    first = [_known(record, index, slice(0, _BEFORE)) for index in range(2)]
    last = [_known(record, index, slice(-10, None)) for index in range(2)]
    return any(last[index] and last[index] == first[1 - index] for index in range(2))


def _new_ids(record: Record) -> int:
    first = {_known(record, index, slice(0, _BEFORE)) for index in range(2)}
    return len({name for ids in record.ids[_BEFORE:] for name in ids if name} - first)


def _found_again(record: Record) -> int:
    """Returns the number of images until both hands are reported, after both are visible again; all images if never.

    The count starts after the image in which a hand is hidden most.
    """
    visible = np.array([shot.visible for shot in record.shots])
    nearest = _BEFORE + int((visible / visible[0])[_BEFORE : _BEFORE + _MOTION].min(1).argmin())
    start = nearest + int(record.shown[nearest:].all(1).argmax())
    return next((index - start for index in range(start, len(record.ids)) if all(record.ids[index])), len(record.ids) - start)


def returns(detector: HandDetector, config: PipelineConfig, count: int, seed: int) -> dict[str, dict[str, Any]]:
    """Returns the figures of films in which a hand leaves the image and comes back, alone and beside another hand."""
    figures = {}
    for number, beside in enumerate((False, True)):
        rng = np.random.default_rng([seed, 10 + number])
        records: list[Record] = []
        while len(records) < count:
            stage, hands = Stage(rng), [actor(rng, "left" if len(records) % 2 else "right")]
            if beside:
                hands.append(actor(rng, "right" if len(records) % 2 else "left"))
            path = leaving_path(rng, beside)
            if _all_found(detector, stage.shot(hands, path(0))):
                records.append(play(Stream(detector, config), leaving_film(stage, hands, path)))
        name = "leaves and returns, beside a hand" if beside else "leaves and returns, alone"
        figures[name] = returning_figures(records)
    return figures


def leaving_path(rng: np.random.Generator, beside: bool) -> Callable[[float], list[np.ndarray]]:
    """Returns the centres [m] of the hands by the way 0..1 of the first hand out of the image."""
    depth = rng.uniform(0.45, 0.6)
    start = np.array([0.13 if beside else rng.uniform(-0.05, 0.05), rng.uniform(-0.02, 0.04), depth])
    exits = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], *([[-1.0, 0.0, 0.0]] if not beside else [])])
    way = (0.75 * depth + 0.05) * exits[rng.integers(len(exits))]
    other = np.array([-0.13, rng.uniform(-0.02, 0.04), rng.uniform(0.45, 0.6)])
    return lambda share: [start + share * way, *([other] if beside else [])]


def leaving_film(stage: Stage, hands: Sequence[Actor], path: Callable[[float], list[np.ndarray]]) -> Iterator[Shot]:
    """Yields the images: at rest, out of the image absent, back, at rest."""
    shares = np.concatenate(
        [np.zeros(_BEFORE), np.linspace(0, 1, _WAY), np.ones(_GONE), np.linspace(1, 0, _WAY), np.zeros(_BACK_IN)]
    )
    for image, share in enumerate(shares):
        smooth = float(share**2 * (3 - 2 * share))
        yield stage.shot([stage.wobbled(hand, image, index) for index, hand in enumerate(hands)], path(smooth))


def returning_figures(records: Sequence[Record]) -> dict[str, Any]:
    """Returns the time from the image that shows the hand again until its report, and false or double reports."""
    waits, back = [], _BEFORE + _WAY + _GONE
    for record in records:
        seen = back + int(record.shown[back:, 0].argmax())
        found = [index for index in range(back, len(record.ids)) if record.ids[index][0]]
        waits.append(max(found[0] - seen, 0) if found else len(record.ids) - seen)
    return {
        "films": len(records),
        "found again, median [s]": float(np.median(waits) / RATE_HZ),
        "found again, longest [s]": float(np.max(waits) / RATE_HZ),
        "found again in 0.4 s": float(np.mean(np.array(waits) <= 12)),
        "double images": sum(record.doubles for record in records),
        "others": sum(record.others for record in records),
        "longest image [ms]": float(max(max(record.took_ms) for record in records)),
    }


def materials(detector: HandDetector, config: PipelineConfig, count: int, seed: int) -> dict[str, dict[str, Any]]:
    """Returns found shares of the same hands as bare hands, in gloves, and in infrared light."""
    kinds = ["bare", *GLOVES, "infrared"]
    figures: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    for index in range(count):
        side: Side = "left" if index % 2 else "right"
        for kind in kinds:
            rng = np.random.default_rng([seed, 20, index])
            stage, hand = Stage(rng), actor(rng, side)
            centre = np.array([*rng.uniform(-0.1, 0.1, 2), rng.uniform(0.4, 0.9)])
            if kind == "infrared":
                shot = stage.infrared_shot(hand, centre)
            else:
                shot = stage.shot([hand.in_glove(kind) if kind in GLOVES else hand], [centre])
            figures[kind].append(_still(detector, config, shot, side))
    return {kind: _means(rows) for kind, rows in figures.items()}


def _still(detector: HandDetector, config: PipelineConfig, shot: Shot, side: Side) -> dict[str, float]:
    alone = Record()
    alone.add(shot, detector.detect(Frame(shot.rgb, np.zeros((3, 3)))), 0.0)
    sight = watch(Stream(detector, config), Paste("", shot.rgb, shot.keypoints_px[0]), _STILL_IMAGES)
    found = bool(alone.ids[0][0])
    return {
        "alone": float(found),
        "in 12 images": float(0 < sight.found_after <= 12),
        "in 30 images": float(sight.found_after > 0),
        "wrong side": float(found and alone.sides[0][0] != side),
        "others": float(alone.others + sight.others),
        "error": sight.error,
    }


def _means(rows: Sequence[dict[str, float]]) -> dict[str, Any]:
    table = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    means = {key: float(np.nanmean(values)) for key, values in table.items() if not np.isnan(values).all()}
    return {"hands": len(rows), **means, "others": int(table["others"].sum()), "wrong side": int(table["wrong side"].sum())}
