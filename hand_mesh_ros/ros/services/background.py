"""Runs long jobs in one background thread, in order, so that callbacks of the node do not block."""

import concurrent.futures
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from rclpy.node import Node
from rclpy.task import Future

Outcome = TypeVar("Outcome")

# Maximum number of waiting jobs. More jobs are refused.
_MOST_WAITING = 4


class Busy(RuntimeError):
    """Too many jobs are waiting."""


class Background:
    """Runs jobs in the order of their requests, for the callbacks of one node."""

    def __init__(self, node: Node, name: str) -> None:
        """Prepares the thread.

        Args:
            node: node whose executor resumes the callbacks that await jobs.
            name: name of the thread.
        """
        self._node = node
        self._closing = threading.Event()
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._tasks: list[concurrent.futures.Future] = []  # running or waiting

    def submit(self, job: Callable[[], Outcome]) -> "Future[Outcome]":
        """Starts a job. Returns a future with the result or the exception of the job. Callbacks can await this future.

        Raises:
            Busy: if too many jobs are waiting.
        """
        self._tasks = [task for task in self._tasks if not task.done()]
        if sum(not task.running() for task in self._tasks) >= _MOST_WAITING:
            raise Busy(f"{_MOST_WAITING} requests are already waiting; try again later")
        future: Future[Outcome] = Future()
        task = self._pool.submit(job)
        self._tasks.append(task)
        task.add_done_callback(partial(self._hand_over, future))
        return future

    def close(self, end_job: Callable[[], None]) -> None:
        """Ends the thread. Waiting jobs are dropped, and the result of the running job is not delivered.

        Args:
            end_job: stops the running job.
        """
        self._closing.set()
        end_job()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _hand_over(self, future: Future, task: concurrent.futures.Future) -> None:
        """Completes the future that a callback awaits. Runs in the thread of the job."""
        if self._closing.is_set() or task.cancelled():
            return
        try:
            complete = partial(future.set_result, task.result())
        except Exception as error:  # the callback that awaits the job handles it
            complete = partial(future.set_exception, error)
        complete()
        # An executor does not notice a future that another thread completes.
        if executor := self._node.executor:
            executor.wake()
