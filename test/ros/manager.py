"""A lifecycle manager as a test needs one: brings a node of another process from state to state."""

import time

from graph import Graph
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.client import Client

# A busy machine may take long to load models.
ANSWER_S = 60.0
_WAYS = {
    ("unconfigured", "inactive"): ("configure",),
    ("unconfigured", "active"): ("configure", "activate"),
    ("inactive", "active"): ("activate",),
    ("inactive", "unconfigured"): ("cleanup",),
    ("active", "inactive"): ("deactivate",),
    ("active", "unconfigured"): ("deactivate", "cleanup"),
}
_TRANSITIONS = {
    "configure": Transition.TRANSITION_CONFIGURE,
    "activate": Transition.TRANSITION_ACTIVATE,
    "deactivate": Transition.TRANSITION_DEACTIVATE,
    "cleanup": Transition.TRANSITION_CLEANUP,
    "shutdown": Transition.TRANSITION_ACTIVE_SHUTDOWN,
}


class Manager:
    """Client of a node's lifecycle services."""

    def __init__(self, graph: Graph, node: str = "hand_mesh_node") -> None:
        """Waits until both sides know each other: what is answered before is lost."""
        self._graph = graph
        self._changing = graph.node.create_client(ChangeState, f"{node}/change_state")
        self._getting = graph.node.create_client(GetState, f"{node}/get_state")
        assert graph.wait_for(lambda: self._changing.service_is_ready() and self._getting.service_is_ready(), ANSWER_S)
        nothing = ChangeState.Request(transition=Transition(label="no such transition"))
        for client, request in ((self._changing, nothing), (self._getting, GetState.Request())):
            self._ask_until_answered(client, request)

    def change(self, name: str) -> bool:
        """Whether a transition succeeded."""
        future = self._changing.call_async(ChangeState.Request(transition=Transition(id=_TRANSITIONS[name])))
        assert self._graph.wait_for(future.done, ANSWER_S), f"no answer to {name}"
        return future.result().success

    def state(self) -> str:
        future = self._getting.call_async(GetState.Request())
        assert self._graph.wait_for(future.done, ANSWER_S), "no answer"
        return future.result().current_state.label

    def bring_to(self, state: str) -> None:
        """By the transitions that lead there."""
        now = self.state()
        for name in _WAYS.get((now, state), ()):
            assert self.change(name), f"{name} failed: {[status.message for status in self._graph.statuses()[-2:]]}"
        assert self.state() == state

    def _ask_until_answered(self, client: Client, request: object) -> None:
        deadline, futures = time.monotonic() + ANSWER_S, []
        while time.monotonic() < deadline:
            futures.append(client.call_async(request))
            if self._graph.wait_for(lambda: any(future.done() for future in futures), 2.0):
                return
        raise AssertionError(f"{client.srv_name} does not answer")
