"""Jobs that take seconds, beside callbacks that must not wait for them: one thread, one job after the other."""

import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from rclpy.node import Node
from rclpy.task import Future

Outcome = TypeVar("Outcome")

# Jobs that wait for the one at hand; further ones are refused.
_MOST_WAITING = 4


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

    def submit(self, job: Callable[[], Outcome]) -> "Future[Outcome]":
        """What the job will return or raise, to be awaited in a callback.

        Raises:
            Busy: if too many jobs wait.
        """
        if self._jobs.qsize() >= _MOST_WAITING:
            raise Busy(f"{_MOST_WAITING} requests wait already; ask again when one of them is answered")
        future: Future[Outcome] = Future()
        self._jobs.put((job, future))
        return future

    def close(self, end_job: Callable[[], None]) -> None:
        """Ends the thread; jobs that wait are never done, and nobody hears of the one at hand.

        Args:
            end_job: makes the job at hand end.
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
            except Exception as error:  # whoever awaits the job deals with it
                complete = partial(future.set_exception, error)
            if self._closing.is_set():
                return
            complete()
            # An executor does not hear of a future that another thread completes.
            if executor := self._node.executor:
                executor.wake()
