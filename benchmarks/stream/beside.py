"""Measures the cost of a graph diffusion request for the stream of hand_mesh_node: rate and age of results with and without it.

    python -m benchmarks.stream.beside --rate 20

The benchmark sends images of a rendered hand at a fixed rate. `~/reconstruct` alternates between idle and a request of 8
hypotheses with fit. The age is `HandArray.latency`: the time from the image stamp to the publication of the result. Build the
messages first.
"""

import argparse
import os
from array import array
from dataclasses import dataclass, field

import numpy as np
import rclpy
from rclpy.action import ActionClient
from rclpy.action.client import ClientGoalHandle
from rclpy.node import Node
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from rclpy.task import Future
from sensor_msgs.msg import CameraInfo, Image

from benchmarks.stream.play import NAMESPACE, say, spin_until, start, stop
from hand_mesh_ros.action import ReconstructHand
from hand_mesh_ros.core.hand.model import FILE_NAME, HandModel
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from hand_mesh_ros.msg import HandArray
from hand_mesh_ros.synthetic.camera import SyntheticCamera

# 230 kB: fits the default shared memory of Fast DDS.
_SIZE = (320, 240)
_VIEWS, _START_S, _STEPS = 20, 120.0, 1000


@dataclass
class Window:
    """Sent images and received results in a time window."""

    seconds: float = 0.0
    sent: int = 0
    ages_ms: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        p50, p95 = np.percentile(self.ages_ms, [50, 95]) if self.ages_ms else (np.nan, np.nan)
        rates = f"{self.sent / self.seconds:.1f} Hz in, {len(self.ages_ms) / self.seconds:.1f} Hz out"
        return f"{rates}, age p50 {p50:.0f}, p95 {p95:.0f} ms"


class StreamAndClient(Node):
    """Publishes images, receives the results, and requests reconstructions."""

    def __init__(self, rate_hz: float) -> None:
        super().__init__("beside_stream", namespace=NAMESPACE)
        camera = SyntheticCamera(HandModel.load(default_models_dir() / FILE_NAME), _SIZE)
        width, height = _SIZE
        self._info = CameraInfo(width=width, height=height, k=camera.camera_matrix.ravel())
        self._images = [
            Image(
                width=width, height=height, encoding="rgb8", step=3 * width, data=array("B", camera.at(0.05 * view).rgb.tobytes())
            )
            for view in range(_VIEWS)
        ]
        self.window = Window()
        self.steps = 0  # of the reconstruction
        self.images = self.create_publisher(Image, "image", qos_profile_sensor_data)
        self._infos = self.create_publisher(CameraInfo, "camera_info", qos_profile_sensor_data)
        self.create_subscription(HandArray, "hands", self._on_hands, QoSProfile(depth=100))
        self.client = ActionClient(self, ReconstructHand, "hand_mesh_node/reconstruct")
        self.create_timer(1 / rate_hz, self._send)

    def _send(self) -> None:
        image = self._images[self.window.sent % _VIEWS]
        image.header.stamp = self._info.header.stamp = self.get_clock().now().to_msg()
        self._infos.publish(self._info)
        self.images.publish(image)
        self.window.sent += 1

    def _on_hands(self, message: HandArray) -> None:
        self.window.ages_ms.append(1e3 * message.latency)

    def watch(self, window: Window, seconds: float) -> None:
        """Adds `seconds` of the stream to a window."""
        self.window = window
        self.wait(Future(), seconds)
        window.seconds += seconds
        self.window = Window()

    def wait(self, future: Future, limit_s: float = _START_S) -> object:
        """Returns the result of a future, or None after the time limit."""
        rclpy.spin_until_future_complete(self, future, timeout_sec=limit_s)
        return future.result()

    def begin(self) -> ClientGoalHandle:
        """Starts a reconstruction and waits for its first step."""
        self.steps = 0
        goal = ReconstructHand.Goal(image=self._images[0], camera_info=self._info, n=8, steps=_STEPS, fit=True)
        handle = self.wait(self.client.send_goal_async(goal, feedback_callback=self._on_feedback))
        spin_until(self, lambda: self.steps, _START_S, "the graph diffusion of models/ did not start a reconstruction")
        return handle

    def _on_feedback(self, message: object) -> None:
        self.steps = message.feedback.step


def main() -> None:
    """Command line: see the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=20.0, help="images per second")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of each window")
    parser.add_argument("--rounds", type=int, default=3, help="number of windows with and without requests")
    args = parser.parse_args()
    # A separate ROS domain keeps other graphs on this machine out of the benchmark.
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    rclpy.init()
    process = start("hand_mesh_node", {})
    node = StreamAndClient(args.rate)
    alone, beside, steps = Window(), Window(), 0
    try:
        spin_until(node, node.client.server_is_ready, _START_S, "hand_mesh_node does not offer ~/reconstruct")
        node.watch(Window(), args.seconds)
        for _ in range(args.rounds):
            node.watch(alone, args.seconds)
            handle, before = node.begin(), node.steps
            node.watch(beside, args.seconds)
            steps += node.steps - before
            node.wait(handle.cancel_goal_async())
            node.wait(handle.get_result_async())
    finally:
        stop(process)
        rclpy.try_shutdown()
    say(f"stream alone: {alone}")
    say(f"beside a reconstruction: {beside}; {steps / beside.seconds:.1f} denoising steps of 8 hypotheses per second")


if __name__ == "__main__":
    main()
