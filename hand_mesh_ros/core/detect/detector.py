"""Detects hands in an image: finds the palms of new hands, then 21 landmarks in an upright crop around every hand.

A hand of the last image is searched around its last keypoints. This is faster and more stable than a new search for its palm.
The detector stores no state between calls. The caller passes the hands of the last image as `previous`, and the parts of the
image to search as `plan`.
"""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from hand_mesh_ros.core.config import DetectorConfig
from hand_mesh_ros.core.detect import crop, verify
from hand_mesh_ros.core.detect.look import Look, look, mean, to_detection
from hand_mesh_ros.core.detect.palm import KEYPOINT_JOINTS, Palm, PalmDetector
from hand_mesh_ros.core.detect.search import LaterHands, Looks, Plan, Result, whole_plan
from hand_mesh_ros.core.detect.tiles import Tile
from hand_mesh_ros.core.detect.verify import SAME_HAND, agreed, is_covered, on_same_hand
from hand_mesh_ros.core.hand.model import FILE_NAME, HandModel, palm_length
from hand_mesh_ros.core.models.onnx_model import OnnxModel
from hand_mesh_ros.core.topology import joint_order_digest
from hand_mesh_ros.core.types import Frame, HandDetection

# Weight of the newest image in the running probability of the side. The side changes if the probability is below the second
# value. With these values, a side stays for five successive images that contradict it.
SIDE_RATE, _SIDE_FLIP = 0.2, 0.35
# The first look at a palm must reach this share of `min_score`. Otherwise there are no further looks.
_WORTH_A_LOOK = 0.6


