"""The node: images in, hands out. Callbacks store, one worker thread runs the pipeline, everything else is in its own file."""

import threading
import time
import traceback
from dataclasses import asdict

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import Image

from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.onnx_model import ModelError
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.types import Frame
from hand_mesh_ros.ros import convert, diagnostics, parameters, process, qos, robot_outputs
from hand_mesh_ros.ros.convert_image import ConversionError, decode_depth
from hand_mesh_ros.ros.graph_services import GraphServices
from hand_mesh_ros.ros.inputs import Inputs
from hand_mesh_ros.ros.intake import Intake
from hand_mesh_ros.ros.output_frame import OutputFrame
from hand_mesh_ros.ros.outputs import Outputs
from hand_mesh_ros.ros.scale_service import ScaleService
from hand_mesh_ros.ros.tf_output import WristFrames
from hand_mesh_ros.ros.transform_buffer import TransformError

# The first image waits this long for CameraInfo, before the camera is taken for one that nobody calibrated [s].
_CAMERA_INFO_PATIENCE_S = 1.0


class HandMeshNode(Node):
    """`configure` loads the models, `activate` starts the work, `close` ends it. Without models the node lives and says why."""

    def __init__(self) -> None:
        """Declares the parameters.

        Raises:
            ValueError, rclpy.exceptions.ParameterException: for a parameter that does not fit.
        """
        super().__init__("hand_mesh_node")
        self._config = parameters.declare(self, parameters.NodeConfig)
        self._pipeline_config = parameters.declare(self, PipelineConfig)
        self._health = diagnostics.Health()
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", qos.DIAGNOSTICS)
        # A steady clock: silence must be reported also while simulated time stands still.
        self.create_timer(1.0, self._diagnose, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._pipeline: HandMeshPipeline | None = None
        self._worker: threading.Thread | None = None
        self._graph_services: GraphServices | None = None

    def configure(self) -> bool:
        """Loads the models and announces the outputs; False, with the reason in log and diagnostics, if a file is missing."""
        try:
            self._pipeline = HandMeshPipeline.default(**asdict(self._pipeline_config))
            limits = robot_outputs.load_joint_limits()
        except (ModelError, ValueError, OSError) as error:
            self._health.failure = f"models or joint limits cannot be loaded: {error}"
            self.get_logger().fatal(f"{self._health.failure}\nThe node stays alive without work; correct this and start it again")
            return False
        model = self._pipeline.hand_model
        config = self._config
        frames = WristFrames(self, config.tf_prefix) if config.publish_tf else None
        self._outputs = Outputs(self, model, self._pipeline.model_id, config.markers_hz, limits, frames)
        self._output_frame = OutputFrame(self, config.output_frame, config.tf_wait_ms * 1e-3)
        self._scale_service = ScaleService(self, self._pipeline)
        self._graph_services = GraphServices(self, self._pipeline_config, model, self._config.rectified)
        self._health.facts = {
            "tf": "off" if frames is None else frames.state,
            "model": self._pipeline.model_id,
            "licence": model.licence,
            "device": self._pipeline.config.device,
        }
        self.get_logger().info(f"models {self._pipeline.model_id} loaded; licence: {model.licence}")
        return True

    def activate(self) -> None:
        """Subscribes and starts the worker."""
        config = self._config
        self._camera_state = "no image yet"
        self._sequence = self._unpaired = 0
        self._stopping = threading.Event()
        self._intake: Intake[Image] = Intake(config.depth_slop_ms * 1e-3, config.depth_wait_ms * 1e-3)
        self._inputs = Inputs(self, self._intake, config.image_qos, self._health.image_received, self._refuse)
        self._worker = threading.Thread(target=self._work, name="inference", daemon=True)
        self._worker.start()
        self.get_logger().info(f"waiting for images on {self._inputs.topic('image')} ({config.image_qos})")

    def close(self) -> None:
        """Stops the worker and waits for the image at hand; safe to call in any state."""
        if self._worker is not None:
            self._stopping.set()
            self._intake.close()
            self._worker.join()
            self._output_frame.destroy()
        if self._graph_services is not None:
            self._graph_services.destroy()

    def _work(self) -> None:
        while not self._stopping.is_set():
            taken = self._intake.take(timeout_s=0.5)
            if taken is None:
                continue
            try:
                self._answer(*taken)
            except ConversionError as error:
                self._refuse("image", str(error))
            except Exception as error:  # the last line of defence: one image that breaks a model must not end the node
                if self.context.ok():
                    self._refuse("image", f"{type(error).__name__} while working on it: {error}")
                    self.get_logger().error(traceback.format_exc(), throttle_duration_sec=5.0)

    def _answer(self, image: Image, depth: Image | None, is_restarted: bool) -> None:
        if is_restarted:
            self._pipeline.reset()
            self._output_frame.clear()
            self._warn("stamps of image jumped back: all tracks are forgotten")
        age_s = diagnostics.age_s(self.get_clock().now().nanoseconds, convert.stamp_ns(image.header))
        if 0 < self._config.max_age_ms < 1e3 * age_s:
            self._health.drop_stale(f"image was {1e3 * age_s:.0f} ms old, max_age_ms is {self._config.max_age_ms:.0f}")
            return
        if not self._sequence:
            self._inputs.wait_for_camera_info(_CAMERA_INFO_PATIENCE_S)
        started_s = time.perf_counter()
        frame = self._to_frame(image, depth)
        converted_s = time.perf_counter()
        estimates = self._pipeline.estimate(frame)
        self._scale_service.image_answered()
        estimated_s = time.perf_counter()
        self._sequence += 1
        try:
            estimates, header = self._output_frame.of(estimates, image.header)
        except TransformError as error:
            self._warn(str(error))
            return
        latency_s = self._outputs.publish(estimates, header, self._sequence, self._intake.superseded)
        stages_ms = {
            "convert": 1e3 * (converted_s - started_s),
            **self._pipeline.timings_ms,
            "publish": 1e3 * (time.perf_counter() - estimated_s),
        }
        self._health.image_answered(latency_s, stages_ms)

    def _to_frame(self, image: Image, depth: Image | None) -> Frame:
        info = self._inputs.camera_info
        frame = convert.to_frame(image, info, self._depth_m(depth, image), self._config.rectified)
        if frame.is_calibrated:
            self._camera_state = f"calibrated, focal length {frame.camera_matrix[0, 0]:.1f} px"
        else:
            reason = "there is no camera_info" if info is None else "camera_info holds an all-zero K"
            self._camera_state = f"not calibrated: {reason}"
            self._warn(f"{reason}: hands are relative to their wrists, without position")
        return frame

    def _depth_m(self, depth: Image | None, image: Image) -> np.ndarray | None:
        """Metres, or None; depth that cannot be used costs the depth, not the hand."""
        if depth is None:
            self._warn_of_unpaired()
            return None
        if (depth.width, depth.height) != (image.width, image.height):
            self._refuse(
                "depth",
                f"it is {depth.width}x{depth.height} px, the image {image.width}x{image.height}: register it to the image",
            )
            return None
        try:
            return decode_depth(depth)
        except ConversionError as error:
            self._refuse("depth", str(error))
            return None

    def _warn_of_unpaired(self) -> None:
        unpaired, self._unpaired = self._intake.unpaired - self._unpaired, self._intake.unpaired
        if unpaired:
            nearest_ms, slop_ms = 1e3 * self._intake.nearest_depth_s, self._config.depth_slop_ms
            self._warn(
                f"depth arrives but not for this image: the nearest is {nearest_ms:.1f} ms off, depth_slop_ms is {slop_ms:g}"
            )

    def _refuse(self, name: str, reason: str) -> None:
        text = f"{self._inputs.topic(name)} refused: {reason}"
        self._health.refuse(text)
        self.get_logger().error(text, throttle_duration_sec=5.0)

    def _warn(self, text: str) -> None:
        self._health.warn(text)
        self.get_logger().warning(text, throttle_duration_sec=10.0)

    def _diagnose(self) -> None:
        counters: dict[str, object] = {}
        silence = "not active"
        if self._worker is not None:
            intake, silence, size = self._intake, self._inputs.why_no_image(), self._pipeline.user_scale.known
            counters = {
                "superseded by newer": intake.superseded,
                "came late": intake.late,
                "stamp jumps back": intake.restarts,
                "images without their depth": intake.unpaired,
                "images without transform": self._output_frame.missed,
                "nearest depth [s]": f"{intake.nearest_depth_s:.4f}",
                "camera": self._camera_state,
                "hand size": f"{size.factor:.3f} +- {100 * size.rel_std:.1f} % ({size.source})",
                **{f"publishers of {name}": count for name, count in self._inputs.publishers().items()},
            }
        level, message, values = self._health.summary(silence, counters)
        name = f"{self.get_fully_qualified_name().lstrip('/')}: hands"
        stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(diagnostics.to_message(stamp, name, level, message, values))


def make_node() -> HandMeshNode:
    """The node at work, or alive with the reason why it cannot work in its diagnostics."""
    node = HandMeshNode()
    if node.configure():
        node.activate()
    return node


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable."""
    return process.run(make_node, args)


if __name__ == "__main__":
    raise SystemExit(main())
