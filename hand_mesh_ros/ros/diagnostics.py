"""The content of /diagnostics: counters that any thread may increment, and their summary once a second.

This module does not depend on message contents or on the stages of the core. The numbers help to find out why no hand arrives.
"""

import math
import threading
import time
from collections import deque
from dataclasses import dataclass, field

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from hand_mesh_ros.core.stream.memory import resident_mb

# No image for this time is an error. With a summary each second, the error is visible within 3 s [s].
SILENCE_S = 1.5
# A problem stays in the diagnostics for this time [s].
_PRESENT_S = 2.0
_WINDOW = 150


@dataclass(frozen=True)
class Problem:
    """Text and time of an error or a warning."""

    text: str
    at_s: float = field(default_factory=time.monotonic)

    @property
    def is_present(self) -> bool:
        return time.monotonic() - self.at_s < _PRESENT_S


class Health:
    """Thread-safe record of the state of the node."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._received = self._answered = 0
        self._counted = (0, 0, time.monotonic())
        self._latencies_s: deque[float] = deque(maxlen=_WINDOW)
        self._stages_ms: dict[str, deque[float]] = {}
        self._last_image_s = time.monotonic()
        # By subject, so that one problem does not hide another one.
        self._errors: dict[str, Problem] = {}
        self._warnings: dict[str, Problem] = {}
        self.failure = ""  # reason why the node cannot work, or empty
        self.advice = ""  # lasting warning about how the node was started, or empty
        self.rest = ""  # reason why the node is inactive without an error, or empty
        self.facts: dict[str, str] = {}  # constant values: model, licence, device
        self.refused = self.stale = 0

    def begin(self) -> None:
        """Starts a new measurement when the node starts to receive images: drops all earlier measurements."""
        with self._lock:
            self._last_image_s = time.monotonic()
            self._latencies_s.clear()
            self._stages_ms.clear()

    def image_received(self) -> None:
        """Counts a message on the image topic, good or bad."""
        with self._lock:
            self._received += 1
            self._last_image_s = time.monotonic()

    def image_answered(self, latency_s: float, stages_ms: dict[str, float]) -> None:
        """Counts a published result with its age (NaN for a foreign clock) and the time per stage."""
        with self._lock:
            self._answered += 1
            if not math.isnan(latency_s):
                self._latencies_s.append(latency_s)
            for stage, duration in stages_ms.items():
                self._stages_ms.setdefault(stage, deque(maxlen=_WINDOW)).append(duration)

    def refuse(self, text: str, subject: str = "") -> None:
        """Records an unusable input. The text replaces the last text about the same subject."""
        with self._lock:
            self.refused += 1
            self._errors[subject] = Problem(text)

    def drop_stale(self) -> None:
        """Counts an image that was dropped because of its age."""
        with self._lock:
            self.stale += 1

    def warn(self, text: str, subject: str = "") -> None:
        """Records a condition that makes the results worse. The text replaces the last text about the same subject."""
        with self._lock:
            self._warnings[subject] = Problem(text)

    @property
    def is_silent(self) -> bool:
        """Returns whether no image has arrived for `SILENCE_S`."""
        return time.monotonic() - self._last_image_s > SILENCE_S

    def summary(self, silence: str, counters: dict[str, object]) -> tuple[bytes, str, dict[str, object]]:
        """Returns the level, one line of text, and the values of the last second.

        Args:
            silence: the likely reason why no image arrives; empty if one has just arrived.
            counters: additional values.
        """
        with self._lock:
            level, message = self._verdict(silence)
            received, answered, since_s = self._counted
            elapsed_s = max(time.monotonic() - since_s, 1e-3)
            values: dict[str, object] = {
                "images in [Hz]": f"{(self._received - received) / elapsed_s:.1f}",
                "results out [Hz]": f"{(self._answered - answered) / elapsed_s:.1f}",
                "images": self._received,
                "results": self._answered,
                "refused": self.refused,
                "too old": self.stale,
                **counters,
                **_percentiles("age of results", [1e3 * age for age in self._latencies_s]),
            }
            for stage, durations in self._stages_ms.items():
                values[f"{stage} [ms]"] = f"{np.median(durations):.2f}"
            values["memory [MB]"] = f"{resident_mb():.0f}"
            values["last error"] = _last(self._errors)
            values["last warning"] = _last(self._warnings)
            self._counted = (self._received, self._answered, time.monotonic())
            return level, message, {**values, **self.facts}

    def _verdict(self, silence: str) -> tuple[bytes, str]:
        if self.failure:
            return DiagnosticStatus.ERROR, self.failure
        if self.rest:
            return DiagnosticStatus.WARN, self.rest
        warnings = _present(self._warnings)
        # An error does not hide a warning: the warning may name the cause of the error.
        if errors := _present(self._errors) or (silence if self.is_silent else ""):
            return DiagnosticStatus.ERROR, _joined(errors, warnings)
        if advice := _joined(warnings, self.advice):
            return DiagnosticStatus.WARN, advice
        return DiagnosticStatus.OK, "working"


def to_message(stamp: object, name: str, level: bytes, message: str, values: dict[str, object]) -> DiagnosticArray:
    """Returns one status as a message for /diagnostics."""
    status = DiagnosticStatus(level=level, name=name, message=message, hardware_id="hand_mesh_ros")
    status.values = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
    array = DiagnosticArray(status=[status])
    array.header.stamp = stamp
    return array


def _present(problems: dict[str, Problem]) -> str:
    """All present problems in one line; empty if there are none."""
    return _joined(*(problem.text for problem in problems.values() if problem.is_present))


def _joined(*texts: str) -> str:
    return " | ".join(filter(None, texts))


def _last(problems: dict[str, Problem]) -> str:
    return max(problems.values(), key=lambda problem: problem.at_s).text if problems else ""


def _percentiles(name: str, values: list[float]) -> dict[str, str]:
    if not values:
        return {f"{name} p50 [ms]": "", f"{name} p95 [ms]": ""}
    middle, high = np.percentile(values, [50, 95])
    return {f"{name} p50 [ms]": f"{middle:.1f}", f"{name} p95 [ms]": f"{high:.1f}"}
