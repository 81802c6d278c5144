"""Runs a node as a process. Handles repeated SIGINT and SIGTERM without a traceback. Logs one line for invalid parameters."""

import signal
from collections.abc import Callable

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.logging import get_logger
from rclpy.node import Node


def run(make_node: Callable[[], Node], args: list[str] | None = None) -> int:
    """Spins a node until the process receives a stop signal. Returns the exit code.

    If the node has a method `close`, this function calls `close` before it destroys the node.
    """
    # The handlers of rclpy stop the executor. The default handler of Python would raise KeyboardInterrupt anywhere, even during
    # clean-up: under `ros2 launch`, Ctrl-C arrives twice.
    _handle_signals(lambda *_: None)
    try:
        rclpy.init(args=args)
    except RuntimeError as error:  # arguments that rcl cannot use, for example a parameter file that is missing
        get_logger("hand_mesh_ros").fatal(f"cannot start: {error}")
        return 1
    try:
        # Create the executor first: after a signal its creation fails, and the default executor of rclpy prints a traceback.
        return _live(make_node, SingleThreadedExecutor())
    except ExternalShutdownException:
        return 0
    except Exception:
        # After shutdown every publish call fails, for example in a node that was still loading its models.
        if rclpy.ok():
            raise
        return 0
    finally:
        rclpy.try_shutdown()
        # At exit, Python resets its handlers to the default (kill), but keeps ignored signals ignored.
        _handle_signals(signal.SIG_IGN)


def _live(make_node: Callable[[], Node], executor: SingleThreadedExecutor) -> int:
    try:
        node = make_node()
    except (ValueError, ParameterException) as error:
        get_logger("hand_mesh_ros").fatal(f"cannot start: {error}")
        return 1
    try:
        rclpy.spin(node, executor)
    finally:
        if hasattr(node, "close"):
            node.close()
        node.destroy_node()
    return 0


def _handle_signals(handler: Callable[..., None] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)
