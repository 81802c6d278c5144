"""Looks at the inputs of hand_mesh_node for some seconds and prints what is wrong, and the line that corrects it.

    ros2 run hand_mesh_ros doctor --image /camera/color/image_raw --camera-info /camera/color/camera_info

Remappings work too: --ros-args -r image:=/camera/color/image_raw. Without rclpy only the installation is checked.
Exit code 0: no findings; 1: findings; 2: wrong arguments.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hand_mesh_ros.core.models import installation

if TYPE_CHECKING:
    from hand_mesh_ros.ros.checks.watch import Watch

_SHOWN_PACKAGES = ("numpy", "cv2", "onnxruntime")


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the executable and of `hand-mesh doctor`. `arguments` do not hold the name of the program."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    facts, findings = _installation()
    try:
        from rclpy.utilities import remove_ros_args
    except ModuleNotFoundError:
        options = _parser().parse_args(given)
        findings.append(_finding("rclpy", "rclpy is missing: no topic was checked", "source the setup file of ROS"))
    else:
        options = _parser().parse_args(remove_ros_args(["doctor", *given])[1:])
        try:
            seen, found = _graph(options, given)
        except KeyboardInterrupt:
            return 130
        facts, findings = facts | seen, findings + found
    (_print_json if options.json else _print_text)(facts, findings)
    return int(bool(findings))


def _finding(about: str, problem: str, cure: str = "") -> dict[str, str]:
    return {"about": about, "problem": problem, "cure": cure}


def _installation() -> tuple[dict[str, Any], list[dict[str, str]]]:
    """What is installed. Needs no ROS."""
    packages = installation.packages()
    facts: dict[str, Any] = {
        "python": sys.executable,
        "packages": {package.name: package.version for package in packages if package.version},
    }
    findings = [_finding(package.name, fault) for package in packages if (fault := package.fault())]
    if findings:
        return facts, findings
    try:
        models = installation.models()
        facts["models"] = {"folder": models.folder, "files": models.count, "damaged": len(models.faults)}
        findings += [_finding("models", fault) for fault in models.faults]
        if not models.faults:
            facts["device"], fault = installation.device()
            findings += [_finding("device", fault)] if fault else []
    except Exception as error:  # the check goes on with the topics
        findings.append(_finding("models", str(error)))
    return facts, findings


def _graph(options: argparse.Namespace, arguments: Sequence[str]) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Looks at the topics."""
    import rclpy

    from hand_mesh_ros.ros import process
    from hand_mesh_ros.ros.checks import camera, shared_memory, streams
    from hand_mesh_ros.ros.checks.watch import Asked, Watch

    asked = Asked(
        options.image,
        options.camera_info,
        options.depth,
        options.output_frame,
        options.image_qos,
        options.image_transport,
        options.rectified,
        must_have_depth=options.depth != "depth",
        max_age_s=1e-3 * options.max_age_ms,
        depth_slop_ms=options.depth_slop_ms,
        depth_wait_ms=options.depth_wait_ms,
        depth_scale=options.depth_scale,
    )
    process.ensure_log_folder()
    rclpy.init(args=["doctor", *arguments])
    try:
        node = rclpy.create_node("hand_mesh_doctor")
        watch = Watch(node, asked)
        until_s = time.monotonic() + options.seconds
        while (left_s := until_s - time.monotonic()) > 0:
            rclpy.spin_once(node, timeout_sec=min(left_s, 0.2))
            watch.look()
        watch.finish()
        is_fast_dds = "fastrtps" in rclpy.get_rmw_implementation_identifier()
        node.destroy_node()
    finally:
        rclpy.try_shutdown()
    findings = [*(gaps := streams.arrivals(watch, asked)), *streams.stamps(watch)]
    findings += [*camera.image(watch, asked), *camera.output_frame(watch, asked)]
    if is_fast_dds:
        findings += shared_memory.profiles(os.environ)
        findings += shared_memory.space(shared_memory.FOLDER, _image_bytes(watch))
        findings += shared_memory.segments(shared_memory.FOLDER, _image_bytes(watch)) if gaps else []
    told = [_finding(item.about, item.problem, item.cure) for item in findings]
    told += [
        _finding(status.name, f"{status.name} reports: {status.message}")
        for status in watch.statuses.values()
        if any(status.level)
    ]
    facts = {name: streams.facts(getattr(watch, name)) for name in ("image", "camera_info", "depth")}
    return facts | {"nodes": {name: status.message for name, status in watch.statuses.items()}}, told


def _image_bytes(watch: "Watch") -> int:
    return len(watch.image.last.data) if watch.image.last is not None else 0


def _print_json(facts: dict[str, Any], findings: Sequence[dict[str, str]]) -> None:
    print(json.dumps({"findings": findings, "facts": facts}, indent=2))


def _print_text(facts: dict[str, Any], findings: Sequence[dict[str, str]]) -> None:
    versions = ", ".join(f"{name} {facts['packages'][name]}" for name in _SHOWN_PACKAGES if name in facts["packages"])
    print(f"{facts['python']}: {versions}; models run on {facts.get('device', 'no device')}")
    for name in ("image", "camera_info", "depth"):
        if name in facts:
            print(f"{name}: {_line(facts[name])}")
    for number, finding in enumerate(findings, start=1):
        print(f"\n{number}. {finding['problem']}" + (f"\n   -> {finding['cure']}" if finding["cure"] else ""))
    print(f"\n{len(findings)} finding(s)" if findings else "\nno findings")


def _line(stream: dict[str, Any]) -> str:
    if not stream["messages"]:
        return f"{stream['topic']}, nothing arrived"
    age = "" if stream["age_ms"] is None else f", {stream['age_ms']:.0f} ms old"
    what = " ".join(str(stream[key]) for key in ("size", "encoding") if stream[key])
    senders = ", ".join(stream["publishers"])
    return f"{stream['topic']}, {stream['rate_hz']} Hz{age}, {what}, frame_id '{stream['frame_id']}', from {senders}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="doctor", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", default="image", help="topic of the images")
    parser.add_argument("--camera-info", default="camera_info", help="topic of the calibration")
    parser.add_argument("--depth", default="depth", help="topic of depth; a missing publisher is a finding only if this is given")
    parser.add_argument("--output-frame", default="", help="frame of TF, as the parameter output_frame")
    parser.add_argument("--image-qos", default="sensor_data", choices=("sensor_data", "reliable"), help="as the parameter")
    parser.add_argument("--image-transport", default="raw", choices=("raw", "compressed"), help="as the parameter")
    parser.add_argument("--rectified", action="store_true", help="as the parameter")
    parser.add_argument("--max-age-ms", type=float, default=500.0, help="as the parameter")
    parser.add_argument("--depth-slop-ms", type=float, default=15.0, help="as the parameter")
    parser.add_argument("--depth-wait-ms", type=float, default=60.0, help="as the parameter")
    parser.add_argument("--depth-scale", type=float, default=1.0, help="as the parameter")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to look (default 10)")
    parser.add_argument("--json", action="store_true", help="print findings and facts as JSON")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
