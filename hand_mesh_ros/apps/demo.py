"""The whole graph in one command: camera, hand_mesh_node and viewer as processes that talk over ROS 2.

python -m hand_mesh_ros.apps.demo --source synthetic      # or a video file, or the number of a webcam
"""

import argparse
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from hand_mesh_ros.ros.tools import launcher

NAMESPACE = "/hand_mesh"
_HOST = "127.0.0.1"
_PORTS_TRIED = 20
_START_S = 60.0
# A process that is told to end gets this long before it is killed [s].
_STOP_S = 5.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Graph:
    """The processes of the demo; use as a context so that none is left behind."""

    def __init__(self) -> None:
        self._processes: dict[str, subprocess.Popen] = {}
        self._environment = dict(os.environ)
        self._environment.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")

    def __enter__(self) -> "Graph":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, module: str, **parameters: object) -> None:
        """Starts a node of the package with parameters."""
        # JSON is YAML: a quoted "0" stays a text.
        given = [word for name, value in parameters.items() for word in ("-p", f"{name}:={json.dumps(value)}")]
        command = launcher.command(module, ["-r", f"__ns:={NAMESPACE}", *given])
        self._processes[module] = subprocess.Popen(command, env=self._environment, preexec_fn=_end_with_parent)

    def ended(self) -> dict[str, int]:
        """Exit codes of the nodes that are no longer running."""
        return {name: process.returncode for name, process in self._processes.items() if process.poll() is not None}

    def stop(self) -> dict[str, int]:
        """Ends all nodes, the last one first, and waits for them; their exit codes."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in reversed(self._processes.values()):
                if process.poll() is None:
                    process.send_signal(number)
            deadline = time.monotonic() + _STOP_S
            while len(self.ended()) < len(self._processes) and time.monotonic() < deadline:
                time.sleep(0.05)
        return self.ended()


class Stop(Exception):
    """The user or a supervisor asked the demo to end."""


def main(arguments: list[str] | None = None) -> int:
    """Runs until Ctrl-C, the end of `--duration`, or the end of a node; 0 if all nodes worked and ended well."""
    options = _parser().parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _raise_stop)
    port = _free_port(options.port)
    if port is None:
        last = options.port + _PORTS_TRIED - 1
        print(f"demo: none of the ports {options.port} to {last} is free; give another --port", file=sys.stderr)
        return 1
    source = str(Path(options.source).resolve()) if Path(options.source).is_file() else options.source
    with Graph() as graph:
        try:
            graph.start("viewer_node", port=port, host=_HOST)
            graph.start("hand_mesh_node")
            graph.start("camera_node", source=source, rate_hz=options.rate, loop=True)
            ended = _wait_for_page(graph, port) or _watch(graph, options.duration)
        except Stop:
            ended = {}
        # From here on further Ctrl-C must not interrupt the clean-up.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        for name, code in ended.items():
            print(f"demo: {name} ended with exit code {code}, see its last lines above; stopping the others", file=sys.stderr)
        # A node that is still importing cannot handle signals yet; to be ended by one then is no failure.
        well = (0, -signal.SIGINT, -signal.SIGTERM)
        failed = {name: code for name, code in graph.stop().items() if code not in well and name not in ended}
        for name, code in failed.items():
            print(f"demo: {name} did not end well: exit code {code}", file=sys.stderr)
    return 1 if ended or failed else 0


def _wait_for_page(graph: Graph, port: int) -> dict[str, int]:
    """Prints the address once the page answers; exit codes if a node ended before."""
    address = f"http://{_HOST}:{port}"
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if graph.ended():
            return graph.ended()
        try:
            urllib.request.urlopen(address, timeout=1.0).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
            continue
        print(f"\n  Open {address} in a browser. Ctrl-C ends the demo.\n", flush=True)
        return {}
    print(f"demo: the page at {address} does not answer after {_START_S:.0f} s", file=sys.stderr)
    return {"viewer_node": -1}


def _watch(graph: Graph, duration_s: float | None) -> dict[str, int]:
    """Waits; exit codes of nodes that ended, nothing at the end of the time."""
    deadline = time.monotonic() + (duration_s or float("inf"))
    while time.monotonic() < deadline:
        if graph.ended():
            return graph.ended()
        time.sleep(0.1)
    return {}


def _free_port(wanted: int) -> int | None:
    """The first port from `wanted` on that nobody listens on."""
    for port in range(wanted, wanted + _PORTS_TRIED):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_HOST, port))
            except OSError:
                continue
        if port != wanted:
            print(f"demo: port {wanted} is taken, using {port}")
        return port
    return None


def _end_with_parent() -> None:
    """Lets Linux end the calling process when its parent dies: a demo that is killed leaves no nodes behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _raise_stop(*_: object) -> None:
    raise Stop


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default="synthetic", help="synthetic, a video file, or the number of a webcam")
    parser.add_argument("--port", type=int, default=8080, help="of the viewer's page; the next free one if it is taken")
    parser.add_argument("--rate", type=float, default=30.0, help="images per second; 0 for the source's own")
    parser.add_argument("--duration", type=float, help="end after so many seconds")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
