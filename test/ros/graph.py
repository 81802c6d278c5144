"""A test's own place in a real ROS graph: processes it starts, messages it collects."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from hand_mesh_ros.ros import qos
from hand_mesh_ros.ros.tools import launcher

ROOT = Path(__file__).resolve().parents[2]


class Graph:
    """A ROS node of the test with everything it has received, in a namespace of its own."""

    def __init__(self, name: str) -> None:
        self.namespace = f"/{name}_{os.getpid()}"
        self._context = Context()
        rclpy.init(context=self._context)
        self.node = Node("test", namespace=self.namespace, context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._processes: list[subprocess.Popen] = []
        self.received: dict[str, list] = {}
        self.collect("/diagnostics", DiagnosticArray, qos.DIAGNOSTICS)

    def collect(self, topic: str, kind: type, profile: object = qos.RESULT) -> None:
        """Keeps every message of a topic in `received`."""
        self.received[topic] = []
        self.node.create_subscription(kind, topic, self.received[topic].append, profile)

    def start(self, module: str, remaps: dict[str, str] | None = None, **parameters: object) -> subprocess.Popen:
        """Runs a node of the package as a process in the test's namespace, with remapped names and parameters."""
        given = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
        given += [word for name, value in (remaps or {}).items() for word in ("-r", f"{name}:={value}")]
        command = launcher.command(module, ["-r", f"__ns:={self.namespace}", *given])
        self._processes.append(subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True))
        return self._processes[-1]

    def wait_for(self, is_met: Callable[[], object], timeout_s: float = 10.0) -> object:
        """Takes part in the graph until `is_met` returns something true, which it returns; else its last answer."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            answer = is_met()
            if answer:
                return answer
            self._executor.spin_once(timeout_sec=0.02)
        return is_met()

    def statuses(self) -> list[DiagnosticStatus]:
        """Diagnostics of the nodes in this namespace, oldest first."""
        every = [status for array in self.received["/diagnostics"] for status in array.status]
        return [status for status in every if status.name.startswith(self.namespace.lstrip("/"))]

    def close(self) -> None:
        """Ends the processes that still run and leaves the graph."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.communicate()
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self._context)


def end(process: subprocess.Popen, *signals: signal.Signals, timeout_s: float = 15.0) -> tuple[int, str]:
    """Sends signals a moment apart; exit code and standard error of the process."""
    for number in signals:
        process.send_signal(number)
        time.sleep(0.05)
    _, log = process.communicate(timeout=timeout_s)
    return process.returncode, log
