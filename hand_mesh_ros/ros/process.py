"""Runs a node as a process. Handles repeated SIGINT and SIGTERM without a traceback. Logs one line for invalid parameters."""

import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

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
    ensure_log_folder()
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


def ensure_log_folder() -> None:
    """Sends the log files of ROS to a temporary folder if their own folder cannot be written. Call before rclpy.init.

    rclpy.init fails without a folder for logs, for example in a container without HOME or with a read-only file system.
    """
    folder = _log_folder()
    if folder is not None and _can_write(folder):
        return
    instead = Path(tempfile.gettempdir()) / f"ros_log_{os.getuid()}"
    os.environ["ROS_LOG_DIR"] = str(instead)
    reason = "HOME is not set" if folder is None else f"{folder} cannot be written"
    print(f"{reason}: log files go to {instead}; set ROS_LOG_DIR to choose another folder", file=sys.stderr)


def _log_folder() -> Path | None:
    """The folder that rcl uses for logs."""
    if named := os.environ.get("ROS_LOG_DIR"):
        return Path(named)
    if ros_home := os.environ.get("ROS_HOME"):
        return Path(ros_home) / "log"
    home = os.environ.get("HOME")
    return Path(home) / ".ros/log" if home else None


def _can_write(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


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
