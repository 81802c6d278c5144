"""The faults that a camera can have, and the diagnostics that must name them."""

from array import array
from collections.abc import Callable

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import Image

from benchmarks.stream.faulty_camera import FRAME_ID, Fault, Shot
from hand_mesh_ros.ros.stamp import stamp_ns


def _pixels(message: Image) -> np.ndarray:
    kind, channels = {"rgb8": (np.uint8, 3), "16UC1": (np.uint16, 1)}[message.encoding]
    return np.frombuffer(message.data, kind).reshape(message.height, message.width, channels)


def _stop(shot: Shot, _: np.random.Generator) -> None:
    shot.image = shot.info = shot.depth = None


def _unplug(shot: Shot, _: np.random.Generator) -> None:
    shot.is_plugged_in = False


def _halve(shot: Shot, _: np.random.Generator) -> None:
    if shot.number % 2:
        _stop(shot, _)


def _blacken(shot: Shot, _: np.random.Generator) -> None:
    shot.image.data = array("B", bytes(len(shot.image.data)))


def _cut(shot: Shot, rng: np.random.Generator) -> None:
    """Half of the images are damaged. Which ones is random: a slow node takes every second image only."""
    if rng.uniform() < 0.5:
        shot.image.data = shot.image.data[: int(rng.integers(0, len(shot.image.data)))]


def _garble(shot: Shot, rng: np.random.Generator) -> None:
    """Half of the images have random bytes in their fields."""
    if rng.uniform() < 0.5:
        shot.image.step, shot.image.is_bigendian = int(rng.integers(2**32)), int(rng.integers(256))
        shot.image.encoding = str(rng.choice(["", "\x7f", "rgb8" * 50, "holographic"]))
        shot.image.data = array("B", rng.bytes(int(rng.integers(0, 5000))))


def _unknown_encoding(shot: Shot, _: np.random.Generator) -> None:
    shot.image.encoding = "holographic"


def _other_encoding(shot: Shot, _: np.random.Generator) -> None:
    pixels = _pixels(shot.image)[..., ::-1]
    shot.image.encoding, shot.image.data = "bgr8", array("B", pixels.tobytes())


def _shift(seconds: float) -> Callable[[Shot, np.random.Generator], None]:
    def spoil(shot: Shot, _: np.random.Generator) -> None:
        for message in shot.messages:
            stamp = round(1e9 * seconds) + stamp_ns(message.header)
            message.header.stamp = type(message.header.stamp)(sec=stamp // 10**9, nanosec=stamp % 10**9)

    return spoil


def _stick(shot: Shot, _: np.random.Generator) -> None:
    for message in shot.messages:
        message.header.stamp = shot.began.stamp


def _rename(shot: Shot, _: np.random.Generator) -> None:
    for message in shot.messages:
        message.header.frame_id = "rear_optical"


def _foreign_info(shot: Shot, _: np.random.Generator) -> None:
    shot.info.header.frame_id = "infra_optical"


def _info_of_another_shape(shot: Shot, _: np.random.Generator) -> None:
    shot.info.height //= 2


def _no_info(shot: Shot, _: np.random.Generator) -> None:
    shot.info.k = np.zeros(9)


def _unknown_lens(shot: Shot, _: np.random.Generator) -> None:
    shot.info.distortion_model, shot.info.d = "brown_conrady", [0.1] * 5


def _small_depth(shot: Shot, _: np.random.Generator) -> None:
    pixels = _pixels(shot.depth)[::2, ::2]
    shot.depth.height, shot.depth.width = pixels.shape[:2]
    shot.depth.step, shot.depth.data = pixels[0].nbytes, array("B", pixels.tobytes())


def _scaled_depth(shot: Shot, _: np.random.Generator) -> None:
    shot.depth.data = array("B", (10 * _pixels(shot.depth)).tobytes())


def _depth_of_another_frame(shot: Shot, _: np.random.Generator) -> None:
    shot.depth.header.frame_id = "depth_optical"


def _late_depth(shot: Shot, _: np.random.Generator) -> None:
    shot.depth_late_s = 0.2


def _half_depth(shot: Shot, _: np.random.Generator) -> None:
    if shot.number % 2:
        shot.depth = None


def _no_depth(shot: Shot, _: np.random.Generator) -> None:
    shot.depth = None


def _visitors(shot: Shot, rng: np.random.Generator) -> None:
    shot.has_visitors = rng.uniform() < 0.5


_WARN, _ERROR = DiagnosticStatus.WARN, DiagnosticStatus.ERROR
FAULTS = (
    Fault("camera stops", _stop, "no image arrives on", _ERROR),
    Fault("camera is unplugged", _unplug, "image has no publisher", _ERROR),
    Fault("camera at half of the rate", _halve),
    Fault("black images", _blacken, "is nearly black", _WARN),
    Fault("half of the images are cut off", _cut, "image refused: ", _ERROR),
    Fault("half of the images have random bytes", _garble, "image refused: ", _ERROR),
    Fault("unknown encoding", _unknown_encoding, "'holographic'", _ERROR),
    Fault("change to another known encoding", _other_encoding),
    Fault("clock jumps 37 s ahead", _shift(37.0), " s ahead of the clock", _WARN),
    Fault("clock jumps 60 s back", _shift(-60.0), " s behind the clock", _WARN),
    Fault("clock jumps 5 s back", _shift(-5.0), "ms old, max_age_ms is", _WARN),
    Fault("stamps stand still", _stick, "stamps do not advance", _ERROR),
    Fault("another frame_id", _rename, f"changed from '{FRAME_ID}' to 'rear_optical'", _WARN),
    Fault("calibration of another camera", _foreign_info, "calibration may be that of another camera", _WARN),
    Fault("calibration of another shape", _info_of_another_shape, "with another aspect ratio", _ERROR),
    Fault("calibration of zeros", _no_info, "all-zero K", _WARN),
    Fault("unknown lens", _unknown_lens, "'brown_conrady'", _WARN),
    Fault("depth of another size", _small_depth, "depth refused: depth is 160x120 px, the image 320x240", _ERROR),
    Fault("depth in a wrong unit", _scaled_depth, "set depth_scale to", _WARN),
    Fault("depth of another frame", _depth_of_another_frame, "is in the frame 'depth_optical'", _WARN),
    Fault("depth 200 ms late", _late_depth, "set depth_wait_ms to", _WARN),
    Fault("depth at half of the rate", _half_depth, "of the images have no depth", _WARN),
    Fault("depth stops", _no_depth, "no depth arrives on", _WARN),
    Fault("subscribers come and go", _visitors),
)
