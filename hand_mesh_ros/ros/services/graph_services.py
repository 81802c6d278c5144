"""Graph diffusion on request: generates hands, completes hands, and reconstructs hands from single images.

A separate process with low priority does the work, so the image stream keeps its speed. Callbacks await a thread that waits for
this process, so the executor is not blocked.
"""

import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np
from rclpy.action import ActionServer, CancelResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node

from hand_mesh_ros.action import ReconstructHand
from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.graph.process import GraphProcess, ProcessLost
from hand_mesh_ros.core.graph.reconstruct import Effort
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.models.onnx_model import ModelError, default_models_dir
from hand_mesh_ros.core.models.sampler import Cancelled
from hand_mesh_ros.ros.input.convert_frame import to_frame
from hand_mesh_ros.ros.input.watch import depth_warnings
from hand_mesh_ros.ros.parameters import NodeConfig
from hand_mesh_ros.ros.services import convert_graph
from hand_mesh_ros.ros.services.background import Background, Busy
from hand_mesh_ros.srv import GenerateHands, InpaintHand

Request: TypeAlias = GenerateHands.Request | InpaintHand.Request | ReconstructHand.Goal
Answer = TypeVar("Answer", GenerateHands.Response, InpaintHand.Response, ReconstructHand.Result)


class GraphServices:
    """The services `~/generate` and `~/inpaint` and the action `~/reconstruct`.

    The services exist as long as the node, because rclpy raises if a service is destroyed before an awaited answer. Requests
    are processed only while the node is active.
    """

    def __init__(self, node: Node, config: NodeConfig) -> None:
        """Creates the services and the action.

        Args:
            node: node of the services.
            config: settings of the node, for the images of requests.
        """
        self._node, self._config = node, config
        self._given_hand: HandModel | None = None
        self._process: GraphProcess | None = None  # None while the node is inactive
        self._background = Background(node, "graph diffusion")
        # A callback that awaits blocks the default callback group of the node. A reentrant group is not blocked.
        group = ReentrantCallbackGroup()
        node.create_service(GenerateHands, "~/generate", self._generate, callback_group=group)
        node.create_service(InpaintHand, "~/inpaint", self._inpaint, callback_group=group)
        self._action = ActionServer(
            node,
            ReconstructHand,
            "~/reconstruct",
            self._reconstruct,
            callback_group=group,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )

    def activate(self, config: PipelineConfig, hand: HandModel) -> None:
        """Accepts requests from now on. The first request starts the process and loads the models.

        Args:
            config: settings of the models. Seed, number of hypotheses and number of steps come with each request.
            hand: the hand model in the model folder.
        """
        self._given_hand = hand
        self._process = GraphProcess(Path(config.models_dir) if config.models_dir else default_models_dir(), config)

    def reconfigure(self, config: NodeConfig, pipeline_config: PipelineConfig) -> None:
        """Applies new settings to later requests. Settings that are not `live` must be unchanged."""
        self._config = config
        if self._process is not None:
            self._process.config = pipeline_config

    def deactivate(self) -> None:
        """Stops the process immediately. The current request and later requests fail because the node is not active."""
        process, self._process = self._process, None
        if process is not None:
            process.close()

    def destroy(self) -> None:
        """Removes the services with the node. The current request gets no answer."""
        self._background.close(self.deactivate)
        self._action.destroy()

    async def _generate(self, request: GenerateHands.Request, response: GenerateHands.Response) -> GenerateHands.Response:
        return await self._answer(request, partial(self._generated, request, response), response)

    async def _inpaint(self, request: InpaintHand.Request, response: InpaintHand.Response) -> InpaintHand.Response:
        return await self._answer(request, partial(self._inpainted, request, response), response)

    async def _reconstruct(self, goal: ServerGoalHandle) -> ReconstructHand.Result:
        result = ReconstructHand.Result()
        result = await self._answer(goal.request, partial(self._reconstructed, goal, result), result)
        if goal.is_cancel_requested:
            goal.canceled()
        elif result.success:
            goal.succeed()
        else:
            goal.abort()
        return result

    async def _answer(self, request: Request, job: Callable[[GraphProcess], Answer], answer: Answer) -> Answer:
        """Returns the answer that the background job fills, or the failure reason. Never raises, to keep the node alive."""
        process = self._process
        try:
            convert_graph.check_request(request)
            if process is None:
                raise ValueError("the node is not active: activate it first")
            return await self._background.submit(partial(job, process))
        except Cancelled as error:
            answer.message = str(error) if process is self._process else "the node was deactivated before the answer: try again"
            return answer
        except (ValueError, ModelError, Busy, ProcessLost) as error:
            answer.message = str(error)
        except Exception as error:  # a single bad request must not stop the node
            answer.message = f"{type(error).__name__} while processing this request: {error}"
            self._node.get_logger().error(traceback.format_exc())
        self._node.get_logger().warning(f"{type(request).__name__} not answered: {answer.message}")
        return answer

    # The following methods run in the background thread.

    @property
    def _hand(self) -> HandModel:
        if self._given_hand is None:
            raise RuntimeError("no hand model is loaded: activate the node first")
        return self._given_hand

    def _generated(
        self, request: GenerateHands.Request, response: GenerateHands.Response, process: GraphProcess
    ) -> GenerateHands.Response:
        effort = request.n, request.seed, request.steps
        vertices_m = process.run("generate", *effort, report=_no_report, watch=_no_watch)
        return convert_graph.to_response(response, vertices_m, request.side, self._hand)

    def _inpainted(
        self, request: InpaintHand.Request, response: InpaintHand.Response, process: GraphProcess
    ) -> InpaintHand.Response:
        part = convert_graph.given_part(request, self._hand)
        effort = request.n, request.seed, request.steps
        name = "inpaint_mesh" if any(request.vertices_given) else "inpaint_skeleton"
        vertices_m = process.run(name, *part, *effort, report=_no_report, watch=_no_watch)
        return convert_graph.to_response(response, vertices_m, request.side, self._hand)

    def _reconstructed(
        self, goal: ServerGoalHandle, result: ReconstructHand.Result, process: GraphProcess
    ) -> ReconstructHand.Result:
        def report(step: int, steps: int) -> None:
            goal.publish_feedback(ReconstructHand.Feedback(step=step, steps=steps))

        def watch() -> None:
            if goal.is_cancel_requested:
                raise Cancelled("cancelled by the client")

        request = goal.request
        watch()  # the client may have cancelled a waiting request
        depth_m = self._depth_m(request)
        frame = to_frame(request.image, request.camera_info, depth_m, self._config.rectified)
        effort = Effort(request.n, request.steps, request.seed, request.fit)
        found = process.run("reconstruct", frame, effort, report=report, watch=watch)
        result.success, result.header, result.topology_id = True, request.image.header, self._hand.digest
        result.hands = [convert_graph.to_reconstructed_hand(hand) for hand in found]
        if depth_m is not None and found and all(hand.scale_source != "depth" for hand in found):
            result.message = convert_graph.why_no_depth(frame.is_calibrated, self._config.depth_scale)
            self._node.get_logger().warning(f"ReconstructHand: {result.message}")
        return result

    def _depth_m(self, goal: ReconstructHand.Goal) -> np.ndarray | None:
        """Returns the depth of a goal in metres, or None. Warns of depth in another frame than the image, as for the stream."""
        depth_m = convert_graph.given_depth(goal, self._config.depth_scale, self._config.depth_slop_ms)
        if depth_m is not None and (frames := depth_warnings.other_frames(goal.depth, goal.image)):
            text = depth_warnings.other_frame(frames, "depth of the goal", "its image")
            self._node.get_logger().warning(f"ReconstructHand: {text}")
        return depth_m


def _no_report(_step: int, _steps: int) -> None:
    """A service reports no progress."""


def _no_watch() -> None:
    """A service cannot be cancelled."""
