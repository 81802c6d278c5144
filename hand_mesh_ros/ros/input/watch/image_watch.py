"""Watches the images of one stream: their stamps, frames, brightness and encoding."""

import time
from collections.abc import Callable, Sequence

from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from hand_mesh_ros.core.types import Frame, HandDetection
from hand_mesh_ros.ros.input import diagnosis
from hand_mesh_ros.ros.input.inputs import Inputs
from hand_mesh_ros.ros.input.stamp_watch import StampWatch, Verdict
from hand_mesh_ros.ros.input.watch.brightness import shows_nothing
from hand_mesh_ros.ros.input.watch.swapped_colours import SwappedColours
from hand_mesh_ros.ros.stamp import stamp_ns

# Without a hand, the brightness of the images is looked at in this interval [s].
_LOOK_PERIOD_S = 0.5


class ImageWatch:
    """Warns of images that no message alone shows to be wrong. Not thread-safe."""

    def __init__(
        self, inputs: Inputs, detect: Callable[[Frame], Sequence[HandDetection]], warn: Callable[[str, str], None]
    ) -> None:
        """Starts without images.

        Args:
            inputs: the topics.
            detect: searches one image for hands, without a previous image.
            warn: called with the subject and the text of each warning.
        """
        self._inputs, self._warn = inputs, warn
        self._stamps, self._swapped = StampWatch(), SwappedColours(detect)
        self._frame_id: str | None = None  # of the last image
        self._hand_s = time.monotonic()  # the last time that an image showed a hand
        self._looked_s, self._nothing = 0.0, ""

    @property
    def repeated(self) -> int:
        """Number of images with the stamp of the image before."""
        return self._stamps.repeated

    def judge_stamp(self, image: Image | CompressedImage, now_ns: int, is_restarted: bool, max_age_s: float) -> Verdict:
        """Judges the stamp of the next image, as `StampWatch.judge`, and warns of it."""
        if is_restarted:
            self._warn("restart", f"image stamps jumped back: all tracks are dropped{self._inputs.rivals()}")
        verdict = self._stamps.judge(stamp_ns(image.header), now_ns, is_restarted, max_age_s)
        if verdict.warning:
            self._warn("clock", verdict.warning)
        return verdict

    def look_at_frames(self, frame_id: str, info: CameraInfo | None) -> None:
        """Warns of another `frame_id` than that of the last image, and than that of the calibration."""
        if self._frame_id not in (None, frame_id):
            change = f"from '{self._frame_id}' to '{frame_id}'"
            self._warn("camera", f"frame_id of image changed {change}: all tracks are dropped{self._inputs.rivals()}")
        self._frame_id = frame_id
        if info is not None and (reason := diagnosis.foreign_info(frame_id, info.header.frame_id)):
            self._warn("frame_id", reason)

    def look_at_colours(self, image: Image, frame: Frame, is_found: bool) -> None:
        """Warns of images in which no hand can be seen.

        Args:
            image: the message.
            frame: of the message.
            is_found: the frame shows a hand, so that the image is good enough.
        """
        now_s = time.monotonic()
        if is_found:
            self._hand_s, self._nothing = now_s, ""
        elif now_s - max(self._hand_s, self._looked_s) > _LOOK_PERIOD_S:
            self._looked_s, self._nothing = now_s, shows_nothing(frame.rgb)
        topic = self._inputs.topic("image")
        if self._nothing:
            self._warn("brightness", f"{topic} {self._nothing}")
        if text := self._swapped.step(image, frame, is_found, now_s):
            self._warn("encoding", f"{topic} {text}")