class HandDetector:
    """Finds and follows up to `config.max_hands` hands of either side."""

    def __init__(self, models_dir: Path, config: DetectorConfig) -> None:
        """Loads the palm model and the landmark model.

        Raises:
            ModelError: if a file is missing, not a file of this package, or cannot run on `config.device`.
        """
        self.config = config
        self.clock = time.perf_counter  # clock for the time budget of a plan
        # Runs the palm model beside the stages of a followed hand, and the looks at all hands but the first.
        self._second_thread = ThreadPoolExecutor(1, "detect")
        self.palms = PalmDetector(models_dir, config.device, config.threads)
        expected = {"kind": "hand_landmark", "joint_order": joint_order_digest()}
        landmark_file, threads = models_dir / "hand_landmark.onnx", config.landmark_threads
        self.landmarks = OnnxModel.fastest(landmark_file, expected, config.device, threads)
        self.bone_lengths_m = HandModel.load(models_dir / FILE_NAME).bone_lengths_m

    def reconfigure(self, config: DetectorConfig) -> None:
        """Uses other settings from now on."""
        self.config = config

    def detect(
        self, frame: Frame, previous: Sequence[HandDetection] = (), search: bool = True, plan: Plan | None = None
    ) -> list[HandDetection]:
        """Hands in an image: first the hands of `previous` that are found again, in the same order, then new hands.

        Args:
            frame: only the image is used.
            previous: hands of the last image. A hand that is found again keeps its `track_id`. Its side changes only if several
                images contradict it.
            search: True to search for new hands while the number of hands is below `max_hands`. False saves the time of the palm
                model. Without a followed hand, the detector always searches.
            plan: parts of the image to search, and the time budget. The detector stores the results of the search in the plan.
                None to search the whole image for hands of all sizes without a time limit.

        Returns:
            At most `max_hands` detections, one per hand. New hands have an empty `track_id`.
        """
        started_s = self.clock()
        hands = self._follow(frame.rgb, previous)
        if len(hands) >= self.config.max_hands:
            return hands
        if search or not hands:
            if plan is None:
                plan = whole_plan(frame.rgb, self.config.min_hand_px)
            if plan.is_alone:
                return hands + self._find_alone(frame.rgb, hands, plan)
            return hands + self._find(frame.rgb, hands, plan, started_s)
        return hands + (_next_look(plan, hands) if plan else [])

    def _follow(self, rgb: np.ndarray, previous: Sequence[HandDetection]) -> list[HandDetection]:
        """Hands of `previous` that are found again. If two of them are on the same hand, the one with less motion stays."""
        candidates = previous[: self.config.max_hands]
        others = [self._second_thread.submit(self._found_again, rgb, last) for last in candidates[1:]]
        seen = [self._found_again(rgb, last) for last in candidates[:1]] + [other.result() for other in others]
        found = [(hand, last) for hand, last in zip(seen, candidates) if hand is not None]
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
        # Left and right hands appear as right hands in their crops.
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
        """New hands from palms in the tiles of the plan, until the time budget is used up."""
        wanted = self.config.max_hands - len(known)
        new: list[HandDetection] = []
        if plan.is_spread and known:
            searches = [self._search_later(rgb, tile, known, plan.most_looks) for tile in plan.tiles]
            for search in searches:
                next(search)
            plan.searches += searches
            plan.visited += plan.tiles
            return []
        for tile in plan.tiles:
            if not plan.has_time(self.clock() - started_s):
                break
            palms = [palm for palm in self.propose(rgb, tile) if not is_known(palm, (*known, *new))]
            if palms and not plan.has_time(self.clock() - started_s):
                # The next image starts with the palms of this tile.
                plan.unfinished = tile
                break
            # Each false palm needs the time of a run of the landmark model, so the number of palms is limited.
            for palm in palms[: plan.most_looks or 2 * self.config.max_hands]:
                hand = None if is_known(palm, new) else _at_once(self._first_sight(rgb, palm))
                if hand is not None and not _is_any_of(hand, known):
                    new = _with(new, hand)
                    plan.note(hand, tile)
            plan.visited.append(tile)
            if len(new) >= wanted:
                break
        return new[:wanted]

    def _search_later(self, rgb: np.ndarray, tile: Tile, known: Sequence[HandDetection], most_looks: int) -> LaterHands:
        """Searches a part of an image for hands beside the known ones: the palm model first, then one look per step."""
        palms = self._second_thread.submit(self.propose, rgb, tile)
        yield None
        for palm in [palm for palm in palms.result() if not is_known(palm, known)][:most_looks]:
            yield (yield from self._first_sight(rgb, palm))

    def _find_alone(self, rgb: np.ndarray, known: Sequence[HandDetection], plan: Plan) -> list[HandDetection]:
        """New hands in a single image. The certain hands come first."""
        config, wanted = self.config, self.config.max_hands - len(known)
        new: list[HandDetection] = []
        doubtful: list[HandDetection] = []
        for tile in plan.tiles:
            shows_all = rgb.shape[:2] == (tile.height, tile.width)
            palms = [palm for palm in self.propose(rgb, tile, verify.ALONE_PALM) if not is_known(palm, (*known, *new))]
            for palm in palms[: 2 * config.max_hands]:
                if is_known(palm, new):
                    continue
                hand = _at_once(self._first_sight(rgb, palm, verify.ALONE_PRESENCE, verify.ALONE_SCORE))
                if hand is None or _is_any_of(hand, known):
                    continue
                if hand.score >= verify.certain_score(config, shows_all, palm.score, float(hand.keypoint_conf.max())):
                    new = _with(new, hand)
                else:
                    doubtful.append(hand)
            if len(new) >= wanted:
                break
        return [*new, *agreed(doubtful, [*known, *new], config.min_score)][:wanted]

    def propose(self, rgb: np.ndarray, tile: Tile, share: float = 1.0) -> list[Palm]:
        """Palms in a part of an image with at least `share` of the minimum score, in pixels of the whole image, best first."""
        corner = np.array([tile.left, tile.top])
        return [
            Palm(palm.box_px + np.concatenate([corner, [0, 0]]), palm.keypoints_px + corner, palm.score)
            for palm in self.palms(tile.cut(rgb), share * self.config.min_palm_score, tile.view)
        ]

    def _first_sight(
        self, rgb: np.ndarray, palm: Palm, presence_share: float = 1.0, score_share: float = 1.0
    ) -> Looks[HandDetection | None]:
        """The hand of a palm with at least these shares of `min_score` as presence and as score, or None."""
        looks = yield from self._looks(rgb, palm, presence_share * self.config.min_score)
        if looks is None:
            return None
        first, again, side_prob = looks
        score = verify.probability(verify.first_features(palm, first, again, self.bone_lengths_m), verify.FIRST_WEIGHTS)
        return to_detection(again, rgb, side_prob, score) if score >= score_share * self.config.min_score else None

    def examine(self, rgb: np.ndarray, palm: Palm, min_presence: float) -> tuple[Look, Look, float] | None:
        """Three looks at the hand of a palm: one at the crop around the palm, two at the crop around the keypoints found there.

        The side of the hand is not known yet, so one of the last two crops is mirrored. The two results differ slightly. Their
        mean is more accurate, and is the same for a hand and its mirror image.

        Returns:
            The first look, the mean of the other two looks in the crop of the more likely side, and the probability of this
            side. None if one of the looks does not show a hand.
        """
        return _at_once(self._looks(rgb, palm, min_presence))

    def _looks(self, rgb: np.ndarray, palm: Palm, min_presence: float) -> Looks[tuple[Look, Look, float] | None]:
        """As `examine`, with a pause after each look that needs another look."""
        first = self._look(rgb, crop.around_palm(palm))
        if not (first.is_usable and first.presence >= _WORTH_A_LOOK * min_presence):
            return None
        yield
        plain = self._look(rgb, crop.around_keypoints(first.keypoints_px))
        if not (plain.is_usable and plain.presence >= min_presence):
            return None
        yield
        mirrored = self._look(rgb, crop.mirror(plain.image_from_crop))
        if not (mirrored.is_usable and mirrored.presence >= min_presence):
            return None
        right_prob = 0.5 * (plain.right_prob + 1 - mirrored.right_prob)
        if right_prob >= 0.5:
            return first, mean(plain, mirrored), right_prob
        return first, mean(mirrored, plain), 1 - right_prob

    def _look(self, rgb: np.ndarray, image_from_crop: np.ndarray) -> Look:
        return look(self.landmarks, rgb, image_from_crop)


