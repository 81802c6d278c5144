"""Image -> hands: palms where nothing is followed yet, then 21 landmarks in an upright crop around every hand.

A hand of the last image is looked for around its last keypoints, which is both cheaper and steadier than finding its palm again.
The detector keeps nothing between calls: what it knows of the past comes in with `previous`, where it looks next with `plan`.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hand_mesh_ros.core.config import DetectorConfig
from hand_mesh_ros.core.detect import crop, verify
from hand_mesh_ros.core.detect.look import Look, look, mean, to_detection
from hand_mesh_ros.core.detect.palm import KEYPOINT_JOINTS, Palm, PalmDetector
from hand_mesh_ros.core.detect.plan import Plan, whole_plan
from hand_mesh_ros.core.detect.tiles import Tile
from hand_mesh_ros.core.hand.model import FILE_NAME, HandModel, palm_length
from hand_mesh_ros.core.models.onnx_model import OnnxModel
from hand_mesh_ros.core.topology import joint_order_digest
from hand_mesh_ros.core.types import Frame, HandDetection

# Weight of the newest image in the running probability of the side, and the value below which the side changes. Together they
# let a side stand five contrary images in a row.
SIDE_RATE, _SIDE_FLIP = 0.2, 0.35
# Two sets of keypoints nearer than this, on average and in palm lengths, are on the same hand.
_SAME_HAND = 0.4
# A hand of less than this share of another one's size, with more than that share of its box within the other's, is part of it.
_PART_SIZE, _PART_WITHIN = 0.7, 0.6
# Share of `min_score` that the first look at a palm must reach for further looks.
_WORTH_A_LOOK = 0.6
# In an image alone, no second image confirms a hand that only a part of the image shows: it must be surer.
_SURE = 0.8


class HandDetector:
    """Finds and follows up to `config.max_hands` hands of either side."""

    def __init__(self, models_dir: Path, config: DetectorConfig) -> None:
        """Loads the palm and the landmark model.

        Raises:
            ModelError: if a file is missing, foreign or cannot run on `config.device`.
        """
        self.config = config
        self.clock = time.perf_counter  # by which the time of a plan runs
        self.palms = PalmDetector(models_dir, config.device, config.threads)
        expected = {"kind": "hand_landmark", "joint_order": joint_order_digest()}
        self.landmarks = OnnxModel(models_dir / "hand_landmark.onnx", expected, config.device, config.threads)
        self.bone_lengths_m = HandModel.load(models_dir / FILE_NAME).bone_lengths_m

    def reconfigure(self, config: DetectorConfig) -> None:
        """Goes on with other scores."""
        self.config = config

    def detect(
        self, frame: Frame, previous: Sequence[HandDetection] = (), search: bool = True, plan: Plan | None = None
    ) -> list[HandDetection]:
        """Hands in an image: first those of `previous` that are still there, in their order, then new ones.

        Args:
            frame: only its image is used.
            previous: hands of the image before; each found again keeps its `track_id` and, barring lasting contrary evidence,
                its side.
            search: look for new hands too while fewer than `max_hands` are followed. False saves the palm model's time; with no
                hand to follow the search takes place anyway.
            plan: where to search, and for how long; what was done is noted in it. None searches the whole image, all sizes of
                hands, however long it takes.

        Returns:
            At most `max_hands` detections, no two on the same hand; new ones have an empty `track_id`.
        """
        started_s = self.clock()
        hands = self._follow(frame.rgb, previous)
        if len(hands) < self.config.max_hands and (search or not hands):
            if plan is None:
                plan = whole_plan(frame.rgb, self.config.min_hand_px)
            hands += self._find(frame.rgb, hands, plan, started_s)
        return hands

    def _follow(self, rgb: np.ndarray, previous: Sequence[HandDetection]) -> list[HandDetection]:
        """Hands of `previous` that are still there. Where two ended up on one hand, the one that moved less stays."""
        candidates = previous[: self.config.max_hands]
        found = [(hand, last) for last in candidates if (hand := self._found_again(rgb, last)) is not None]
        motion = [float(np.abs(hand.keypoints_px - last.keypoints_px).mean()) for hand, last in found]
        kept: dict[int, HandDetection] = {}
        for index in np.argsort(motion, kind="stable").tolist():
            if not any(on_same_hand(found[index][0], other) for other in kept.values()):
                kept[index] = found[index][0]
        return [kept[index] for index in sorted(kept)]

    def _found_again(self, rgb: np.ndarray, last: HandDetection) -> HandDetection | None:
        square = crop.around_keypoints(last.keypoints_px.astype(np.float64))
        mirrored = crop.is_mirrored(last.image_from_crop)
        seen = self._look(rgb, crop.mirror(square) if mirrored else square)
        if (score := self._followed_score(seen, last)) is None:
            return None
        # Both sides appear as right hands in their crops.
        side_prob = (1 - SIDE_RATE) * last.handedness_prob + SIDE_RATE * seen.right_prob
        if side_prob < _SIDE_FLIP:
            seen, side_prob = self._look(rgb, crop.mirror(seen.image_from_crop)), 1 - side_prob
            if (score := self._followed_score(seen, last)) is None:
                return None
        return replace(to_detection(seen, rgb, side_prob, score), track_id=last.track_id)

    def _followed_score(self, seen: Look, last: HandDetection) -> float | None:
        """Probability of a followed hand. None if the look does not show the hand."""
        if not seen.is_usable or seen.presence < self.config.min_score:
            return None
        features = verify.followed_features(last.keypoints_px, seen, self.bone_lengths_m)
        score = verify.followed_probability(last.score, features)
        return score if score >= self.config.min_score else None

    def _find(self, rgb: np.ndarray, known: Sequence[HandDetection], plan: Plan, started_s: float) -> list[HandDetection]:
        """New hands, from their palms in the tiles of the plan, as long as its time lasts."""
        wanted = self.config.max_hands - len(known)
        new: list[HandDetection] = []
        for tile in plan.tiles:
            if not plan.has_time(self.clock() - started_s):
                break
            palms = [palm for palm in self.propose(rgb, tile) if not is_known(palm, (*known, *new))]
            if palms and not plan.has_time(self.clock() - started_s):
                # Its palms are looked at first thing in the next image.
                plan.unfinished = tile
                break
            # Things that look like a palm and are none cost a landmark run each: do not go through many.
            for palm in palms[: plan.most_looks or 2 * self.config.max_hands]:
                hand = None if is_known(palm, new) else self._first_sight(rgb, palm)
                if hand is None or (plan.is_alone and not tile.is_whole and hand.score < _SURE):
                    continue
                if not any(on_same_hand(hand, other) for other in known):
                    new = _with(new, hand)
                    plan.note(hand, tile)
            plan.visited.append(tile)
            if len(new) >= wanted:
                break
        return new[:wanted]

    def propose(self, rgb: np.ndarray, tile: Tile) -> list[Palm]:
        """Palms in a part of an image, in pixels of the image, best first."""
        corner = np.array([tile.left, tile.top])
        return [
            Palm(palm.box_px + np.concatenate([corner, [0, 0]]), palm.keypoints_px + corner, palm.score)
            for palm in self.palms(tile.cut(rgb), self.config.min_palm_score)
        ]

    def _first_sight(self, rgb: np.ndarray, palm: Palm) -> HandDetection | None:
        looks = self.examine(rgb, palm, self.config.min_score)
        if looks is None:
            return None
        first, again, side_prob = looks
        score = verify.probability(verify.first_features(palm, first, again, self.bone_lengths_m), verify.FIRST_WEIGHTS)
        return to_detection(again, rgb, side_prob, score) if score >= self.config.min_score else None

    def examine(self, rgb: np.ndarray, palm: Palm, min_presence: float) -> tuple[Look, Look, float] | None:
        """Three looks at the hand of a palm: one at the square above the palm, two at the square around what that one saw.

        Which view is the right hand's is not known yet, so one of the two is mirrored. The model answers a little differently to
        them, so their mean is both better and the same for a hand and for its mirror image.

        Returns:
            The first look; the mean of the other two, in the crop of the side that is likelier; that side's probability. None if
            one of them does not show a hand.
        """
        first = self._look(rgb, crop.around_palm(palm))
        if not (first.is_usable and first.presence >= _WORTH_A_LOOK * min_presence):
            return None
        plain = self._look(rgb, crop.around_keypoints(first.keypoints_px))
        if not (plain.is_usable and plain.presence >= min_presence):
            return None
        mirrored = self._look(rgb, crop.mirror(plain.image_from_crop))
        if not (mirrored.is_usable and mirrored.presence >= min_presence):
            return None
        right_prob = 0.5 * (plain.right_prob + 1 - mirrored.right_prob)
        if right_prob >= 0.5:
            return first, mean(plain, mirrored), right_prob
        return first, mean(mirrored, plain), 1 - right_prob

    def _look(self, rgb: np.ndarray, image_from_crop: np.ndarray) -> Look:
        return look(self.landmarks, rgb, image_from_crop)


def _with(hands: list[HandDetection], new: HandDetection) -> list[HandDetection]:
    """The hands and a new one; of those on the same hand the surest."""
    rivals = [hand for hand in hands if on_same_hand(hand, new)]
    if any(hand.score >= new.score for hand in rivals):
        return hands
    return [*(hand for hand in hands if all(hand is not rival for rival in rivals)), new]


def is_known(palm: Palm, hands: Sequence[HandDetection]) -> bool:
    """Whether a palm is that of one of the hands."""
    return any(
        np.linalg.norm(hand.keypoints_px[KEYPOINT_JOINTS] - palm.keypoints_px, axis=1).mean()
        < _SAME_HAND * palm_length(hand.keypoints_px)
        for hand in hands
    )


def on_same_hand(one: HandDetection, other: HandDetection) -> bool:
    """Whether two detections are of one hand: their keypoints lie together, or one is found on a part of the other."""
    sizes = palm_length(one.keypoints_px), palm_length(other.keypoints_px)
    distance = np.linalg.norm(one.keypoints_px - other.keypoints_px, axis=1).mean()
    if distance < _SAME_HAND * max(sizes):
        return True
    if min(sizes) > _PART_SIZE * max(sizes):
        return False
    part, whole = (one, other) if sizes[0] < sizes[1] else (other, one)
    low, high = whole.keypoints_px.min(0), whole.keypoints_px.max(0)
    within = ((part.keypoints_px >= low) & (part.keypoints_px <= high)).all(1)
    return bool(within.mean() > _PART_WITHIN)
