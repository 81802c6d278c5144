"""Runs long jobs in one background thread, in order, so that callbacks of the node do not block."""

import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from rclpy.node import Node
from rclpy.task import Future

Outcome = TypeVar("Outcome")

# Largest number of waiting jobs. Further jobs are refused.
_MOST_WAITING = 4


class Busy(RuntimeError):
    """Too many jobs are waiting."""


class Background:
    """Runs jobs in order of arrival, for the callbacks of one node."""

    def __init__(self, node: Node, name: str) -> None:
        """Starts the thread.

        Args:
            node: its executor resumes the callback that awaits a job.
            name: name of the thread.
        """
        self._node = node
        self._jobs: queue.SimpleQueue[tuple[Callable[[], object], Future] | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[], Outcome]) -> Future:
        """Queues a job. A callback can await the returned future, which has the result or the exception of the job.

        Raises:
            Busy: if too many jobs are waiting.
        """
        if self._jobs.qsize() >= _MOST_WAITING:
            raise Busy(f"{_MOST_WAITING} requests wait already; ask again when one of them is answered")
        future = Future()
        self._jobs.put((job, future))
        return future

    def close(self, end_job: Callable[[], None]) -> None:
        """Stops the thread. Waiting jobs never run, and the result of the current job is dropped.

        Args:
            end_job: stops the current job.
        """
        self._closing.set()
        end_job()
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (taken := self._jobs.get()) is not None and not self._closing.is_set():
            job, future = taken
            try:
                complete = partial(future.set_result, job())
            except Exception as error:  # the awaiting callback handles the exception
                complete = partial(future.set_exception, error)
            if self._closing.is_set():
                return
            complete()
            # An executor does not notice a future that another thread completes.
            if executor := self._node.executor:
                executor.wake()
