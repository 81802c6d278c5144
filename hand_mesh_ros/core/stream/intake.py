"""Buffer between the subscriptions and the worker: stores the newest image, with its depth image if depth arrives.

Callbacks only store messages. The worker takes the messages. Images do not wait in a queue for inference, because a queue before
a slow consumer increases the delay of every result. This module pairs images and depth itself and does not use message_filters.
The queues of message_filters drop the smallest stamp, not the oldest message, so no pairs are found after a bag restarts. These
queues also hold a lock during callbacks. A test shows that the pairs are the same.
"""

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

from hand_mesh_ros.core.stream.depth_pairs import DepthPairs, PairFigures

Item = TypeVar("Item")

# Smallest number of images that wait for their depth, and of depth images that wait for later images. More messages are kept if
# they arrived within the waiting time, up to the largest number.
_HISTORY, _MOST = 4, 64
# Depth is active until this time after the last depth message [s].
_DEPTH_ALIVE_S = 1.0
# A stamp that is this much older than the newest stamp is from a restarted source, not from a late message [ns].
RESTART_NS = 500_000_000


@dataclass(frozen=True)
class Pending(Generic[Item]):
    """A waiting message."""

    item: Item
    stamp_ns: int
    arrival_s: float  # monotonic time


class Intake(Generic[Item]):
    """Thread-safe transfer of the newest image and its depth. Counters only increase."""

    def __init__(self, depth_slop_s: float, depth_wait_s: float) -> None:
        self.tune(depth_slop_s, depth_wait_s)
        self._condition = threading.Condition()
        self._images: deque[Pending[Item]] = deque()
        self._depths: deque[Pending[Item]] = deque()
        self._pairs = DepthPairs()
        self._newest_ns = 0
        self._closed = False
        self._restarted = False
        self.superseded = 0  # number of images that were replaced by a newer image
        self.late = 0  # number of images that arrived after a newer image
        self.restarts = 0  # number of times that the stamps jumped back
        self.unpaired = 0  # number of images that waited for depth without success
        self.nearest_depth_s = float("nan")  # smallest stamp difference to a depth image for the last unpaired image

    def tune(self, depth_slop_s: float, depth_wait_s: float) -> None:
        """Uses other settings from now on.

        Args:
            depth_slop_s: largest stamp difference between an image and its depth.
            depth_wait_s: longest time that an image waits for its depth while depth arrives.
        """
        self._slop_ns, self._wait_s = int(depth_slop_s * 1e9), depth_wait_s

    def put_image(self, item: Item, stamp_ns: int) -> None:
        """Stores an image. The new image replaces older images that the worker has not taken."""
        with self._condition:
            if stamp_ns < self._newest_ns - RESTART_NS:
                self._clear()
                self.restarts += 1
                self._restarted = True
            elif stamp_ns < self._newest_ns:
                self.late += 1
                return
            self._newest_ns = stamp_ns
            now_s = time.monotonic()
            self._images.append(Pending(item, stamp_ns, now_s))
            self._pairs.image_came(stamp_ns, now_s)
            self.superseded += self._shorten(self._images, _HISTORY if self._depth_arrives() else 1)
            self._condition.notify()

    def put_depth(self, item: Item, stamp_ns: int) -> None:
        """Stores a depth image. Only an image with the same stamp, within the slop, can use the depth image."""
        with self._condition:
            now_s = time.monotonic()
            self._depths.append(Pending(item, stamp_ns, now_s))
            self._pairs.depth_came(stamp_ns, now_s)
            self._shorten(self._depths, _HISTORY)
            self._condition.notify()

    def take(self, timeout_s: float) -> tuple[Item, Item | None, bool] | None:
        """Waits for the newest image that is ready.

        Returns:
            (image, its depth or None, True if the source restarted since the last call); None after `timeout_s` or after `close`.
        """
        deadline = time.monotonic() + timeout_s
        with self._condition:
            while not self._closed:
                ready = self._ready()
                if ready is not None:
                    restarted, self._restarted = self._restarted, False
                    return (*ready, restarted)
                now = time.monotonic()
                if now >= deadline:
                    return None
                patience_s = self._images[0].arrival_s + self._wait_s - now if self._images else deadline - now
                self._condition.wait(max(min(patience_s, deadline - now), 0.0))
            return None

    def pair_figures(self) -> PairFigures | None:
        """Figures about images and depth of the last seconds; None while there are too few images."""
        with self._condition:
            return self._pairs.figures(self._slop_ns, time.monotonic())

    def close(self) -> None:
        """Wakes the worker. After this call, `take` returns None."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def _shorten(self, queue: deque[Pending[Item]], length: int) -> int:
        """Removes the oldest messages of a queue. Returns their number."""
        removed, oldest_s = 0, time.monotonic() - self._wait_s
        while len(queue) > length and (length == 1 or queue[0].arrival_s < oldest_s or len(queue) > _MOST):
            queue.popleft()
            removed += 1
        return removed

    def _depth_arrives(self) -> bool:
        return bool(self._depths) and time.monotonic() - self._depths[-1].arrival_s < _DEPTH_ALIVE_S

    def _ready(self) -> tuple[Item, Item | None] | None:
        if not self._images:
            return None
        if not self._depth_arrives():
            return self._pop(len(self._images) - 1), None
        newest_depth_ns = max(depth.stamp_ns for depth in self._depths)
        for index in reversed(range(len(self._images))):
            stamp_ns = self._images[index].stamp_ns
            nearest = min(self._depths, key=lambda depth: abs(depth.stamp_ns - stamp_ns))
            if abs(nearest.stamp_ns - stamp_ns) <= self._slop_ns:
                self._pairs.image_answered(True, time.monotonic())
                return self._pop(index), nearest.item
            # Depth arrives in the order of its stamps. After a depth with a later stamp, the depth of this image will not arrive.
            if newest_depth_ns > stamp_ns + self._slop_ns:
                return self._pop_unpaired(index)
        if time.monotonic() - self._images[0].arrival_s < self._wait_s:
            return None
        return self._pop_unpaired(len(self._images) - 1)

    def _pop_unpaired(self, index: int) -> tuple[Item, None]:
        stamp_ns = self._images[index].stamp_ns
        self.unpaired += 1
        self._pairs.image_answered(False, time.monotonic())
        self.nearest_depth_s = min(abs(depth.stamp_ns - stamp_ns) for depth in self._depths) * 1e-9
        return self._pop(index), None

    def _pop(self, index: int) -> Item:
        for _ in range(index):
            self._images.popleft()
            self.superseded += 1
        return self._images.popleft().item

    def _clear(self) -> None:
        self._images.clear()
        self._depths.clear()
        self._pairs.clear()
