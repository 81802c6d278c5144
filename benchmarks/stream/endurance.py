"""Measures memory and delay of hand_mesh_node over a long time. camera_node repeats a video, an observer receives all outputs.

    python -m benchmarks.stream.endurance --video hand.mp4 --minutes 10 --rate 30

The memory comes from the node's /diagnostics. The age of a result is the time from the stamp of its image to its arrival in the
process of the observer. camera_node stamps an image just before sending. Build the messages first.
"""

import argparse
import math
import os
import time
from pathlib import Path

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.time import Time
from sensor_msgs.msg import PointCloud2
from visualization_msgs.msg import MarkerArray

from benchmarks.stream.play import NAMESPACE, START_S, say, spin_until, start, stop
from hand_mesh_ros.msg import HandArray, HandHypotheses, HandMeshArray

_OUTPUTS = {
    "hands": HandArray,
    "meshes": HandMeshArray,
    "hypotheses": HandHypotheses,
    "joint_cloud": PointCloud2,
    "markers": MarkerArray,
}
# Times of the memory reports in minutes, up to the length of the run.
_TOLD_AT = (1, 2, 5, 10, 20, 40, 60)


class Observer(Node):
    """Receives every output and keeps the newest diagnostics of the node."""

    def __init__(self) -> None:
        super().__init__("observer", namespace=NAMESPACE)
        self.values: dict[str, str] = {}
        self.ages_ms: list[float] = []
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        for topic, kind in _OUTPUTS.items():
            self.create_subscription(kind, topic, self._on_output, 10)

    def _on_diagnostics(self, array: DiagnosticArray) -> None:
        for status in array.status:
            if status.name.startswith(NAMESPACE):
                self.values = {item.key: item.value for item in status.values}

    def _on_output(self, message: object) -> None:
        if isinstance(message, HandArray):
            age = self.get_clock().now() - Time.from_msg(message.header.stamp)
            self.ages_ms.append(1e-6 * age.nanoseconds)


def main() -> None:
    """Command line: see the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--video", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=15.0, help="images per second")
    args = parser.parse_args()
    # A separate ROS domain keeps other graphs on this machine out of the benchmark.
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    rclpy.init()
    observer = Observer()
    camera = {"source": str(args.video.resolve()), "loop": "true", "rate_hz": f"{args.rate:.1f}"}
    processes = [start("hand_mesh_node", {}), start("camera_node", camera)]
    try:
        spin_until(observer, lambda: int(observer.values.get("results", 0)) > 0, START_S, "hand_mesh_node sent no result")
        watch(observer, args.minutes)
        if any(process.poll() is not None for process in processes):
            raise SystemExit("a node ended before the end of the benchmark")
    finally:
        for process in processes:
            stop(process)
        observer.destroy_node()
        rclpy.try_shutdown()


def watch(observer: Observer, minutes: float) -> None:
    """Prints memory, counts and ages since the last report at some times and at the end."""
    started_s = time.monotonic()
    observer.ages_ms.clear()
    for moment in [*(minute for minute in _TOLD_AT if minute < minutes), minutes]:
        spin_until(observer, lambda moment=moment: time.monotonic() > started_s + 60 * moment, math.inf, "")
        counts = (f"{key} {observer.values[key]}" for key in ("results", "memory [MB]", "refused"))
        p50, p99 = np.percentile(observer.ages_ms, [50, 99]) if observer.ages_ms else (math.nan, math.nan)
        say(", ".join([f"minute {moment:g}", *counts, f"{len(observer.ages_ms)} ages: p50 {p50:.1f}, p99 {p99:.1f} ms"]))
        observer.ages_ms.clear()


if __name__ == "__main__":
    main()
