"""Publishes images of a video file, a webcam or the synthetic camera, at a fixed rate or one image after each result."""

import os
import time
from dataclasses import dataclass

from builtin_interfaces.msg import Time
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from hand_mesh_ros.core.config import check, option
from hand_mesh_ros.core.models.onnx_model import ModelError
from hand_mesh_ros.msg import HandArray
from hand_mesh_ros.ros import package_files, parameter_check, parameters, process, qos
from hand_mesh_ros.ros.output.images import to_image
from hand_mesh_ros.ros.tools.camera_messages import to_info, to_stamp, to_truth
from hand_mesh_ros.sources.image_source import Shot, SourceConfig, SourceError, open_source

# Fast DDS 2 (ROS 2 up to Jazzy) reads FASTRTPS_DEFAULT_PROFILES_FILE. Fast DDS 3 logs a warning for this name.
_HAS_FAST_DDS_2 = os.environ.get("ROS_DISTRO") in ("humble", "iron", "jazzy")
_PROFILE_VARIABLE = "FASTRTPS_DEFAULT_PROFILES_FILE" if _HAS_FAST_DDS_2 else "FASTDDS_DEFAULT_PROFILES_FILE"
# Size of the shared memory segment in the shipped profile. The segment must hold two images.
_SEGMENT_BYTES = 16 << 20
# A node sends no results while it loads its models. The camera repeats the first image until the first result arrives [s].
_START_PATIENCE_S = 120.0
_RESEND_S = 0.5
# Maximum wait at the end for subscribers to acknowledge the last images. A stopped process never acknowledges [s].
_ACK_PATIENCE_S = 2.0


@dataclass(frozen=True)
class CameraConfig:
    """Settings of `camera_node`, in addition to the settings of its source.

    Raises:
        ValueError: with the field, its value and the allowed values.
    """

    rate_hz: float = option(30.0, "images per second; 0: the rate of the video file or webcam", (0.0, 240.0))
    loop: bool = option(False, "repeat a video file; false: the node ends after the file with exit code 0")
    lock_step: bool = option(False, "send the next image after the result of the last image arrives on hands; ignores rate_hz")
    answer_timeout_s: float = option(2.0, "lock_step: maximum wait for a result before the next image [s]", (0.05, 60.0))
    stamps: str = option("now", "stamps of the images: current time, or time in the source plus 1 s", choices=("now", "source"))
    frame_id: str = option("camera", "frame_id of the images, an optical frame")
    depth: bool = option(False, "synthetic camera: also publish depth (32FC1, metres)")

    def __post_init__(self) -> None:
        check(self)


