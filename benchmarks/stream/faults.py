"""Injects a random fault of the camera every few seconds, and checks how hand_mesh_node reports it and recovers.

    python -m benchmarks.stream.faults --minutes 30 --seed 0

Images, calibration and depth of a rendered hand come at 30 Hz. A fault lasts until /diagnostics names it with the right level, at
most for 4 s. A fault that must not disturb the node lasts 2.5 s, and the level must stay OK. The next fault begins 4.5 to 5.5 s
after the beginning of the fault before, or later: the level must be OK again first, and the hand must be found at its true
position. The order of the faults is random, and each fault comes equally often. The exit code is 1 if a check fails. Build the
messages first.
"""

import argparse
import math
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from benchmarks.report import say
from benchmarks.stream.camera_faults import FAULTS
from benchmarks.stream.faulty_camera import RATE_HZ, Fault, FaultyCamera
from benchmarks.stream.play import NAMESPACE, START_S, start, stop
from hand_mesh_ros.core.stream.memory import resident_mb
from hand_mesh_ros.msg import Hand, HandArray
from hand_mesh_ros.ros import qos
from hand_mesh_ros.ros.stamp import stamp_ns
from hand_mesh_ros.ros.tools.camera_node import use_shipped_transport

# Limits [s]: until the diagnostics name a fault, and until the level is OK again after the fault.
_NAMED_S, _CLEAR_S = 3.0, 8.0
# Shortest and longest time between the beginnings of two faults; longest fault; time of a harmless fault [s].
_PERIOD_S, _LONGEST_S, _HARMLESS_S = (4.5, 5.5), 4.0, 2.5
# Largest distance between the found and the true wrist [m].
_NEAR_M = 0.05
# The memory after this time is compared with the memory at the end [s]. Largest growth [MB per hour].
_WARM_UP_S, _GROWTH_MB_H = 180.0, 20.0


@dataclass(frozen=True)
class Status:
    """One diagnostics message of the node."""

    at_s: float
    level: bytes
    message: str


@dataclass(frozen=True)
class Trial:
    """What happened after one fault. Times are NaN if the event did not happen."""

    fault: Fault
    named_s: float  # from the beginning of the fault
    cleared_s: float  # from the end of the fault to the level OK
    found_s: float  # from the end of the fault to a hand at its true position
    severe: str  # the first message that is more severe than the fault; empty if there is none

    def failures(self) -> list[str]:
        """The checks that failed."""
        checks = {
            f"not named within {_NAMED_S:g} s": bool(self.fault.text) and not self.named_s <= _NAMED_S,
            f"not OK within {_CLEAR_S:g} s": not self.cleared_s <= _CLEAR_S,
            f"no hand within {_CLEAR_S:g} s": not self.found_s <= _CLEAR_S,
            f"too severe: {self.severe}": bool(self.severe),
        }
        return [f"{self.fault.name}: {text}" for text, failed in checks.items() if failed]


