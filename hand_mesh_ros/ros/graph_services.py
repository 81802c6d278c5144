"""The graph diffusion on request: hands drawn, completed, and reconstructed from single images, beside the stream of images.

It has models and a thread of its own and shares nothing with the chain that answers the stream but the processor, of which it
takes what is left. Callbacks await its thread, so that the executor goes on meanwhile.
"""

import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from rclpy.action import ActionServer, CancelResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node

from hand_mesh_ros.action import ReconstructHand
from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.onnx_model import ModelError, default_models_dir
from hand_mesh_ros.core.reconstruct import Effort, HandReconstructor
from hand_mesh_ros.core.sample import Cancelled
from hand_mesh_ros.ros import convert, convert_graph
from hand_mesh_ros.ros.background import Background, Busy
from hand_mesh_ros.srv import GenerateHands, InpaintHand

Request = GenerateHands.Request | InpaintHand.Request | ReconstructHand.Goal
Answer = TypeVar("Answer", GenerateHands.Response, InpaintHand.Response, ReconstructHand.Result)


class GraphServices:
    """The services `~/generate` and `~/inpaint` and the action `~/reconstruct`."""

    def __init__(self, node: Node, config: PipelineConfig, rectified: bool) -> None:
        """Offers them; the models are loaded when the first request comes.

        Args:
            node: that offers them.
            config: where the models are and how they run; `seed`, `n_hypotheses` and steps of the answer come with each request.
            rectified: images to reconstruct from are rectified, as in `NodeConfig`.
        """
        self._node, self._config, self._rectified = node, config, rectified
        self._reconstructor: HandReconstructor | None = None  # of the background thread alone
        self._background = Background(node, "graph diffusion")
        # While a callback awaits, its group counts as busy. The node's own group would then answer nothing else.
        group = ReentrantCallbackGroup()
        self._services = (
            node.create_service(GenerateHands, "~/generate", self._generate, callback_group=group),
            node.create_service(InpaintHand, "~/inpaint", self._inpaint, callback_group=group),
        )
        self._action = ActionServer(
            node,
            ReconstructHand,
            "~/reconstruct",
            self._reconstruct,
            callback_group=group,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )

    def destroy(self) -> None:
        """Ends them; a request at work ends with its step, unanswered."""
        self._background.close()
        self._action.destroy()
        for service in self._services:
            self._node.destroy_service(service)

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

    async def _answer(self, request: Request, job: Callable[[], Answer], answer: Answer) -> Answer:
        """The answer that the job fills in the background, or the reason why not. Never raises: that would end the node."""
        try:
            convert_graph.check_request(request)
            return await self._background.submit(job)
        except Cancelled as error:
            answer.message = str(error)
            return answer
        except (ValueError, ModelError, Busy) as error:
            answer.message = str(error)
        except Exception as error:  # the last line of defence: one request that breaks a model must not end the node
            answer.message = f"{type(error).__name__} while working on it: {error}"
            self._node.get_logger().error(traceback.format_exc())
        self._node.get_logger().warning(f"{type(request).__name__} not answered: {answer.message}")
        return answer

    # What follows runs in the background thread.

    def _generated(self, request: GenerateHands.Request, response: GenerateHands.Response) -> GenerateHands.Response:
        graph = self._loaded().graph
        vertices_m = graph.generate(request.n, request.seed, request.steps, self._report)
        return convert_graph.to_response(response, vertices_m, request.side, graph.hand)

    def _inpainted(self, request: InpaintHand.Request, response: InpaintHand.Response) -> InpaintHand.Response:
        graph = self._loaded().graph
        points_m, given = convert_graph.given_part(request, graph.hand)
        inpaint = graph.inpaint_mesh if any(request.vertices_given) else graph.inpaint_skeleton
        vertices_m = inpaint(points_m, given, request.n, request.seed, request.steps, self._report)
        return convert_graph.to_response(response, vertices_m, request.side, graph.hand)

    def _reconstructed(self, goal: ServerGoalHandle, result: ReconstructHand.Result) -> ReconstructHand.Result:
        def report(step: int, steps: int) -> None:
            self._end_if_unwanted(goal)
            goal.publish_feedback(ReconstructHand.Feedback(step=step, steps=steps))

        request = goal.request
        self._end_if_unwanted(goal)  # it may have waited for long
        reconstruct = self._loaded()
        frame = convert.to_frame(request.image, request.camera_info, None, self._rectified)
        found = reconstruct(frame, Effort(request.n, request.steps, request.seed, request.fit), report)
        result.success, result.header, result.topology_id = True, request.image.header, reconstruct.graph.hand.digest
        result.hands = [convert_graph.to_reconstructed_hand(hand) for hand in found]
        return result

    def _report(self, _step: int, _steps: int) -> None:
        self._end_if_unwanted()

    def _end_if_unwanted(self, goal: ServerGoalHandle | None = None) -> None:
        """Raises Cancelled once the node is to end or the goal is no longer wanted."""
        if self._background.is_closing:
            raise Cancelled("the node ends")
        if goal is not None and goal.is_cancel_requested:
            raise Cancelled("cancelled by the client")

    def _loaded(self) -> HandReconstructor:
        """The models; a file that was missing is looked for again at each request.

        Raises:
            ModelError: naming the file.
        """
        if self._reconstructor is None:
            models_dir = Path(self._config.models_dir) if self._config.models_dir else default_models_dir()
            self._reconstructor = HandReconstructor(models_dir, self._config)
        return self._reconstructor
