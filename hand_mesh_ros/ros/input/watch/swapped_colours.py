"""Finds a wrong encoding: images in which a hand is visible only if their bytes are read as another encoding."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from sensor_msgs.msg import Image

from hand_mesh_ros.core.types import Frame, HandDetection
from hand_mesh_ros.ros.input.convert_image import decode_as_mistaken

# Time without a hand until the first try, time between tries, and time until a hand is looked for a second time [s].
_PATIENCE_S, _PERIOD_S, _AGAIN_S = 1.5, 2.0, 0.3
# The period grows with the time without a hand, by this share and up to this time [s].
_GROWTH, _LONGEST_PERIOD_S = 0.1, 10.0
# Lowest score of a hand in the swapped image, and number of tries in a row that show one.
_SURE, _PROOFS = 0.8, 2


class SwappedColours:
    """Tries another encoding once in a while, as long as no image shows a hand."""

    def __init__(self, detect: Callable[[Frame], Sequence[HandDetection]]) -> None:
        """Starts without images. `detect` searches one image for hands, without a previous image."""
        self._detect = detect
        self._hand_s: float | None = None  # the last image with a hand, or the first image
        self._tried_s, self._proofs, self._warning = float("-inf"), 0, ""

    def step(self, image: Image, frame: Frame, is_found: bool, now_s: float) -> str:
        """The warning with both encodings if only the other one shows a hand, else an empty text.

        Args:
            image: the message.
            frame: of the message.
            is_found: the frame shows a hand.
            now_s: current time of any clock.
        """
        if is_found or self._hand_s is None:
            self._hand_s, self._proofs, self._warning = now_s, 0, ""
        without_s = now_s - self._hand_s
        period_s = min(_PERIOD_S + _GROWTH * without_s, _LONGEST_PERIOD_S)
        if 0 < self._proofs < _PROOFS:
            period_s = _AGAIN_S
        if without_s < _PATIENCE_S or now_s - self._tried_s < period_s:
            return self._warning
        self._tried_s = now_s
        self._try(image, frame)
        return self._warning

    def _try(self, image: Image, frame: Frame) -> None:
        other = decode_as_mistaken(image)
        if other is None:
            return
        encoding, rgb = other
        is_swapped = self._shows_hand(replace(frame, rgb=rgb)) and not self._shows_hand(frame)
        self._proofs = self._proofs + 1 if is_swapped else 0
        self._warning = ""
        if self._proofs >= _PROOFS:
            self._warning = (
                f"shows a hand only if its encoding '{image.encoding}' is read as '{encoding}': "
                "correct the encoding in the driver"
            )

    def _shows_hand(self, frame: Frame) -> bool:
        return any(hand.score >= _SURE for hand in self._detect(frame))
