"""Processes images in the active node. Subscriptions store images, a worker thread processes them, publishers send results."""

import threading
import time
import traceback
from collections.abc import Callable

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.hand.joint_angles import JointLimits
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.stream.intake import Intake
from hand_mesh_ros.core.stream.transform_buffer import TransformError
from hand_mesh_ros.core.types import Frame
from hand_mesh_ros.ros import diagnostics
from hand_mesh_ros.ros.endpoints import Endpoints
from hand_mesh_ros.ros.input.convert_compressed import decompress
from hand_mesh_ros.ros.input.convert_frame import depth_of_image, to_frame
from hand_mesh_ros.ros.input.convert_image import ConversionError
from hand_mesh_ros.ros.input.inputs import Inputs
from hand_mesh_ros.ros.output.images import OverlayImage
from hand_mesh_ros.ros.output.output_frame import OutputFrame
from hand_mesh_ros.ros.output.outputs import Outputs
from hand_mesh_ros.ros.output.tf_output import WristFrames
from hand_mesh_ros.ros.parameters import NodeConfig
from hand_mesh_ros.ros.stamp import stamp_ns

# Maximum time that the first image waits for CameraInfo. Later images without CameraInfo count as not calibrated [s].
_CAMERA_INFO_PATIENCE_S = 1.0


