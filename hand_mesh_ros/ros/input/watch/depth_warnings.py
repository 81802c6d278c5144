"""Warnings about depth that is wrong or missing in a way that no single image shows. Each text names cause and correction."""

import math

import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from hand_mesh_ros.core.config import SIZE_LIMITS
from hand_mesh_ros.core.stream.depth_pairs import PairFigures

# A smaller share of images without depth is from lost messages.
_LEAST_WITHOUT = 0.25
# Shares of images that have a depth with their stamp. Below the first one, the stamps do not match.
_MATCHING = 0.15
# Without any image between the stamps of depth, the cause is known only after this time [s].
_PATIENCE_S = 1.5
# Depth of a camera that sees a hand has its median between these distances [m]. Grid of the pixels that are measured [px].
_NEAREST_M, _FARTHEST_M, _GRID = 0.05, 50.0, 4
# Smallest share of the pixels with a distance.
_LEAST_MEASURED = 0.001
# The advised waiting time is longer than the delay by this factor, in steps of so many milliseconds.
_WAIT_MARGIN, _WAIT_STEP_MS, _LONGEST_WAIT_MS = 1.25, 10.0, 1000.0


def wrong_unit(topic: str, ratio: float, scale: float) -> str:
    """The warning for depth that does not agree with the hands.

    Args:
        topic: of the depth.
        ratio: depth divided by the distance of the hands by their size.
        scale: the factor that depth was multiplied with.
    """
    advice = f"if the unit of depth is wrong, set depth_scale to {scale / ratio:.2g}"
    if SIZE_LIMITS[0] <= ratio <= SIZE_LIMITS[1]:
        advice += f"; if depth is right, check camera_info, or set user_hand_scale to {ratio:.2f} for a hand of this size"
    else:
        advice += "; if the unit is right, register depth to the image"
    compared = f"ratio {ratio:.2g} of depth and distance by the size of the hand"
    return f"depth of {topic} does not agree with the hand: {compared}; {advice}"


def implausible(depth_m: np.ndarray, scale: float) -> str:
    """Returns why depth cannot be that of a camera, with what to do. The text is empty if the values are plausible.

    Args:
        depth_m: (H, W) in metres, 0 where depth is missing.
        scale: the factor that depth was multiplied with.
    """
    distances_m = depth_m[::_GRID, ::_GRID]
    measured_m = distances_m[distances_m > 0]
    if measured_m.size < _LEAST_MEASURED * distances_m.size:
        return "has no distance at more than 99.9 % of its pixels: start the depth sensor, or remove what covers it"
    low_m, middle_m, high_m = np.percentile(measured_m, [1, 50, 99])
    if middle_m < _NEAREST_M or middle_m > _FARTHEST_M:
        factor = 1000 if middle_m < _NEAREST_M else 0.001
        unit = "16UC1 counts millimetres, 32FC1 counts metres"
        return (
            f"has a median of {middle_m:.3g} m: {unit}; if the values have the other unit, set depth_scale to {factor * scale:g}"
        )
    if low_m == high_m:
        return f"has the same distance of {middle_m:.3g} m at all pixels: check the depth sensor"
    return ""


def other_frames(depth: Image | CompressedImage, image: Image | CompressedImage) -> tuple[str, str] | None:
    """The frames of depth and image if they differ; None for the same frame, or if a frame is unknown."""
    frames = depth.header.frame_id.lstrip("/"), image.header.frame_id.lstrip("/")
    return frames if all(frames) and frames[0] != frames[1] else None


def other_frame(frames: tuple[str, str], depth_topic: str, image_topic: str) -> str:
    """The warning for depth in another frame than its image, with the frames of `other_frames`."""
    return (
        f"{depth_topic} is in the frame '{frames[0]}', {image_topic} in the frame '{frames[1]}': register depth to the image, "
        "or give both the same frame_id if depth is registered"
    )


def missing_depth(
    figures: PairFigures, depth_topic: str, nearest_s: float, slop_ms: float, wait_ms: float, max_age_ms: float
) -> str | None:
    """The warning for images without depth while depth arrives; None if nearly all images have their depth.

    Args:
        figures: images and depth of the last seconds.
        depth_topic: of the depth.
        nearest_s: smallest stamp difference to a depth for the last image without depth.
        slop_ms: parameter depth_slop_ms.
        wait_ms: parameter depth_wait_ms.
        max_age_ms: parameter max_age_ms.
    """
    # Images that wait for their depth may be replaced by newer images before the node answers them.
    share = max(figures.without_depth / figures.answered, 0.0 if math.isnan(figures.paired_share) else 1 - figures.paired_share)
    if share < _LEAST_WITHOUT:
        return None
    if math.isnan(figures.paired_share) and figures.seconds < _PATIENCE_S:
        return None
    if not figures.paired_share >= _MATCHING:
        nearest = f"the nearest stamp differs by {1e3 * nearest_s:.1f} ms, depth_slop_ms is {slop_ms:g}"
        return f"no depth of {depth_topic} matches the images: {nearest}"
    delay_ms = 1e3 * figures.delay_s
    if delay_ms > wait_ms:
        return _late_depth(delay_ms, figures.depth_is_later, depth_topic, wait_ms, max_age_ms)
    return (
        f"{100 * share:.0f} % of the images have no depth: images come at {figures.image_hz:.0f} Hz, {depth_topic} at "
        f"{figures.depth_hz:.0f} Hz: send both at the same rate, or set image_qos to reliable if messages are lost"
    )


def _late_depth(delay_ms: float, depth_is_later: bool, topic: str, wait_ms: float, max_age_ms: float) -> str:
    order = "after its image" if depth_is_later else "before its image"
    cause = f"{topic} comes {delay_ms:.0f} ms {order}, depth_wait_ms is {wait_ms:g}"
    needed_ms = _WAIT_STEP_MS * math.ceil(_WAIT_MARGIN * delay_ms / _WAIT_STEP_MS)
    if needed_ms > _LONGEST_WAIT_MS:
        return f"{cause}, at most {_LONGEST_WAIT_MS:g} is possible: send both at the same time"
    age = f", and max_age_ms to more than {needed_ms:.0f}" if depth_is_later and 0 < max_age_ms <= needed_ms else ""
    return f"{cause}: set depth_wait_ms to {needed_ms:.0f}{age}"
