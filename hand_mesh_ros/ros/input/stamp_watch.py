"""Judges the stamps of images: by the clock of the node, and by the stamps of earlier images.

Old stamps have two causes. A recording, or a camera with a clock of its own, has old stamps from its first image on: such images
are answered, with a warning. A delay grows from image to image: delayed images are not answered, however large the delay becomes.
"""

import math
import time
from dataclasses import dataclass

# At the start of a stream, a larger age means that the stamps are from another clock [s].
_FOREIGN_CLOCK_S = 10.0
# Two synchronised machines, or simulated time between two messages on /clock, differ by less [s].
_AHEAD_S = 0.25
# Without a largest age, older images are answered with a warning [s].
_OLD_S = 1.0
# Images in a row with the same stamp, and their duration. A camera may send an image again a few times.
_STUCK_IMAGES, _STUCK_S = 3, 1.5


NO_CLOCK = (
    "use_sim_time is true and nothing has arrived on /clock: the age of images is unknown; start the simulation, play the bag "
    "with --clock, or set use_sim_time to false"
)


@dataclass(frozen=True)
class Verdict:
    """What the stamp of an image says."""

    age_s: float  # NaN if the stamp is from another clock
    is_too_old: bool = False  # the image must not be answered
    warning: str = ""
    error: str = ""  # the image must not be answered, for this reason


class StampWatch:
    """Judges the stamps of one stream of images."""

    def __init__(self) -> None:
        self.repeated = 0  # number of images with the stamp of the image before
        self._last_ns = 0
        self._in_a_row, self._since_s = 0, 0.0  # images with the last stamp, and the time of the first one
        self._is_foreign: bool | None = None  # None before the first image of a stream

    def judge(self, stamp_ns: int, now_ns: int, is_restarted: bool, max_age_s: float) -> Verdict:
        """Judges the next image.

        Args:
            stamp_ns: stamp of the image.
            now_ns: time of the node's clock; 0 while simulated time has not begun.
            is_restarted: the stamps have jumped back before this image.
            max_age_s: largest age of an image that is answered; 0 for no limit.
        """
        if error := self._stuck(stamp_ns):
            return Verdict(math.nan, error=error)
        if not now_ns:
            return Verdict(math.nan, warning=NO_CLOCK)
        age_s = 1e-9 * (now_ns - stamp_ns)
        if self._is_foreign is None or is_restarted:
            self._is_foreign = age_s >= _FOREIGN_CLOCK_S
        elif age_s < _FOREIGN_CLOCK_S:
            self._is_foreign = False
        if self._is_foreign or age_s < -_AHEAD_S:
            return Verdict(math.nan, warning=_foreign(age_s))
        if 0 < max_age_s < age_s:
            return Verdict(age_s, is_too_old=True, warning=f"{_old(age_s)}, max_age_ms is {1e3 * max_age_s:.0f}: {_DELAY}")
        warning = f"{_old(age_s)}: {_DELAY}" if age_s > max(max_age_s, _OLD_S) else ""
        return Verdict(age_s if age_s >= 0 else math.nan, warning=warning)

    def _stuck(self, stamp_ns: int) -> str:
        """Why the image is refused, if the stamps do not advance; else an empty text."""
        if stamp_ns != self._last_ns:
            self._last_ns, self._in_a_row, self._since_s = stamp_ns, 1, time.monotonic()
            return ""
        self.repeated += 1
        self._in_a_row += 1
        if self._in_a_row < _STUCK_IMAGES or time.monotonic() - self._since_s < _STUCK_S:
            return ""
        return (
            f"stamps do not advance: {self._in_a_row} images in a row have the stamp {1e-9 * stamp_ns:.3f} s; "
            "the driver must stamp each image with the time at which it was taken"
        )


_DELAY = "the driver or the network delays images, or the clocks of camera and node differ (synchronise them: chrony, PTP)"


def _old(age_s: float) -> str:
    return f"image was {1e3 * age_s:.0f} ms old"


def _foreign(age_s: float) -> str:
    direction = "behind" if age_s > 0 else "ahead of"
    return (
        f"image stamps are {abs(age_s):.1f} s {direction} the clock of this node: its age is unknown and max_age_ms is not "
        "applied; for a live camera synchronise the clocks (chrony, PTP), for a bag or a simulation set use_sim_time and "
        "publish /clock (ros2 bag play --clock)"
    )
