"""Whether two records are of one physical hand: from image to image, and within one image as two hands of either side."""

from collections.abc import Sequence

import numpy as np

from hand_mesh_ros.core.hand.model import palm_length
from hand_mesh_ros.core.topology import PALM_JOINTS
from hand_mesh_ros.core.types import HandDetection, HandEstimate

# A hand comes back within this many palm lengths of where it was expected, and of a size within this factor.
_NEAR, _SIZE_FACTOR = 0.75, 1.5
# Across the view, the joints of one hand seen twice lie within this share of the palm's length of one another, on average and
# whatever they are called: a left hand's index may be a right hand's little finger. Two hands are farther apart.
_SAME_OUTLINE = 0.1
# Along the view, they are at most this many standard deviations and palm lengths apart: taken for the other side, a hand
# bends the other way and seems to be nearer or farther.
_SAME_DISTANCE, _THICKNESS = 2.0, 0.3


def is_near(found: HandDetection, expected: HandDetection) -> bool:
    """Whether a hand found in the image may be the one that was expected there, of whichever side."""
    size, expected_size = palm_length(found.keypoints_px), palm_length(expected.keypoints_px)
    is_alike = expected_size < _SIZE_FACTOR * size and size < _SIZE_FACTOR * expected_size
    return bool(is_alike and np.linalg.norm(palm_centre(found) - palm_centre(expected)) < _NEAR * expected_size)


def palm_centre(detection: HandDetection) -> np.ndarray:
    """Mean of the palm's keypoints, (2,) pixels: fingers move too much to tell where a hand is."""
    return detection.keypoints_px[PALM_JOINTS].mean(0)


def duplicates(hands: Sequence[HandEstimate]) -> set[str]:
    """Ids of the hands that take the place of another one in space, as when one is reported as left and as right.

    Of two the one that is followed longer stays, of two new ones the one whose side is surer. Without a calibrated camera places
    are unknown and none is a duplicate; the detector has compared them in the image.
    """
    kept: list[HandEstimate] = []
    gone: set[str] = set()
    for hand in sorted(hands, key=lambda hand: (hand.state == "new", -hand.score * hand.handedness_prob)):
        if any(_takes_place_of(hand, other) for other in kept):
            gone.add(hand.track_id)
        else:
            kept.append(hand)
    return gone


def _takes_place_of(one: HandEstimate, other: HandEstimate) -> bool:
    if "none" in (one.scale_source, other.scale_source):
        return False
    palm_m = min(palm_length(one.joints_m), palm_length(other.joints_m))
    (near_m, near_var), (far_m, far_var) = sorted(_distance(hand) for hand in (one, other))
    if far_m - near_m > _THICKNESS * palm_m + _SAME_DISTANCE * np.sqrt(near_var + far_var):
        return False
    # In the plane half-way: how far the joints are apart across the view does not depend on what is believed of their depths.
    outlines = [0.5 * (near_m + far_m) * hand.joints_m[:, :2] / hand.joints_m[:, 2:] for hand in (one, other)]
    apart = np.linalg.norm(outlines[0][:, None] - outlines[1], axis=-1)
    return bool(max(apart.min(0).mean(), apart.min(1).mean()) < _SAME_OUTLINE * palm_m)


def _distance(hand: HandEstimate) -> tuple[float, float]:
    """Distance of the palm along the optical axis, and its variance."""
    return float(hand.joints_m[PALM_JOINTS, 2].mean()), float(hand.joint_covariance_m2[PALM_JOINTS, 2, 2].mean())
