"""Measures the time of each stage for one image."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class StageTimer:
    """Adds up the time that each stage takes."""

    def __init__(self, stages: Iterable[str] = ()) -> None:
        """Starts with 0 ms for each of `stages`. Other stages are added when they are measured."""
        self.ms: dict[str, float] = dict.fromkeys(stages, 0.0)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the time of the block to the stage `name`."""
        started_s = time.perf_counter()
        yield
        self.ms[name] = self.ms.get(name, 0.0) + 1e3 * (time.perf_counter() - started_s)