class CameraNode(Node):
    """Publishes an image source. After the node ends by itself, `exit_code` is 0 if the source reached its end."""

    def __init__(self) -> None:
        """Opens the source.

        Raises:
            SourceError, ValueError, rclpy.exceptions.ParameterException: for invalid parameters.
        """
        super().__init__("camera_node")
        self._config = parameters.declare(self, CameraConfig)
        source_config = parameters.declare(self, SourceConfig)
        parameter_check.check(self)
        try:
            self._source = open_source(source_config, self._config.rate_hz or 30.0)
        except ModelError as error:
            raise SourceError(str(error)) from error
        self._name = source_config.source
        self._image = self.create_publisher(Image, "image", qos.RESULT)
        self._info = self.create_publisher(CameraInfo, "camera_info", qos.RESULT)
        self._depth = self.create_publisher(Image, "depth", qos.RESULT) if self._config.depth else None
        is_synthetic = source_config.source == "synthetic"
        self._truth = self.create_publisher(HandArray, "ground_truth", qos.RESULT) if is_synthetic else None
        self._side = source_config.side
        self.exit_code = 0
        self._sent = self._count = self._answered = self._unanswered = 0
        self._started_s = time.monotonic()
        self._start()

    def _start(self) -> None:
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        if not self._config.lock_step:
            rate_hz = self._config.rate_hz or self._source.rate_hz or 30.0
            self.create_timer(1.0 / rate_hz, self._send_next, clock=steady)
            self.get_logger().info(f"{self._name}: {rate_hz:g} images/s on {self._image.topic_name}")
            return
        self._shot: Shot | None = None
        # Stamps of the image that waits for its result. A repeated image has several stamps.
        self._waiting_for: list[Time] = []
        self._sent_s = 0.0
        self.create_subscription(HandArray, "hands", self._on_answer, qos.RESULT)
        self.create_timer(0.02, self._keep_going, clock=steady)
        self.get_logger().info(
            f"{self._name}: lock-step on {self._image.topic_name}, answers on {self.resolve_topic_name('hands')}"
        )

    def close(self) -> None:
        """Releases the source."""
        self._source.close()

    def _send_next(self) -> None:
        shot = self._next_shot()
        if shot is not None:
            self._publish(shot)

    def _next_shot(self) -> Shot | None:
        """Returns the next image. Returns None if the source has ended or failed."""
        try:
            shot = self._source.read()
            if shot is None and self._config.loop:
                self._source.rewind()
                shot = self._source.read()
        except SourceError as error:
            self._end(1, str(error))
            return None
        if shot is None:
            self._end(0, f"end of '{self._name}'")
        return shot

    def _publish(self, shot: Shot) -> Time:
        """Publishes an image and its related messages. Returns the stamp."""
        stamp = self.get_clock().now().to_msg() if self._config.stamps == "now" else to_stamp(shot.time_s + 1.0)
        header = Header(stamp=stamp, frame_id=self._config.frame_id)
        if self._sent == 0 and 2 * shot.rgb.nbytes > _SEGMENT_BYTES:
            self.get_logger().warning(
                f"an image takes {shot.rgb.nbytes >> 20} MiB: with best effort, images are lost unless the segment_size in the "
                f"Fast DDS profile {os.environ.get(_PROFILE_VARIABLE)} is large enough for two images"
            )
        try:
            self._send(shot, header)
        except Exception:  # the exception class of rclpy is not public
            if self.context.ok():  # else a signal ended the node during this call
                raise
        return stamp

    def _send(self, shot: Shot, header: Header) -> None:
        # Publish related messages before the image.
        self._info.publish(to_info(shot.camera_matrix, shot.rgb.shape[1], shot.rgb.shape[0], header))
        if shot.truth is not None and self._truth is not None and self._truth.get_subscription_count():
            self._truth.publish(to_truth(shot.truth, shot.camera_matrix, self._side, header))
        if shot.truth is not None and self._depth is not None:
            self._depth.publish(to_image(shot.truth.depth_m, "32FC1", header))
        self._image.publish(to_image(shot.rgb, "rgb8", header))
        self._sent += 1

    def _on_answer(self, hands: HandArray) -> None:
        if hands.header.stamp in self._waiting_for:
            self._answered += 1
            self._step()

    def _keep_going(self) -> None:
        """Sends the first image when a hand node is present and repeats it until a result arrives. Later, skips late results."""
        if self._sent == 0:
            if self._image.get_subscription_count() and self.count_publishers("hands"):
                self._step()
            elif time.monotonic() - self._started_s > _START_PATIENCE_S:
                self._end(1, f"no hand node subscribed to {self._image.topic_name} within {_START_PATIENCE_S:g} s")
        elif self._answered == 0 and time.monotonic() - self._started_s > _START_PATIENCE_S:
            self._end(1, f"no answer to the first image, sent {self._sent} times within {_START_PATIENCE_S:g} s")
        elif self._answered == 0 and self._shot is not None and time.monotonic() - self._sent_s > _RESEND_S:
            self._send_waiting(self._shot)
        elif self._answered and time.monotonic() - self._sent_s > self._config.answer_timeout_s:
            self._unanswered += 1
            self.get_logger().warning(f"image {self._count} was not answered within {self._config.answer_timeout_s:g} s")
            self._step()

    def _step(self) -> None:
        self._shot = self._next_shot()
        self._waiting_for = []
        if self._shot is not None:
            self._count += 1
            self._send_waiting(self._shot)

    def _send_waiting(self, shot: Shot) -> None:
        self._waiting_for.append(self._publish(shot))
        self._sent_s = time.monotonic()

    def _end(self, exit_code: int, reason: str) -> None:
        """Logs the number of sent images. Ends the node when all images have arrived."""
        self.exit_code = exit_code
        (self.get_logger().error if exit_code else self.get_logger().info)(reason)
        elapsed_s = time.monotonic() - self._started_s
        text = f"{self._name}: {self._sent} images in {elapsed_s:.1f} s"
        if self._config.lock_step:
            text += f", {self._answered} answered, {self._unanswered} not within {self._config.answer_timeout_s:g} s"
        self.get_logger().info(text)
        if not self._image.wait_for_all_acked(Duration(seconds=_ACK_PATIENCE_S)):
            self.get_logger().warning(f"a subscriber did not acknowledge the last images within {_ACK_PATIENCE_S:g} s")
        self.context.try_shutdown()


def use_shipped_transport() -> None:
    """Configures shared memory that is large enough for images, unless the user set a profile. Call before rclpy.init."""
    found = package_files.find("config/fastdds_images.xml")
    if found is not None:
        os.environ.setdefault(_PROFILE_VARIABLE, str(found))


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable; returns 0 at the end of a file or after a stop signal, 1 if the source failed."""
    use_shipped_transport()
    made: list[CameraNode] = []

    def make_node() -> CameraNode:
        made.append(CameraNode())
        return made[0]

    failed = process.run(make_node, args)
    # The node does not exist if a stop signal arrived during its creation.
    return failed or (made[0].exit_code if made else 0)


if __name__ == "__main__":
    raise SystemExit(main())
