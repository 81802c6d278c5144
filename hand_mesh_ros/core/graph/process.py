"""Runs the graph diffusion in a separate process of low priority, so that long jobs do not delay the calling process.

A thread would delay the caller, because a thread of low priority may hold Python's lock for a long time on a busy computer. A job
is the name of a method with its arguments. The process returns a message after each step, then the result or the exception.
"""

import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.graph.reconstruct import HandReconstructor
from hand_mesh_ros.core.models.onnx_model import ModelError
from hand_mesh_ros.core.models.sampler import Cancelled, Report

# On a busy computer the process gets about 10 % of the processor time of a process with normal priority.
_NICENESS = 10
# Period of the calls of `watch` [s].
_PATIENCE_S = 0.1
_CLOSED = "the process of the graph diffusion was closed"
_STEP, _DONE, _FAILED, _CANCEL = "step", "done", "failed", "cancel"


class ProcessLost(RuntimeError):
    """The process has ended without a result."""


class GraphProcess:
    """Runs jobs of a `HandReconstructor`, one job at a time.

    The process starts at the first job. If the process is lost, the next job starts a new process.
    """

    def __init__(self, models_dir: Path, config: PipelineConfig) -> None:
        """Stores the settings. The process starts later.

        Args:
            models_dir: folder of the model files.
            config: settings of the models. The caller may set `config` to a value with other `live` fields for the next jobs.
        """
        self._models_dir, self.config = models_dir, config
        self._lock = threading.Lock()
        self._running: tuple[subprocess.Popen, Connection] | None = None
        self._is_closed = False

    def run(self, name: str, *arguments: Any, report: Report, watch: Callable[[], None]) -> Any:
        """Result of a job.

        Args:
            name: "reconstruct", or a method of `GraphDiffusion` with a `report` argument.
            arguments: arguments of the method, without `report`.
            report: called after every step.
            watch: called several times per second. An exception from `report` or `watch` ends the job after the current step.

        Raises:
            ModelError: if a model file is missing, damaged or not a file of this package. The next job tries again.
            ProcessLost: if the process has ended. The next job starts the process again.
            Exception: an exception of the job, `report` or `watch`.
        """
        process, connection = self._started()
        try:
            connection.send((name, arguments, self.config))
            kind, content = _followed(connection, report, watch)
        except (EOFError, ConnectionError) as error:
            self._end()
            if self._is_closed:
                raise Cancelled(_CLOSED) from error
            code = process.returncode
            raise ProcessLost(f"the process of the graph diffusion has ended (exit code {code}); run the job again") from error
        if kind == _FAILED:
            raise content
        return content

    def close(self) -> None:
        """Ends the process immediately, also during a job. May be called from any thread."""
        with self._lock:
            self._is_closed = True
        self._end()

    def _started(self) -> tuple[subprocess.Popen, Connection]:
        with self._lock:
            if self._is_closed:
                raise Cancelled(_CLOSED)
            if self._running is None or self._running[0].poll() is not None:
                ours, theirs = Pipe()
                # The new process imports the package from the same folder.
                environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
                command = [sys.executable, "-m", "hand_mesh_ros.core.graph.process", str(theirs.fileno())]
                self._running = subprocess.Popen(command, env=environment, pass_fds=(theirs.fileno(),)), ours
                theirs.close()
                ours.send(self._models_dir)
            return self._running

    def _end(self) -> None:
        with self._lock:
            if self._running is not None:
                self._running[0].kill()
                self._running[0].wait()
            self._running = None


def _followed(connection: Connection, report: Report, watch: Callable[[], None]) -> tuple[str, Any]:
    """Kind and content of the result of the current job.

    If `report` or `watch` raises an exception, the job is cancelled. The exception is raised again after the end of the job.
    """
    try:
        return _ended(connection, report, watch)
    except (EOFError, ConnectionError):
        raise
    except Exception:
        connection.send((_CANCEL, (), None))
        _ended(connection, lambda _step, _steps: None, lambda: None)
        raise


def _ended(connection: Connection, report: Report, watch: Callable[[], None]) -> tuple[str, Any]:
    while True:
        while not connection.poll(_PATIENCE_S):
            watch()
        kind, content = connection.recv()
        if kind != _STEP:
            return kind, content
        report(*content)


def _serve(connection: Connection) -> None:
    """Runs jobs until the connection is closed."""
    models_dir = connection.recv()
    reconstructor: HandReconstructor | None = None

    def report(step: int, steps: int) -> None:
        connection.send((_STEP, (step, steps)))
        if connection.poll():
            connection.recv()
            raise Cancelled

    while True:
        name, arguments, config = connection.recv()
        if name == _CANCEL:  # the job ended before the cancellation arrived
            continue
        try:
            reconstructor = reconstructor or HandReconstructor(models_dir, config)
            reconstructor.reconfigure(config)
            job: Callable[..., Any] = reconstructor if name == "reconstruct" else getattr(reconstructor.graph, name)
            answer = _DONE, job(*arguments, report=report)
        except (EOFError, ConnectionError):
            raise
        except (Cancelled, ModelError, ValueError) as error:
            answer = _FAILED, error
        except Exception as error:  # other exceptions may not be picklable
            traceback.print_exc()
            answer = _FAILED, RuntimeError(f"{type(error).__name__}: {error}")
        connection.send(answer)


def main() -> None:
    """Entry point of the process. The argument is the file descriptor of the connection."""
    # Ctrl-C goes to all processes of a terminal. This process ignores Ctrl-C and ends when the calling process ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(_NICENESS)
    try:
        _serve(Connection(int(sys.argv[1])))
    except (EOFError, ConnectionError):
        sys.exit(0)


if __name__ == "__main__":
    main()