class Soak:
    """The camera, the process of the node, and what the node publishes."""

    def __init__(self, node: Node, process: subprocess.Popen[bytes], seed: int) -> None:
        self._camera, self._process = FaultyCamera(node, seed), process
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(node)
        self._due_s, self._began_s = time.monotonic(), time.monotonic()
        self.statuses: list[Status] = []
        self.found_s = -math.inf  # time of the last hand at its true position
        self._found_of_s = -math.inf  # the stamp of its image, by the clock of this process
        self.memory_mb: list[tuple[float, float]] = []  # seconds since the start, resident memory
        node.create_subscription(DiagnosticArray, "/diagnostics", self._diagnosed, qos.DIAGNOSTICS)
        node.create_subscription(HandArray, "hands", self._answered, qos.RESULT)

    def wait(self, is_done: Callable[[], bool], limit_s: float) -> bool:
        """Sends images until `is_done()`, at most for `limit_s`. Returns the last answer of `is_done`.

        Raises:
            SystemExit: if the process of the node has ended.
        """
        until_s = time.monotonic() + limit_s
        while not (done := is_done()) and (now_s := time.monotonic()) < until_s:
            if now_s >= self._due_s:
                self._camera.send()
                self._due_s = max(self._due_s + 1 / RATE_HZ, now_s - 1 / RATE_HZ)
            self._camera.send_late()
            self._executor.spin_once(timeout_sec=max(min(self._due_s - time.monotonic(), 0.01), 0.0))
            if self._process.poll() is not None:
                raise SystemExit(f"hand_mesh_node ended with code {self._process.returncode}")
        return done

    def is_working(self) -> bool:
        """Returns whether the last status is OK."""
        return bool(self.statuses) and self.statuses[-1].level == DiagnosticStatus.OK

    def sees_hand(self, since_s: float) -> bool:
        """Returns whether an image that was sent after this time has been answered with the hand at its true position."""
        return self._found_of_s > since_s

    def attempt(self, fault: Fault, period_s: float) -> Trial:
        """Has a fault, and recovers from it. Takes at least `period_s`."""
        seen, began_s = len(self.statuses), time.monotonic()

        def named() -> Status | None:
            return next((s for s in self.statuses[seen:] if s.level == fault.level and fault.text in s.message), None)

        self._camera.begin(fault)
        self.wait(lambda: bool(fault.text and named()), _LONGEST_S if fault.text else _HARMLESS_S)
        status, ended_s = named(), time.monotonic()
        self._camera.begin(None)
        counted = len(self.statuses)
        self.wait(lambda: self.sees_hand(ended_s), _CLEAR_S)
        found_s = self.found_s if self.sees_hand(ended_s) else math.nan
        self.wait(lambda: self.is_working() and len(self.statuses) > counted, ended_s + 1.5 * _CLEAR_S - time.monotonic())
        recovered = next((s.at_s for s in self.statuses[counted:] if s.level == DiagnosticStatus.OK), math.nan)
        self.wait(lambda: False, began_s + period_s - time.monotonic())
        severe = [status.message for status in self.statuses[seen:] if status.level > fault.level]
        return Trial(
            fault,
            status.at_s - began_s if status else math.nan,
            recovered - ended_s,
            found_s - ended_s,
            severe[0] if severe else "",
        )

    def growth_mb_h(self) -> float:
        """Slope of the resident memory in MB per hour after the warm-up; NaN if the run was too short."""
        times_s, memory_mb = np.array(self.memory_mb).T
        is_warm = times_s > _WARM_UP_S
        if not is_warm.any() or np.ptp(times_s[is_warm]) < _WARM_UP_S:
            return math.nan
        return 3600 * float(np.polyfit(times_s[is_warm], memory_mb[is_warm], 1)[0])

    def _diagnosed(self, array: DiagnosticArray) -> None:
        for status in array.status:
            if status.name.startswith(NAMESPACE):
                self.statuses.append(Status(time.monotonic(), status.level, status.message))
                self.memory_mb.append((time.monotonic() - self._began_s, resident_mb(self._process.pid)))

    def _answered(self, answer: HandArray) -> None:
        true_m = self._camera.wrist_m.get(stamp_ns(answer.header))
        if true_m is None or len(answer.hands) != 1 or answer.hands[0].state == Hand.STATE_PREDICTED:
            return
        place = answer.hands[0].wrist.pose.position
        if np.linalg.norm(np.array([place.x, place.y, place.z]) - true_m) < _NEAR_M:
            now_s = time.monotonic()
            self.found_s, self._found_of_s = now_s, now_s - (time.time() - 1e-9 * stamp_ns(answer.header))


def run(soak: Soak, seconds: float, seed: int) -> list[Trial]:
    """Injects faults for so long. Each round contains every fault once, in random order."""
    rng, trials, until_s = np.random.default_rng(seed), [], time.monotonic() + seconds
    order: list[int] = []
    while time.monotonic() < until_s:
        order = order or rng.permutation(len(FAULTS)).tolist()
        trials.append(soak.attempt(FAULTS[order.pop()], rng.uniform(*_PERIOD_S)))
        for text in trials[-1].failures():
            say(f"FAILED {time.strftime('%H:%M:%S')} {text}")
    return trials


def report(trials: Sequence[Trial], soak: Soak, seconds: float) -> None:
    """Prints one row per fault, then the memory."""
    say("| fault | times | named after [s] | OK again after [s] | hand again after [s] | failed |")
    say("|---|---|---|---|---|---|")
    for fault in FAULTS:
        of_fault = [trial for trial in trials if trial.fault is fault]
        if not of_fault:
            continue
        named = _span([trial.named_s for trial in of_fault]) if fault.text else "stays OK"
        cleared, found = _span([trial.cleared_s for trial in of_fault]), _span([trial.found_s for trial in of_fault])
        failed = sum(bool(trial.failures()) for trial in of_fault)
        say(f"| {fault.name} | {len(of_fault)} | {named} | {cleared} | {found} | {failed} |")
    memory_mb = [memory for _, memory in soak.memory_mb]
    say(f"{len(trials)} faults in {seconds / 60:.1f} minutes, one every {seconds / len(trials):.1f} s")
    say(f"memory {memory_mb[0]:.0f} MB at the start, {memory_mb[-1]:.0f} MB at the end, slope {soak.growth_mb_h():.1f} MB/h")


def _span(values: list[float]) -> str:
    return f"{np.nanmedian(values):.1f}, at most {np.nanmax(values):.1f}" if not np.all(np.isnan(values)) else "never"


def main() -> None:
    """Command line: see the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    # A separate ROS domain keeps other graphs on this machine out of the benchmark.
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    use_shipped_transport()
    rclpy.init()
    process = start("hand_mesh_node", {"threads": "1"})
    try:
        soak = Soak(Node("soak", namespace=NAMESPACE), process, args.seed)
        if not soak.wait(lambda: soak.is_working() and soak.found_s > 0, START_S):
            raise SystemExit(f"hand_mesh_node found no hand: {soak.statuses[-1:]}")
        started_s = time.monotonic()
        trials = run(soak, 60 * args.minutes, args.seed)
        report(trials, soak, time.monotonic() - started_s)
    finally:
        stop(process)
        rclpy.try_shutdown()
    if process.returncode:
        raise SystemExit(f"hand_mesh_node ended with code {process.returncode}")
    if any(trial.failures() for trial in trials) or soak.growth_mb_h() > _GROWTH_MB_H:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
