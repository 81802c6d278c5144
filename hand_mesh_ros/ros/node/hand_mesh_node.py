"""Lifecycle, parameters and diagnostics of the node. `Perception` processes the images while the node is active."""

import traceback
from collections.abc import Callable, Sequence

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter

from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.hand.joint_angles import JointLimits
from hand_mesh_ros.core.models.onnx_model import ModelError, has_lost_gpu
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from hand_mesh_ros.core.stream import memory
from hand_mesh_ros.ros import diagnostics, parameter_check, parameters, process, qos
from hand_mesh_ros.ros.node import neighbours
from hand_mesh_ros.ros.node.perception import Perception
from hand_mesh_ros.ros.output import robot_outputs
from hand_mesh_ros.ros.services.graph_services import GraphServices
from hand_mesh_ros.ros.services.scale_service import ScaleService

# Expected errors: logged without a traceback.
_EXPECTED = (ModelError, ValueError, OSError)


class HandMeshNode(LifecycleNode):
    """The lifecycle node. Configure loads the models. Active: the node processes images. Deactivate frees the model weights.

    A failed transition is reported in the log and in the diagnostics. The node stays alive, and the transition can be repeated.
    """

    def __init__(self) -> None:
        """Declares the parameters.

        Raises:
            ValueError, rclpy.exceptions.ParameterException: for an invalid parameter.
        """
        super().__init__("hand_mesh_node")
        self._config = parameters.declare(self, parameters.NodeConfig)
        self._pipeline_config = parameters.declare(self, PipelineConfig)
        self.add_on_set_parameters_callback(self._change)
        self._pipeline: HandMeshPipeline | None = None  # from configure to cleanup
        self._limits: JointLimits | None = None
        self._perception: Perception | None = None  # while active
        self._scale_service = ScaleService(self)
        self._graph_services = GraphServices(self, self._config)
        self._health = diagnostics.Health()
        self._health.advice = parameter_check.check(self, has_endpoints=False)
        self._reach("unconfigured")
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", qos.DIAGNOSTICS)
        # The timer uses a steady clock, so that missing images are reported even while simulated time is paused.
        self.create_timer(1.0, self._diagnose, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def start(self) -> None:
        """Configures and activates the node if `autostart` is true."""
        if self._config.autostart and self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def close(self) -> None:
        """Stops all work and waits for the current image. Safe to call in any state."""
        # The services stop first. Later they could not send their answers.
        self._graph_services.destroy()
        self._release()

    def on_configure(self, _: LifecycleState) -> TransitionCallbackReturn:
        """Loads the models. Fails if a file is missing or damaged; the transition can be repeated."""
        advice = f"correct this and configure the node again: ros2 lifecycle set {self.get_fully_qualified_name()} configure"
        trouble = "models or joint limits cannot be loaded"
        return self._attempt(self._configure, "inactive", trouble, advice)

    def on_activate(self, _: LifecycleState) -> TransitionCallbackReturn:
        """Warms up the models, creates the topics and starts to process images. Removes the topics if it fails."""
        advice = "correct this (restart the node to change a read-only parameter) and activate the node again"
        return self._attempt(self._activate, "active", "the node cannot be activated", advice)

    def on_deactivate(self, _: LifecycleState) -> TransitionCallbackReturn:
        """Finishes the current image, then removes the topics and frees the models."""
        return self._attempt(self._release, "inactive")

    def on_cleanup(self, _: LifecycleState) -> TransitionCallbackReturn:
        """Drops the models and everything learned since configure."""
        return self._attempt(self._forget, "unconfigured")

    def on_shutdown(self, _: LifecycleState) -> TransitionCallbackReturn:
        """Stops all work permanently. The process runs until SIGINT or SIGTERM."""
        return self._attempt(self._forget, "finalized")

    def on_error(self, _: LifecycleState) -> TransitionCallbackReturn:
        """Runs after an unexpected error in a transition: returns the node to unconfigured."""
        return self._attempt(self._forget, "unconfigured")

    def _attempt(self, step: Callable[[], None], reached: str, trouble: str = "", advice: str = "") -> TransitionCallbackReturn:
        """Runs a transition. For a transition with expected failures, `trouble` and `advice` are the text of the message.

        The exception is logged here, because rclpy does not report exceptions of transitions.
        """
        try:
            step()
        except Exception as error:
            if not self.context.ok():  # shutdown during the transition: no endpoint can be created any more
                return TransitionCallbackReturn.FAILURE
            self._health.failure = f"{trouble or 'error in the transition to ' + reached}: {error}"
            self.get_logger().fatal(f"{self._health.failure}\nThe node stays alive but idle; {advice or 'its state is reset'}")
            if not isinstance(error, _EXPECTED):
                self.get_logger().fatal(traceback.format_exc())
            return TransitionCallbackReturn.FAILURE if trouble else TransitionCallbackReturn.ERROR
        self._health.failure = ""
        self._reach(reached)
        return TransitionCallbackReturn.SUCCESS

    def _reach(self, state: str) -> None:
        self._state = state
        self._look_at_neighbours()

    def _configure(self) -> None:
        pipeline, limits = HandMeshPipeline(self._pipeline_config), robot_outputs.load_joint_limits()
        self._pipeline, self._limits = pipeline, limits
        self.get_logger().info(f"models {pipeline.model_id} loaded; licence: {pipeline.hand_model.licence}")
        if has_lost_gpu(pipeline.config.device, pipeline.provider):
            self.get_logger().warning(
                f"the models run on {pipeline.provider} although ONNX Runtime supports CUDA: the driver or a library of the GPU "
                "is missing; see the log of ONNX Runtime, or set device to cpu"
            )
        if pipeline.restrictions:
            self.get_logger().warning(f"no commercial use of these models: {'; '.join(pipeline.restrictions)}")
        if pipeline.chain.depth_fit_trouble:
            self.get_logger().warning(pipeline.chain.depth_fit_trouble)

    def _activate(self) -> None:
        pipeline, limits = self._pipeline, self._limits
        if pipeline is None or limits is None:
            raise RuntimeError("no models are loaded: configure the node first")
        try:
            # At the first activation the models are still loaded from configure.
            if not pipeline.is_loaded:
                pipeline.load()
            pipeline.reconfigure(self._pipeline_config)
            pipeline.warm_up()
            self._health.begin()
            on_answer = self._scale_service.image_answered
            self._perception = Perception(self, self._config, pipeline, limits, self._health, on_answer)
        except Exception:
            self._release()
            raise
        self._health.advice = parameter_check.check(self)
        self._scale_service.serve(pipeline)
        self._graph_services.activate(self._pipeline_config, pipeline.hand_model)
        self._health.facts = {
            "tf": self._perception.tf_state,
            "model": pipeline.model_id,
            "licence": pipeline.hand_model.licence,
            "device": f"{pipeline.config.device}: {pipeline.provider}",
        }

    def _release(self) -> None:
        """Reverses `_activate`, even after a partial activation."""
        perception, self._perception = self._perception, None
        if perception is not None:
            perception.destroy()
        self._scale_service.serve(None)
        self._graph_services.deactivate()
        if self._pipeline is not None:
            self._pipeline.unload()
        memory.give_back()

    def _forget(self) -> None:
        self._release()
        self._pipeline = self._limits = None
        self._health.facts = {}

    def _change(self, changes: Sequence[Parameter]) -> SetParametersResult:
        """Applies new values of writable parameters, all or none. rclpy calls this method before it stores the values."""
        try:
            config = parameters.changed(self._config, changes)
            pipeline_config = parameters.changed(self._pipeline_config, changes)
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self._config, self._pipeline_config = config, pipeline_config
        if self._perception is not None:
            self._perception.reconfigure(config, pipeline_config)
        elif self._pipeline is not None:
            self._pipeline.reconfigure(pipeline_config)
        self._graph_services.reconfigure(config, pipeline_config)
        return SetParametersResult(successful=True)

    def _look_at_neighbours(self) -> None:
        self._health.rest = "" if self._state == "active" else f"the node is {self._state}{neighbours.no_bond(self)}"
        if warning := neighbours.namesakes(self):
            self._health.warn(warning, "name")

    def _diagnose(self) -> None:
        silence, counters = "", {}
        self._look_at_neighbours()
        if self._perception is not None:
            self._perception.look_around()
            # The reason takes a look at the graph and at the shared memory: only while no image arrives.
            silence = self._perception.why_no_image() if self._health.is_silent else ""
            counters = self._perception.counters()
        level, message, values = self._health.summary(silence, {"lifecycle": self._state, **counters})
        name = f"{self.get_fully_qualified_name().lstrip('/')}: hands"
        stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(diagnostics.to_message(stamp, name, level, message, values))


def make_node() -> HandMeshNode:
    """Creates and starts the node. If the start fails, the node stays idle and its diagnostics contain the reason."""
    node = HandMeshNode()
    node.start()
    return node


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable."""
    return process.run(make_node, args)


if __name__ == "__main__":
    raise SystemExit(main())
