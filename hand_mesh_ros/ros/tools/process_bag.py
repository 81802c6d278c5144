"""Finds hands in the images of a bag and writes the results to a new bag. Runs at full speed and without other ROS nodes.

    ros2 run hand_mesh_ros process_bag drive.mcap results --image /camera/image_raw --camera-info /camera/camera_info

Processes every image. The results are the same as from a live node that is fast enough for its camera.
Needs `pip install rosbags`.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from sensor_msgs.msg import CompressedImage, Image

from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.detect.search import one_look
from hand_mesh_ros.core.models.onnx_model import ModelError
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.stream.intake import RESTART_NS
from hand_mesh_ros.ros.input import diagnosis
from hand_mesh_ros.ros.input.convert_camera import why_uncalibrated
from hand_mesh_ros.ros.input.convert_compressed import decompress
from hand_mesh_ros.ros.input.convert_frame import depth_of_image, to_frame
from hand_mesh_ros.ros.input.convert_image import ConversionError
from hand_mesh_ros.ros.input.watch.brightness import Stretch, shows_nothing
from hand_mesh_ros.ros.input.watch.depth_warnings import other_frame, other_frames, wrong_unit
from hand_mesh_ros.ros.input.watch.swapped_colours import SwappedColours
from hand_mesh_ros.ros.stamp import stamp_ns

try:
    from rosbags.rosbag2 import WriterError

    from hand_mesh_ros.ros.tools.bag_reader import BagError, BagReader, Recorded
    from hand_mesh_ros.ros.tools.bag_writer import STORAGES, ResultBag
except ModuleNotFoundError as error:
    if error.name != "rosbags":
        raise
    raise SystemExit("process_bag needs the package rosbags: pip install rosbags") from error


@dataclass(frozen=True)
class Count:
    """Counts the processed and skipped images of a bag."""

    answered: int = 0
    with_hands: int = 0
    late: int = 0  # images after an image with a newer stamp; skipped, as in the live node
    repeated: int = 0  # images with the stamp of the image before
    foreign_info: str = ""  # why the calibration may be that of another camera
    refused: int = 0
    last_refusal: str = ""
    depths_refused: int = 0  # their images are processed without depth
    last_depth_refusal: str = ""
    image_fault: str = ""  # last reason why images without a hand may be useless
    without_depth: int = 0  # answered images for which the bag has no depth
    depth_ratio: float | None = None  # last ratio of depth and distance by size that no human hand explains
    depth_frames: tuple[str, str] | None = None  # last frames of depth and image that differ
    uncalibrated: int = 0  # answered without positions
    why_uncalibrated: str = ""


def process(
    images: "BagReader", results: "ResultBag", pipeline: HandMeshPipeline, rectified: bool, depth_scale: float = 1.0
) -> Count:
    """Processes the images of a bag and writes the results.

    Args:
        images: reader of the recorded images.
        results: receives the results.
        pipeline: new pipeline without earlier images.
        rectified: like the parameter of the live node.
        depth_scale: like the parameter of the live node.
    """
    count, newest_ns, stretch = Count(), 0, Stretch()
    swapped = SwappedColours(lambda frame: pipeline.detector.detect(frame, plan=one_look(frame.rgb)))
    for recorded in images:
        taken_ns = stamp_ns(recorded.image.header)
        if newest_ns - RESTART_NS <= taken_ns < newest_ns:
            count = replace(count, late=count.late + 1)
            continue
        if taken_ns < newest_ns:
            pipeline.reset()
        count = replace(count, repeated=count.repeated + (taken_ns == newest_ns))
        newest_ns = taken_ns
        if recorded.info is not None:
            foreign = diagnosis.foreign_info(recorded.image.header.frame_id, recorded.info.header.frame_id)
            count = replace(count, foreign_info=foreign or count.foreign_info)
        try:
            image = decompress(recorded.image) if isinstance(recorded.image, CompressedImage) else recorded.image
            depth_m, refusal = _depth_of(recorded.depth, image, depth_scale)
            if refusal:
                count = replace(count, depths_refused=count.depths_refused + 1, last_depth_refusal=refusal)
            frame = to_frame(image, recorded.info, depth_m, rectified, stretch)
            estimates = pipeline.estimate(frame)
            if reason := why_uncalibrated(recorded.info, rectified):
                count = replace(count, uncalibrated=count.uncalibrated + 1, why_uncalibrated=reason)
        except ConversionError as error:
            count = replace(count, refused=count.refused + 1, last_refusal=str(error))
            continue
        except Exception as error:  # a single bad image must not stop the program, as in the live node
            reason = f"{type(error).__name__}: {error}"
            count = replace(count, refused=count.refused + 1, last_refusal=reason)
            continue
        fault = swapped.step(image, frame, bool(estimates), frame.stamp_s)
        if not (fault or estimates):
            fault = shows_nothing(frame.rgb)
        count = replace(count, image_fault=fault or count.image_fault)
        count = _with_depth(count, recorded, pipeline.depth_fault)
        results.write(estimates, recorded.image.header, recorded.recorded_ns)
        count = replace(count, answered=count.answered + 1, with_hands=count.with_hands + bool(estimates))
    return count


def _with_depth(count: Count, recorded: "Recorded", ratio: float | None) -> Count:
    """The count with what the depth of an answered image showed."""
    if recorded.depth is None:
        return replace(count, without_depth=count.without_depth + 1, depth_ratio=ratio or count.depth_ratio)
    frames = other_frames(recorded.depth, recorded.image)
    return replace(count, depth_frames=frames or count.depth_frames, depth_ratio=ratio or count.depth_ratio)


def _depth_of(depth: Image | CompressedImage | None, image: Image, scale: float) -> tuple[np.ndarray | None, str]:
    """Returns depth in metres, (H, W), or None, and the reason for unusable depth. The reason is empty if depth is usable."""
    if depth is None:
        return None, ""
    try:
        return depth_of_image(depth, image, scale), ""
    except ConversionError as error:
        return None, str(error)


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0 if no image was refused, 1 if some images were refused, 2 if the input is unusable."""
    options = _parser().parse_args(arguments)
    topics = {"image": options.image, "camera_info": options.camera_info, "depth": options.depth}
    try:
        # A slow computer must not leave the fingers as they are: there is no time limit, unless `--set` gives a limit.
        pipeline = HandMeshPipeline.default(**{"depth_fit_ms": 0.0, **_settings(options.set)})
        if options.depth and pipeline.chain.depth_fit_trouble:
            print(pipeline.chain.depth_fit_trouble, file=sys.stderr)
        with BagReader(options.bag, topics, 1e-3 * options.depth_slop_ms) as images:
            model = pipeline.hand_model
            with ResultBag(options.out, options.storage, options.namespace, model, pipeline.model_id) as results:
                count = process(images, results, pipeline, options.rectified, options.depth_scale)
    except (BagError, ModelError, WriterError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"the bag {options.out} cannot be written: {error}", file=sys.stderr)
        return 2
    print(f"{count.answered} images answered, {count.with_hands} with hands, {count.late} late images skipped: {options.out}")
    if count.repeated:
        print(f"{count.repeated} images have the stamp of the image before: they are not smoothed", file=sys.stderr)
    if count.foreign_info:
        print(count.foreign_info, file=sys.stderr)
    if count.refused:
        print(f"{count.refused} images refused, last reason: {count.last_refusal}", file=sys.stderr)
    if count.depths_refused:
        reason = count.last_depth_refusal
        print(f"{count.depths_refused} depth images refused, last reason: {reason}", file=sys.stderr)
    if count.image_fault:
        print(f"an image of {options.image} {count.image_fault}", file=sys.stderr)
    _print_depth(count, options)
    if count.uncalibrated:
        print(f"{count.uncalibrated} images without positions: {count.why_uncalibrated}", file=sys.stderr)
    return int(count.refused > 0)


