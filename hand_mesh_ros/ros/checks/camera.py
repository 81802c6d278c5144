"""Checks of the inputs together: calibration and depth against the image, and the transform into the output frame."""

from collections.abc import Callable

from sensor_msgs.msg import Image

from hand_mesh_ros.core.stream.transform_buffer import TransformError
from hand_mesh_ros.ros.checks.finding import Finding
from hand_mesh_ros.ros.checks.watch import Asked, Stream, Watch
from hand_mesh_ros.ros.input import diagnosis
from hand_mesh_ros.ros.input.convert_camera import intrinsics, why_uncalibrated
from hand_mesh_ros.ros.input.convert_compressed import decompress
from hand_mesh_ros.ros.input.convert_frame import depth_of_image
from hand_mesh_ros.ros.input.convert_image import ConversionError, decode_rgb
from hand_mesh_ros.ros.input.watch import depth_warnings

_REGISTER = "register depth to the image in the driver (realsense2_camera: align_depth.enable:=true), or run depth_image_proc"
# The transform of the newest image may still be on its way.
_TRANSFORMS_TRIED = 10


def image(watch: Watch, asked: Asked) -> list[Finding]:
    """The newest image, its calibration and its depth."""
    raw, findings = _readable(watch.image)
    info = watch.camera_info.last
    if info is not None:
        findings += _of_calibration(watch, raw, asked)
    return [*findings, *depth(watch, raw, asked)]


def _of_calibration(watch: Watch, raw: Image | None, asked: Asked) -> list[Finding]:
    stream, info = watch.camera_info, watch.camera_info.last
    if reason := why_uncalibrated(info, asked.rectified, stream.topic):
        return [Finding(stream.topic, reason, "" if any(info.k) else "calibrate the camera (camera_calibration)")]
    findings = []
    if raw is not None:
        findings += _tried(stream, lambda: intrinsics(info, raw.width, raw.height, asked.rectified))
    if watch.image.last is not None:
        foreign = diagnosis.foreign_info(watch.image.last.header.frame_id, info.header.frame_id)
        findings += [Finding(stream.topic, foreign)] if foreign else []
    return findings


def depth(watch: Watch, raw: Image | None, asked: Asked) -> list[Finding]:
    """Registration, unit and pairing of depth.

    Args:
        watch: the inputs.
        raw: newest image, decoded if it came compressed; None if there is none.
        asked: settings of the node.
    """
    stream = watch.depth
    if stream.last is None or raw is None:
        return []
    findings = []
    try:
        if reason := depth_warnings.implausible(depth_of_image(stream.last, raw, asked.depth_scale), asked.depth_scale):
            findings.append(Finding(stream.topic, f"{stream.topic} {reason}"))
    except ConversionError as error:
        findings.append(Finding(stream.topic, f"{stream.topic}: {error}", _REGISTER))
    if frames := depth_warnings.other_frames(stream.last, watch.image.last):
        findings.append(Finding(stream.topic, depth_warnings.other_frame(frames, stream.topic, watch.image.topic), _REGISTER))
    limits = asked.depth_slop_ms, asked.depth_wait_ms, 1e3 * asked.max_age_s
    missing = depth_warnings.missing_depth(watch.pairs, stream.topic, watch.nearest_depth_s, *limits) if watch.pairs else None
    if missing:
        findings.append(Finding(stream.topic, missing))
    return findings


def output_frame(watch: Watch, asked: Asked) -> list[Finding]:
    """The transform from the camera into the output frame."""
    if watch.transforms is None or watch.image.last is None:
        return []
    source, reason = watch.image.last.header.frame_id, ""
    if not source:
        problem = f"the images on {watch.image.topic} have no frame_id, output_frame is {asked.output_frame}"
        return [Finding(watch.image.topic, problem, "set the frame_id in the camera driver")]
    for stamp in watch.image.stamps_ns[-_TRANSFORMS_TRIED:]:
        try:
            watch.transforms.lookup(asked.output_frame, source, stamp)
            return []
        except TransformError as error:
            reason = str(error)
    frames = f"--frame-id {asked.output_frame} --child-frame-id {source}"
    cure = f"publish the transform: ros2 run tf2_ros static_transform_publisher {frames}"
    return [Finding(asked.output_frame, f"no transform from {source} into {asked.output_frame}: {reason}", cure)]


def _readable(stream: Stream) -> tuple[Image | None, list[Finding]]:
    """The newest image, decompressed, and what is wrong with it."""
    if stream.last is None:
        return None, []
    try:
        raw = stream.last if isinstance(stream.last, Image) else decompress(stream.last)
        decode_rgb(raw)
        return raw, []
    except ConversionError as error:
        return None, [Finding(stream.topic, f"{stream.topic}: {error}", "let the driver send an encoding of docs/interface.md")]


def _tried(stream: Stream, convert: Callable[[], object]) -> list[Finding]:
    try:
        convert()
    except ConversionError as error:
        return [Finding(stream.topic, f"{stream.topic}: {error}")]
    return []