def _at_once(looks: Looks[Result]) -> Result:
    """Result of several looks without a pause."""
    while True:
        try:
            next(looks)
        except StopIteration as end:
            return end.value


def _next_look(plan: Plan, known: Sequence[HandDetection]) -> list[HandDetection]:
    """Takes the next look of the searches that earlier images started. Returns the hand that the look completes, if any."""
    while plan.searches:
        try:
            hand = next(plan.searches[0])
        except StopIteration:
            del plan.searches[0]
            continue
        if hand is None or _is_any_of(hand, known):
            return []
        # An earlier image shows this hand.
        plan.doubtful.append(hand)
        return [hand]
    return []


def _with(hands: list[HandDetection], new: HandDetection) -> list[HandDetection]:
    """The list with a new hand. Of detections of the same hand, only the one with the highest score stays.

    Of several poses, the first one stays, because large parts of the image are searched first and show more around the hand.
    """
    rivals = [hand for hand in hands if on_same_hand(hand, new)]
    if any(hand.score >= new.score for hand in rivals):
        return hands
    if not rivals and any(is_covered(new, hand) for hand in hands):
        return hands
    return [*(hand for hand in hands if all(hand is not rival for rival in rivals)), new]


def _is_any_of(hand: HandDetection, known: Sequence[HandDetection]) -> bool:
    return any(on_same_hand(hand, other) or is_covered(hand, other) for other in known)


def is_known(palm: Palm, hands: Sequence[HandDetection]) -> bool:
    """True if the palm belongs to one of the hands."""
    return any(
        np.linalg.norm(hand.keypoints_px[KEYPOINT_JOINTS] - palm.keypoints_px, axis=1).mean()
        < SAME_HAND * palm_length(hand.keypoints_px)
        for hand in hands
    )
