"""Work that takes seconds, beside a stream that must not wait for it: one thread of low priority, one job after the other."""

import os
import queue
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from rclpy.node import Node
from rclpy.task import Future

Outcome = TypeVar("Outcome")

# Jobs that wait for the one at hand; further ones are refused.
_MOST_WAITING = 4
# Among threads that all want the processor this one gets about a tenth of the share of an ordinary one.
_NICENESS = 10


class Busy(RuntimeError):
    """Too many jobs wait already."""


class Background:
    """Does jobs in the order they come. To be used by the callbacks of one node."""

    def __init__(self, node: Node, name: str) -> None:
        """Starts the thread.

        Args:
            node: whose executor is to go on with a callback that awaits a job.
            name: of the thread.
        """
        self._node = node
        self._jobs: queue.SimpleQueue[tuple[Callable[[], object], Future] | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def is_closing(self) -> bool:
        """Whether the job at hand is to end early."""
        return self._closing.is_set()

    def submit(self, job: Callable[[], Outcome]) -> Future:
        """What the job will return or raise, to be awaited in a callback.

        Raises:
            Busy: if too many jobs wait.
        """
        if self._jobs.qsize() >= _MOST_WAITING:
            raise Busy(f"{_MOST_WAITING} requests wait already; ask again when one of them is answered")
        future = Future()
        self._jobs.put((job, future))
        return future

    def close(self) -> None:
        """Waits for the job at hand; those that wait are never done."""
        self._closing.set()
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        if sys.platform == "linux":
            os.nice(_NICENESS)  # of this thread alone, and of those that it starts; elsewhere it would be the whole process
        while (taken := self._jobs.get()) is not None and not self.is_closing:
            job, future = taken
            try:
                complete = partial(future.set_result, job())
            except Exception as error:  # whoever awaits the job deals with it
                complete = partial(future.set_exception, error)
            if self.is_closing:
                return
            complete()
            # An executor does not hear of a future that another thread completes.
            if executor := self._node.executor:
                executor.wake()
