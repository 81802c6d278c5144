"""Processes images in the active node. Subscriptions store images, a worker thread processes them, publishers send results."""

import math
import threading
import time
import traceback
from collections.abc import Callable

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.detect.search import one_look
from hand_mesh_ros.core.hand.joint_angles import JointLimits
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.stream.intake import Intake
from hand_mesh_ros.core.stream.transform_buffer import TransformError
from hand_mesh_ros.core.types import Frame
from hand_mesh_ros.ros import diagnostics
from hand_mesh_ros.ros.endpoints import Endpoints
from hand_mesh_ros.ros.input.convert_camera import why_uncalibrated
from hand_mesh_ros.ros.input.convert_compressed import decompress
from hand_mesh_ros.ros.input.convert_frame import depth_of_image, to_frame
from hand_mesh_ros.ros.input.convert_image import ConversionError
from hand_mesh_ros.ros.input.inputs import Inputs
from hand_mesh_ros.ros.input.watch.brightness import Stretch
from hand_mesh_ros.ros.input.watch.depth_watch import DepthWatch
from hand_mesh_ros.ros.input.watch.image_watch import ImageWatch
from hand_mesh_ros.ros.output.annotations import HandAnnotations
from hand_mesh_ros.ros.output.images import OverlayImage
from hand_mesh_ros.ros.output.output_frame import OutputFrame
from hand_mesh_ros.ros.output.outputs import Outputs
from hand_mesh_ros.ros.output.tf_output import WristFrames
from hand_mesh_ros.ros.parameters import NodeConfig

