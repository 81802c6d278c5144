"""Life of a node's process: quiet on SIGINT and SIGTERM however often they come, a clear line on parameters that do not fit."""

import signal
from collections.abc import Callable

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.logging import get_logger
from rclpy.node import Node


def run(make_node: Callable[[], Node], args: list[str] | None = None) -> int:
    """Spins a node until the process is told to end; returns the exit code.

    A node with a method `close` is closed before it is destroyed.
    """
    # rclpy's own handlers end the spinning. Python's would raise KeyboardInterrupt anywhere, also in the clean-up: Ctrl-C under
    # `ros2 launch` arrives twice.
    _handle_signals(lambda *_: None)
    rclpy.init(args=args)
    try:
        # Made first: an executor that is made after the signal has come fails, and rclpy's prints a traceback of its own then.
        return _live(make_node, SingleThreadedExecutor())
    except ExternalShutdownException:
        return 0
    except Exception:
        # Once told to end, whatever still wants to publish fails, for example a node that was loading its models.
        if rclpy.ok():
            raise
        return 0
    finally:
        rclpy.try_shutdown()
        # Python puts handlers of its own back to "kill" before it ends, but leaves ignored signals ignored.
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