def _print_depth(count: Count, options: argparse.Namespace) -> None:
    """Prints what is wrong with the depth of the bag."""
    if options.depth and count.without_depth:
        missing = f"{count.without_depth} of {count.answered} images have no depth"
        slop = f"no stamp of {options.depth} is within --depth-slop-ms {options.depth_slop_ms:g}"
        print(f"{missing}: {slop}", file=sys.stderr)
    if count.depth_frames:
        print(other_frame(count.depth_frames, options.depth, options.image), file=sys.stderr)
    if count.depth_ratio:
        print(wrong_unit(options.depth, count.depth_ratio, options.depth_scale), file=sys.stderr)


def _settings(assignments: Sequence[str]) -> dict[str, Any]:
    """Converts "name=value" texts to fields of PipelineConfig.

    Raises:
        ValueError: if a name is unknown or a type is wrong.
    """
    defaults = {item.name: item.default for item in fields(PipelineConfig)}
    settings = {}
    for assignment in assignments:
        name, _, text = assignment.partition("=")
        if name not in defaults:
            raise ValueError(f"unknown setting '{name}'; allowed are {', '.join(defaults)}")
        value, kind = yaml.safe_load(text), type(defaults[name])
        value = float(value) if kind is float and type(value) is int else value
        if type(value) is not kind:
            raise ValueError(f"{name} is {text!r}, expected a {kind.__name__}")
        settings[name] = value
    return settings


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no positive number")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bag", type=Path, help="folder, .mcap or .db3 file")
    parser.add_argument("out", type=Path, help="folder of the new bag")
    parser.add_argument("--image", required=True, help="topic of the images (sensor_msgs/Image or CompressedImage)")
    parser.add_argument("--camera-info", default="", help="topic of the calibration; without calibration, hands have no position")
    parser.add_argument("--depth", default="", help="topic of depth registered to the images, raw or compressed")
    parser.add_argument("--depth-slop-ms", type=float, default=15.0, help="largest stamp difference between image and depth")
    parser.add_argument("--depth-scale", type=_positive, default=1.0, help="factor on depth, for a camera with another unit")
    parser.add_argument("--rectified", action="store_true", help="the images are rectified: use P without distortion")
    parser.add_argument("--namespace", default="/hand_mesh", help="namespace of the result topics")
    parser.add_argument("--storage", default="mcap", choices=tuple(STORAGES), help="format of the new bag")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a setting with the name of a node parameter"
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