# Maximum time that the first image waits for CameraInfo. Later images without CameraInfo count as not calibrated [s].
_CAMERA_INFO_PATIENCE_S = 1.0
# A warning of the same kind is logged once in this time [s].
_LOG_PERIOD_S = 10.0


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
        self._sequence = 0
        self._logged_s: dict[str, float] = {}  # subject of a warning: monotonic time
        self._stretch = Stretch()
        self._stopping = threading.Event()
        self._intake: Intake[Image | CompressedImage] = Intake(config.depth_slop_ms * 1e-3, config.depth_wait_ms * 1e-3)
        self._endpoints = Endpoints(node)
        try:
            self._frames = frames = WristFrames(self._endpoints, config.tf_prefix) if config.publish_tf else None
            self._outputs = Outputs(self._endpoints, pipeline.hand_model, pipeline.model_id, limits, frames)
            self._overlay, self._annotations = OverlayImage(self._endpoints), HandAnnotations(self._endpoints)
            self._output_frame = OutputFrame(self._endpoints, config.output_frame, config.tf_wait_ms * 1e-3)
            asked = config.image_qos, config.image_transport, config.depth_transport
            self._inputs = Inputs(self._endpoints, self._intake, *asked, health.image_received, self._refuse)
        except Exception:
            self._endpoints.destroy()
            raise
        self._images = ImageWatch(
            self._inputs, lambda frame: pipeline.detector.detect(frame, plan=one_look(frame.rgb)), self._warn
        )
        self._depths = DepthWatch(self._inputs, self._intake, self._warn)
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

    def look_around(self) -> None:
        """Adapts to the other nodes that have appeared. Called about once a second in the thread of the executor."""
        self._inputs.look_around()
        if reason := self._inputs.why_no_depth():
            self._warn("depth", reason)

    def why_no_image(self) -> str:
        """Returns the most likely reason why no image arrives."""
        return self._inputs.why_no_image()

    def counters(self) -> dict[str, object]:
        """Returns values for the diagnostics."""
        intake, size = self._intake, self._pipeline.user_scale.known
        ratio = self._pipeline.depth_agreement.ratio
        return {
            "superseded by newer": intake.superseded,
            "came late": intake.late,
            "stamp jumps back": intake.restarts,
            "stamps repeated": self._images.repeated,
            "images without their depth": intake.unpaired,
            "images without transform": self._output_frame.missed,
            "nearest depth [s]": f"{intake.nearest_depth_s:.4f}",
            "camera": self._camera_state,
            "depth by hand size": "" if ratio is None else f"{ratio:.2f}",
            "effort": self._pipeline.effort,
            "hand size": f"{size.factor:.3f} +- {100 * size.rel_std:.1f} % ({size.source})",
            **{f"publishers of {name}": count for name, count in self._inputs.publishers().items()},
        }

    # The following methods run in the worker thread, except `_refuse` and `_warn`.

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
        if self._applied and self._applied[0].depth_scale != settings[0].depth_scale:
            self._pipeline.forget_depth()
        self._applied = settings
        self._config, pipeline_config = settings
        self._pipeline.reconfigure(pipeline_config)
        self._intake.tune(self._config.depth_slop_ms * 1e-3, self._config.depth_wait_ms * 1e-3)
        self._outputs.markers_hz = self._config.markers_hz
        self._outputs.robot_hands.silence_s = self._config.new_hand_silence_s

    def _answer(self, image: Image | CompressedImage, depth: Image | CompressedImage | None, is_restarted: bool) -> None:
        if is_restarted:
            self._pipeline.reset()
            self._output_frame.clear()
        now_ns, max_age_s = self._node.get_clock().now().nanoseconds, 1e-3 * self._config.max_age_ms
        stamp = self._images.judge_stamp(image, now_ns, is_restarted, max_age_s)
        if stamp.error:
            self._refuse("image", stamp.error)
            return
        if stamp.is_too_old:
            self._health.drop_stale()
            return
        if not self._sequence:
            self._inputs.wait_for_camera_info(_CAMERA_INFO_PATIENCE_S)
        started_s = time.perf_counter()
        raw = decompress(image) if isinstance(image, CompressedImage) else image
        frame = self._to_frame(raw, depth)
        converted_s = time.perf_counter()
        found = self._pipeline.estimate(frame)
        self._depths.look_at_values(frame.depth_m, self._config.depth_scale, self._pipeline.depth_fault)
        self._images.look_at_colours(raw, frame, bool(found))
        if frame.is_calibrated and any(hand.scale_source == "none" for hand in found):
            topic = self._inputs.topic("camera_info")
            self._warn("lens", f"the lens model of {topic} does not reach a hand: this hand has no position")
        self._on_answer()
        estimated_s = time.perf_counter()
        self._sequence += 1
        try:
            estimates, header = self._output_frame.of(found, image.header)
        except TransformError as error:
            self._warn("transform", str(error))
            return
        age_is_known = not math.isnan(stamp.age_s)
        latency_s = self._outputs.publish(estimates, header, self._sequence, self._intake.superseded, age_is_known)
        is_mirrored = self._pipeline.config.mirrored_input
        self._overlay.publish(frame, found, image.header, is_mirrored)
        self._annotations.publish(frame.rgb.shape[1], found, image.header, is_mirrored)
        if self._frames is not None and self._frames.trouble:
            self._warn("tf", self._frames.trouble)
        stages_ms = {
            "convert": 1e3 * (converted_s - started_s),
            **self._pipeline.timings_ms,
            "publish": 1e3 * (time.perf_counter() - estimated_s),
        }
        self._health.image_answered(latency_s, stages_ms)

    def _to_frame(self, image: Image, depth: Image | CompressedImage | None) -> Frame:
        info = self._inputs.camera_info
        frame = to_frame(image, info, self._depth_m(depth, image), self._config.rectified, self._stretch)
        self._images.look_at_frames(image.header.frame_id, info)
        if frame.is_calibrated:
            self._camera_state = f"calibrated, focal length {frame.camera_matrix[0, 0]:.1f} px"
        else:
            topic, rectified = self._inputs.topic("camera_info"), self._config.rectified
            reason = self._inputs.why_no_camera_info() if info is None else why_uncalibrated(info, rectified, topic)
            self._camera_state = f"not calibrated: {reason}"
            self._warn("camera_info", f"{reason}: joints are relative to the wrist, the hand has no position")
        return frame

    def _depth_m(self, depth: Image | CompressedImage | None, image: Image) -> np.ndarray | None:
        """Returns depth in metres, or None if depth is missing or unusable. The image is then processed without depth."""
        self._depths.look_at_pairs(self._config)
        if depth is None:
            return None
        self._depths.look_at_frames(depth, image)
        if trouble := self._pipeline.chain.depth_fit_trouble:
            self._warn("depth_fit", trouble)
        try:
            return depth_of_image(depth, image, self._config.depth_scale)
        except ConversionError as error:
            self._refuse("depth", str(error))
            return None

    def _refuse(self, name: str, reason: str) -> None:
        text = f"{self._inputs.topic(name)} refused: {reason}"
        self._health.refuse(text, name)
        self._node.get_logger().error(text, throttle_duration_sec=5.0)

    def _warn(self, subject: str, text: str) -> None:
        self._health.warn(text, subject)
        # The throttle of rclpy counts all warnings of this line as one, so one subject would hide the others.
        now_s = time.monotonic()
        if now_s - self._logged_s.get(subject, -_LOG_PERIOD_S) >= _LOG_PERIOD_S:
            self._logged_s[subject] = now_s
            self._node.get_logger().warning(text)
