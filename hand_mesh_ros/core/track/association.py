"""Decides if two records are the same physical hand, in successive images, or in one image with different sides."""

from collections.abc import Sequence

import numpy as np

from hand_mesh_ros.core.hand.model import palm_length
from hand_mesh_ros.core.topology import PALM_JOINTS
from hand_mesh_ros.core.types import HandDetection, HandEstimate

# A hand that is found again has at most this distance from its expected position [palm lengths] and this ratio of sizes.
_NEAR, _SIZE_FACTOR = 0.75, 1.5
# Two estimates of the same hand: largest mean distance from a joint to the nearest joint of the other estimate, across the line
# of sight [palm lengths]. Joint names are not compared, because the index finger of a left hand may be the little finger of a
# right hand.
_SAME_OUTLINE = 0.1
# Largest distance along the line of sight, in standard deviations and in palm lengths. With the wrong side, an estimate bends in
# the opposite direction and has another distance.
_SAME_DISTANCE, _THICKNESS = 2.0, 0.3


def is_near(found: HandDetection, expected: HandDetection) -> bool:
    """True if a hand that was found may be the expected hand. The sides may differ."""
    size, expected_size = palm_length(found.keypoints_px), palm_length(expected.keypoints_px)
    is_alike = expected_size < _SIZE_FACTOR * size and size < _SIZE_FACTOR * expected_size
    return bool(is_alike and np.linalg.norm(palm_centre(found) - palm_centre(expected)) < _NEAR * expected_size)


def palm_centre(detection: HandDetection) -> np.ndarray:
    """Mean of the palm keypoints, (2,) pixels. Fingers are not used, because they move too much."""
    return detection.keypoints_px[PALM_JOINTS].mean(0)


def duplicates(hands: Sequence[HandEstimate]) -> set[str]:
    """Ids of hands at the same position as another hand, for example one hand that was detected as left and as right.

    A tracked hand has priority over a new hand. Of two new hands, the hand with the larger score times side probability stays.
    Without a calibrated camera the positions are unknown, so no hand is a duplicate. The detector has already compared the hands
    in the image.
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
    # Both hands are projected into one plane halfway. So the distance of the joints does not depend on their estimated depths.
    outlines = [0.5 * (near_m + far_m) * hand.joints_m[:, :2] / hand.joints_m[:, 2:] for hand in (one, other)]
    apart = np.linalg.norm(outlines[0][:, None] - outlines[1], axis=-1)
    return bool(max(apart.min(0).mean(), apart.min(1).mean()) < _SAME_OUTLINE * palm_m)


def _distance(hand: HandEstimate) -> tuple[float, float]:
    """Distance of the palm along the optical axis, and its variance."""
    return float(hand.joints_m[PALM_JOINTS, 2].mean()), float(hand.joint_covariance_m2[PALM_JOINTS, 2, 2].mean())
