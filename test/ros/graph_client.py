"""The graph diffusion's services and action as a client in another process sees them."""

import time
from collections.abc import Callable

from graph import Graph
from rclpy.action import ActionClient
from rclpy.action.client import ClientGoalHandle
from rclpy.task import Future

from hand_mesh_ros.action import ReconstructHand
from hand_mesh_ros.srv import GenerateHands, InpaintHand

STEPS = 3
# The work has low priority: on a busy machine it may take long.
WAIT_S = START_S = 90.0
# Takes minutes: long enough to look at the node meanwhile.
LONG = {"n": 64, "steps": 1000}


class Client:
    """A node in a process of its own, and this test as its client."""

    def __init__(self, name: str, **parameters: object) -> None:
        self.graph = Graph(name)
        self.generating = self.graph.node.create_client(GenerateHands, "hand_mesh_node/generate")
        self.inpainting = self.graph.node.create_client(InpaintHand, "hand_mesh_node/inpaint")
        self.reconstructing = ActionClient(self.graph.node, ReconstructHand, "hand_mesh_node/reconstruct")
        self.process = self.graph.start("hand_mesh_node", threads=1, device="cpu", **parameters)
        try:
            self._wait_until_known()
        except BaseException:
            self.close()
            raise

    def _wait_until_known(self) -> None:
        for client in (self.generating, self.inpainting):
            assert self.graph.wait_for(client.service_is_ready, START_S)
        assert self.graph.wait_for(self.reconstructing.server_is_ready, START_S)
        # The node may not know yet where its answers go, and an answer is lost then: from here on it does.
        self._ask_until_answered(lambda: self.generating.call_async(GenerateHands.Request(n=0)))
        self._ask_until_answered(lambda: self.inpainting.call_async(InpaintHand.Request(n=0)))
        handle = self._ask_until_answered(lambda: self.reconstructing.send_goal_async(ReconstructHand.Goal(n=0)))
        self._ask_until_answered(handle.get_result_async)
        self._ask_until_answered(handle.cancel_goal_async)

    def _ask_until_answered(self, ask: Callable[[], Future]) -> object:
        deadline, futures = time.monotonic() + START_S, []
        while time.monotonic() < deadline:
            futures.append(ask())
            if done := self.graph.wait_for(lambda: [future for future in futures if future.done()], 2.0):
                return done[0].result()
        raise AssertionError(f"no answer within {START_S:g} s")

    def answer(self, future: Future) -> object:
        assert self.graph.wait_for(future.done, WAIT_S), "no answer"
        return future.result()

    def generate(self, **request: object) -> GenerateHands.Response:
        return self.answer(self.generating.call_async(GenerateHands.Request(**{"steps": STEPS, **request})))

    def inpaint(self, **request: object) -> InpaintHand.Response:
        return self.answer(self.inpainting.call_async(InpaintHand.Request(**{"steps": STEPS, **request})))

    def start(self, **goal: object) -> tuple[ClientGoalHandle, list[ReconstructHand.Feedback]]:
        """Handle of a goal that was accepted, and a list that collects its feedback."""
        feedback = []
        future = self.reconstructing.send_goal_async(
            ReconstructHand.Goal(**goal), feedback_callback=lambda message: feedback.append(message.feedback)
        )
        handle = self.answer(future)
        assert handle.accepted
        return handle, feedback

    def result(self, handle: ClientGoalHandle) -> tuple[int, ReconstructHand.Result]:
        answer = self.answer(handle.get_result_async())
        return answer.status, answer.result

    def cancel(self, handle: ClientGoalHandle) -> None:
        self.answer(handle.cancel_goal_async())

    def close(self) -> None:
        self.reconstructing.destroy()
        self.graph.close()
