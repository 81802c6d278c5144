"""Reads and sets parameters of hand_mesh_node through its parameter services, without waiting."""

import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue

from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.client import Client
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.parameter import Parameter, parameter_value_to_python
from rclpy.task import Future

_PERIOD_S = 1.0
# A node that ends never answers. The next request starts after this time [s].
_PATIENCE_S = 3.0

Value = int | float


class NodeSettings:
    """Asks for the values once a second, so that changes of other tools appear too."""

    def __init__(
        self,
        node: Node,
        target: str,
        names: Sequence[str],
        on_values: Callable[[dict[str, Value]], None],
        on_refusal: Callable[[str], None],
    ) -> None:
        """Creates the clients and the timer.

        Args:
            node: node that asks.
            target: name of the node with the parameters.
            names: parameters to read.
            on_values: called with the values that the target uses.
            on_refusal: called with the reason if the target refuses a value.
        """
        self._names, self._on_values, self._on_refusal = list(names), on_values, on_refusal
        self._get: Client = node.create_client(GetParameters, f"{target}/get_parameters")
        self._set: Client = node.create_client(SetParameters, f"{target}/set_parameters")
        self._wanted: SimpleQueue[tuple[str, Value]] = SimpleQueue()
        self._asked: Future | None = None
        self._asked_s = 0.0
        node.create_timer(_PERIOD_S, self._ask, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def change(self, name: str, value: Value) -> None:
        """Stores a change. Any thread may call this function; `send` sends the change."""
        self._wanted.put((name, value))

    def send(self) -> None:
        """Sends the newest stored change of each parameter. Call this function in the thread of the node."""
        changes: dict[str, Value] = {}
        while not self._wanted.empty():
            name, value = self._wanted.get()
            changes[name] = value
        if not changes:
            return
        if not self._set.service_is_ready():
            self._on_refusal(f"{self._set.srv_name} is not available: start hand_mesh_node, or set the parameter `node`")
            return
        # An answer to an older question still has the old values.
        self._asked = None
        parameters = [Parameter(name, value=value).to_parameter_msg() for name, value in changes.items()]
        self._set.call_async(SetParameters.Request(parameters=parameters)).add_done_callback(self._on_set)

    def _ask(self) -> None:
        is_waiting = self._asked is not None and time.monotonic() < self._asked_s + _PATIENCE_S
        if is_waiting or not self._get.service_is_ready():
            return
        if self._asked is not None:
            self._get.remove_pending_request(self._asked)
        self._asked, self._asked_s = self._get.call_async(GetParameters.Request(names=self._names)), time.monotonic()
        self._asked.add_done_callback(self._on_got)

    def _on_got(self, answer: Future) -> None:
        if answer is not self._asked:
            return
        self._asked = None
        result = answer.result()
        values = [parameter_value_to_python(value) for value in (result.values if result else [])]
        found = {name: value for name, value in zip(self._names, values) if isinstance(value, int | float)}
        if found:
            self._on_values(found)

    def _on_set(self, answer: Future) -> None:
        response = answer.result()
        for result in response.results if response else []:
            if not result.successful:
                self._on_refusal(result.reason)
        self._ask()
