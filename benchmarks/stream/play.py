"""Sends a video through the real graph: camera_node and hand_mesh_node run as processes, and a subscriber counts the results.

    python -m benchmarks.stream --video hand.mp4

The benchmark has two passes. In lock-step, camera_node sends the next image after the result of the last image. In the second
pass, camera_node sends at a fixed rate, and hand_mesh_node takes the newest image. A frame counts if `hands` and `meshes` each
hold exactly one hand with its stamp. camera_node stamps an image just before sending. The age of a result is the time from this
stamp to the arrival of `meshes` at the subscriber. Build the messages first.
"""

import argparse
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile

from benchmarks.report import say
from hand_mesh_ros.msg import HandArray, HandMeshArray, MeshTopology
from hand_mesh_ros.ros.stamp import stamp_ns
from hand_mesh_ros.ros.tools import launcher

NAMESPACE = "stream_benchmark"
START_S, _END_S = 120.0, 900.0


@dataclass
class Received:
    """Received results, by the stamp of the image in nanoseconds."""

    hands: dict[int, int] = field(default_factory=dict)
    meshes: dict[int, int] = field(default_factory=dict)
    ages_s: list[float] = field(default_factory=list)
    answered: int = 0  # number of images with a result, counted by hand_mesh_node
    is_ready: bool = False


class Observer(Node):
    """Subscribes to the topics of hand_mesh_node."""

    def __init__(self) -> None:
        super().__init__("observer", namespace=NAMESPACE)
        self.received = Received()
        # Deep queues: a delay in this process must not look like a loss in the node.
        deep = QoSProfile(depth=1000)
        self.create_subscription(HandArray, "hands", self._on_hands, deep)
        self.create_subscription(HandMeshArray, "meshes", self._on_meshes, deep)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.create_subscription(MeshTopology, "topology", self._on_topology, latched)

    def _on_hands(self, message: HandArray) -> None:
        self.received.hands[stamp_ns(message.header)] = len(message.hands)
        self.received.answered = max(self.received.answered, message.sequence)

    def _on_meshes(self, message: HandMeshArray) -> None:
        stamp = stamp_ns(message.header)
        self.received.meshes[stamp] = len(message.meshes)
        self.received.ages_s.append((self.get_clock().now().nanoseconds - stamp) * 1e-9)

    def _on_topology(self, _: MeshTopology) -> None:
        self.received.is_ready = True


def main() -> None:
    """Command line: see the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--video", type=Path, required=True)
    parser.add_argument("--rate", type=float, default=30.0, help="images per second of the second pass; 0 skips this pass")
    parser.add_argument("--max-hands", type=int, default=2)
    args = parser.parse_args()
    # A separate ROS domain keeps other graphs on this machine out of the benchmark.
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    n_frames = count_frames(args.video)
    rclpy.init()
    # Source stamps: camera_node repeats the first image until the node is ready, and this image then counts once.
    report_lock_step(run(args.video, args.max_hands, {"lock_step": "true", "stamps": "source"}), n_frames)
    if args.rate:
        report_rate(run(args.video, args.max_hands, {"rate_hz": f"{args.rate:.1f}"}), n_frames, args.rate)
    rclpy.try_shutdown()


def count_frames(video: Path) -> int:
    """Counts the readable frames, because the frame count in a video file is often wrong."""
    capture, count = cv2.VideoCapture(str(video)), 0
    while capture.grab():
        count += 1
    if not count:
        raise SystemExit(f"cannot read {video}")
    return count


def run(video: Path, max_hands: int, camera_settings: dict[str, str]) -> Received:
    """Sends a video through the graph and returns the received results.

    Raises:
        SystemExit: if a node does not start or does not finish.
    """
    observer = Observer()
    node = start("hand_mesh_node", {"max_hands": str(max_hands)})
    camera = None
    try:
        spin_until(observer, lambda: observer.received.is_ready, START_S, "hand_mesh_node sent no topology")
        camera = start("camera_node", {"source": str(video.resolve()), **camera_settings})
        spin_until(observer, lambda: camera.poll() is not None, _END_S, "camera_node did not reach the end of the video")
        if camera.returncode:
            raise SystemExit(f"camera_node ended with code {camera.returncode}")
        settled = time.monotonic() + 1.0
        spin_until(observer, lambda: time.monotonic() > settled, START_S, "")
    finally:
        for process in filter(None, (camera, node)):
            stop(process)
        observer.destroy_node()
    return observer.received


def start(name: str, parameters: dict[str, str]) -> subprocess.Popen[bytes]:
    """Starts a node of this package with parameters and the log level "warn"."""
    given = [argument for key, value in parameters.items() for argument in ("-p", f"{key}:={value}")]
    arguments = ["--log-level", "warn", "-r", f"__ns:=/{NAMESPACE}", *given]
    return subprocess.Popen(launcher.command(name, arguments))


def stop(process: subprocess.Popen[bytes]) -> None:
    """Stops a node with SIGINT, and kills the node if it does not stop."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def spin_until(node: Node, is_done: Callable[[], bool], limit_s: float, complaint: str) -> None:
    """Processes messages until `is_done()`.

    Raises:
        SystemExit: with the message `complaint` after `limit_s`.
    """
    end_s = time.monotonic() + limit_s
    while not is_done():
        if time.monotonic() > end_s:
            raise SystemExit(f"{complaint} within {limit_s:g} s")
        rclpy.spin_once(node, timeout_sec=0.1)


def report_lock_step(received: Received, n_frames: int) -> None:
    """Prints the share of frames with exactly one hand on both topics."""
    hands, meshes = received.hands, received.meshes
    one = sum(count == 1 and meshes.get(stamp) == 1 for stamp, count in hands.items())
    numbers = dict(sorted(Counter(hands.values()).items()))
    say(f"lock-step: {n_frames} frames, {len(hands)} answered; frames by number of hands {numbers}")
    say(f"  exactly one hand on hands and meshes: {one} of {n_frames} = {one / n_frames:.1%}")


def report_rate(received: Received, n_frames: int, rate_hz: float) -> None:
    """Prints the share of processed images and the age of the results."""
    say(f"{rate_hz:g} Hz: {n_frames} frames, {received.answered} processed = {received.answered / n_frames:.1%}")
    if received.ages_s:
        p50, p95, p99 = np.percentile(1e3 * np.array(received.ages_s), [50, 95, 99])
        say(f"  age of meshes on arrival: p50 {p50:.1f}, p95 {p95:.1f}, p99 {p99:.1f} ms, of {len(received.ages_s)}")
