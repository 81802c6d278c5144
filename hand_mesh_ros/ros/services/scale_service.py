"""The service `~/calibrate_scale`: hand size of the user, from a measured length or from several seconds of depth."""

import threading
import time
from collections.abc import Sequence

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.task import Future

from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.place.hand_lengths import HAND_LENGTH, MIDDLE_FINGER, PALM_WIDTH
from hand_mesh_ros.core.place.user_size import Scale, SizeMeasure, UserScale
from hand_mesh_ros.srv import CalibrateScale

_LENGTHS = {
    CalibrateScale.Request.HAND_LENGTH: HAND_LENGTH,
    CalibrateScale.Request.MIDDLE_FINGER: MIDDLE_FINGER,
    CalibrateScale.Request.PALM_WIDTH: PALM_WIDTH,
}
_SECONDS = (1.0, 60.0)
# Fewer images may all have the same error of the hand shape.
_LEAST_IMAGES = 5


class ScaleService:
    """Sets the user scale of the active pipeline. The executor's thread answers requests. The worker's thread adds images.

    The service exists as long as the node. rclpy raises an exception if a service is destroyed before its pending response.
    """

    def __init__(self, node: Node) -> None:
        """Creates the service. Without a pipeline, the response contains an error."""
        self._node = node
        self._pipeline: HandMeshPipeline | None = None
        self._watch: _Watch | None = None
        self._over: Future[None] = Future()  # done when the watch ends
        # The service has its own callback group. A request that waits for images must not block other callbacks.
        self._group = ReentrantCallbackGroup()
        node.create_service(CalibrateScale, "~/calibrate_scale", self._answer, callback_group=self._group)

    def serve(self, pipeline: HandMeshPipeline | None) -> None:
        """Uses this pipeline for later requests. A request that waits for images ends at once."""
        self._pipeline = pipeline
        self._over.set_result(None)

    def image_answered(self) -> None:
        """Adds the sizes that depth measured in the last image to the running calibration. Called by the worker's thread."""
        # Read each attribute once. The executor's thread may end the calibration or deactivate the node at the same time.
        watch, pipeline = self._watch, self._pipeline
        if watch is not None and pipeline is not None:
            watch.step(pipeline.sizes_seen)

    async def _answer(self, request: CalibrateScale.Request, response: CalibrateScale.Response) -> CalibrateScale.Response:
        pipeline = self._pipeline
        try:
            if pipeline is None:
                raise ValueError("the node is not active: activate it first")
            if request.method == CalibrateScale.Request.DEPTH:
                scale, response.images = await self._seen_by_depth(request.seconds, pipeline)
            elif request.method in _LENGTHS:
                scale = _LENGTHS[request.method].scale(pipeline.hand_model, request.length)
            else:
                raise ValueError(f"method is {request.method}, allowed are 0 (DEPTH) to 3 (PALM_WIDTH)")
        except ValueError as error:
            response.message = str(error)
            return response
        pipeline.user_scale = UserScale(scale)
        response.success, response.scale, response.scale_rel_std = True, scale.factor, scale.rel_std
        response.message = f"hands are {scale.factor:.3f} times the average size, standard deviation {100 * scale.rel_std:.1f} %"
        self._node.get_logger().info(f"{response.message}, by {scale.source}")
        return response

    async def _seen_by_depth(self, seconds: float, pipeline: HandMeshPipeline) -> tuple[Scale, int]:
        """Returns the scale from depth during the next `seconds`, and the number of measured images.

        Raises:
            ValueError: if calibration is not possible, or if depth gives too few measurements.
        """
        if not _SECONDS[0] <= seconds <= _SECONDS[1]:
            raise ValueError(f"seconds is {seconds:g}, allowed are {_SECONDS[0]:g} to {_SECONDS[1]:g}")
        if self._watch is not None:
            raise ValueError("another calibration is running: wait for its answer")
        self._watch, self._over = _Watch(), Future()
        over = self._over
        # The timer uses a steady clock, because simulated time may be paused.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        timer = self._node.create_timer(seconds, lambda: over.set_result(None), callback_group=self._group, clock=steady)
        try:
            await over
            if pipeline is not self._pipeline:
                raise ValueError("the node was deactivated before the answer: try again")
            return self._watch.result()
        finally:
            self._watch = None
            self._node.destroy_timer(timer)


class _Watch:
    """Collects the size measurements of one calibration."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._scale, self._images = UserScale(), 0

    def step(self, measures: Sequence[SizeMeasure]) -> None:
        with self._lock:
            self._images += 1
            self._scale.step(measures, time.monotonic())

    def result(self) -> tuple[Scale, int]:
        with self._lock:
            known, used = self._scale.known, self._scale.images
            if used < _LEAST_IMAGES or known.source != "depth":
                raise ValueError(
                    f"depth measured the hand size in {used} of {self._images} images, at least {_LEAST_IMAGES} are needed: "
                    "show a hand at 0.3 to 1 m from a calibrated camera whose depth is registered to the image"
                )
            return known, used