class Perception:
    """Processes images from subscription to publication. The object cannot restart after `destroy`; create a new object."""

    def __init__(
        self,
        node: Node,
        config: NodeConfig,
        pipeline: HandMeshPipeline,
        limits: JointLimits,
        health: diagnostics.Health,
        on_answer: Callable[[], None],
    ) -> None:
        """Creates the publishers and subscriptions, and starts the worker.

        Args:
            node: the node that publishes and subscribes.
            config: settings of the node.
            pipeline: pipeline after its warm-up. From now on, other threads may use only its `user_scale`.
            limits: limits of the joint angles.
            health: receives all counters, errors and warnings.
            on_answer: called in the worker after each image.

        Raises:
            QosOverrideError: if a QoS override is invalid. All endpoints are removed in this case.
        """
        self._node, self._pipeline, self._health, self._on_answer = node, pipeline, health, on_answer
        self._camera_state = "no image yet"
        self._sequence = self._unpaired = 0
        self._stopping = threading.Event()
        self._intake: Intake[Image | CompressedImage] = Intake(config.depth_slop_ms * 1e-3, config.depth_wait_ms * 1e-3)
        self._endpoints = Endpoints(node)
        try:
            frames = WristFrames(self._endpoints, config.tf_prefix) if config.publish_tf else None
            self._outputs = Outputs(self._endpoints, pipeline.hand_model, pipeline.model_id, limits, frames)
            self._overlay = OverlayImage(self._endpoints)
            self._output_frame = OutputFrame(self._endpoints, config.output_frame, config.tf_wait_ms * 1e-3)
            asked = config.image_qos, config.image_transport
            self._inputs = Inputs(self._endpoints, self._intake, *asked, health.image_received, self._refuse)
        except Exception:
            self._endpoints.destroy()
            raise
        self.tf_state = "off" if frames is None else frames.state  # for diagnostics
        # The executor thread replaces the whole tuple. The worker thread reads the tuple between two images.
        self._settings = config, pipeline.config
        self._applied: tuple[NodeConfig, PipelineConfig] | None = None
        self._worker = threading.Thread(target=self._work, name="inference", daemon=True)
        self._worker.start()
        node.get_logger().info(f"waiting for images on {self._inputs.topic('image')} ({self._inputs.reliability('image')})")

    def reconfigure(self, config: NodeConfig, pipeline_config: PipelineConfig) -> None:
        """Applies new settings from the next image on. Settings that are not `live` must be unchanged."""
        self._settings = config, pipeline_config

    def destroy(self) -> None:
        """Waits for the current image, then removes all subscriptions and publishers."""
        self._stopping.set()
        self._intake.close()
        self._worker.join()
        self._endpoints.destroy()

    def why_no_image(self) -> str:
        """Returns the most likely reason why no image arrives."""
        return self._inputs.why_no_image()

    def counters(self) -> dict[str, object]:
        """Returns values for the diagnostics."""
        intake, size = self._intake, self._pipeline.user_scale.known
        return {
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

    # The following methods run in the worker thread, except `_refuse`.

    def _work(self) -> None:
        while not self._stopping.is_set():
            taken = self._intake.take(timeout_s=0.5)
            try:
                self._apply_settings()
                if taken is not None:
                    self._answer(*taken)
            except ConversionError as error:
                self._refuse("image", str(error))
            except Exception as error:  # a single bad image must not stop the node
                if self._node.context.ok():
                    self._refuse("image", f"{type(error).__name__} while processing this image: {error}")
                    self._node.get_logger().error(traceback.format_exc(), throttle_duration_sec=5.0)

    def _apply_settings(self) -> None:
        settings = self._settings
        if settings is self._applied:
            return
        self._applied = settings
        self._config, pipeline_config = settings
        self._pipeline.reconfigure(pipeline_config)
        self._intake.tune(self._config.depth_slop_ms * 1e-3, self._config.depth_wait_ms * 1e-3)
        self._outputs.markers_hz = self._config.markers_hz

    def _answer(self, image: Image | CompressedImage, depth: Image | None, is_restarted: bool) -> None:
        if is_restarted:
            self._pipeline.reset()
            self._output_frame.clear()
            self._warn("image stamps jumped back: all tracks are dropped")
        age_s = diagnostics.age_s(self._node.get_clock().now().nanoseconds, stamp_ns(image.header))
        if 0 < self._config.max_age_ms < 1e3 * age_s:
            self._health.drop_stale(f"image was {1e3 * age_s:.0f} ms old, max_age_ms is {self._config.max_age_ms:.0f}")
            return
        if not self._sequence:
            self._inputs.wait_for_camera_info(_CAMERA_INFO_PATIENCE_S)
        started_s = time.perf_counter()
        frame = self._to_frame(decompress(image) if isinstance(image, CompressedImage) else image, depth)
        converted_s = time.perf_counter()
        found = self._pipeline.estimate(frame)
        self._on_answer()
        estimated_s = time.perf_counter()
        self._sequence += 1
        try:
            estimates, header = self._output_frame.of(found, image.header)
        except TransformError as error:
            self._warn(str(error))
            return
        latency_s = self._outputs.publish(estimates, header, self._sequence, self._intake.superseded)
        self._overlay.publish(frame, found, image.header, self._pipeline.config.mirrored_input)
        stages_ms = {
            "convert": 1e3 * (converted_s - started_s),
            **self._pipeline.timings_ms,
            "publish": 1e3 * (time.perf_counter() - estimated_s),
        }
        self._health.image_answered(latency_s, stages_ms)

    def _to_frame(self, image: Image, depth: Image | None) -> Frame:
        info = self._inputs.camera_info
        frame = to_frame(image, info, self._depth_m(depth, image), self._config.rectified)
        if frame.is_calibrated:
            self._camera_state = f"calibrated, focal length {frame.camera_matrix[0, 0]:.1f} px"
        else:
            reason = "no camera_info received" if info is None else "camera_info has an all-zero K"
            self._camera_state = f"not calibrated: {reason}"
            self._warn(f"{reason}: joints are relative to the wrist, the hand has no position")
        return frame

    def _depth_m(self, depth: Image | None, image: Image) -> np.ndarray | None:
        """Returns depth in metres, or None if depth is missing or unusable. The image is then processed without depth."""
        if depth is None:
            self._warn_of_unpaired()
            return None
        try:
            return depth_of_image(depth, image)
        except ConversionError as error:
            self._refuse("depth", str(error))
            return None

    def _warn_of_unpaired(self) -> None:
        unpaired, self._unpaired = self._intake.unpaired - self._unpaired, self._intake.unpaired
        if unpaired:
            nearest_ms, slop_ms = 1e3 * self._intake.nearest_depth_s, self._config.depth_slop_ms
            self._warn(
                f"no depth matches this image: the nearest stamp differs by {nearest_ms:.1f} ms, depth_slop_ms is {slop_ms:g}"
            )

    def _refuse(self, name: str, reason: str) -> None:
        text = f"{self._inputs.topic(name)} refused: {reason}"
        self._health.refuse(text)
        self._node.get_logger().error(text, throttle_duration_sec=5.0)

    def _warn(self, text: str) -> None:
        self._health.warn(text)
        self._node.get_logger().warning(text, throttle_duration_sec=10.0)
