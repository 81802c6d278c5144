"""A headless Chromium that the tests drive over its DevTools protocol."""

import base64
import itertools
import json
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from websockets.sync.client import connect

PROGRAM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
# The page draws with WebGL. This software renderer needs no GPU.
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
    "about:blank",
)


class Browser:
    """One window."""

    def __init__(self, profile: Path, size: tuple[int, int]) -> None:
        """Starts the program with an empty profile folder. The size of the window is in pixels."""
        command = [PROGRAM, f"--user-data-dir={profile}", *_OPTIONS]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for line in self._process.stderr:
            if found := re.search(r"DevTools listening on ws://([^/]+)", line):
                break
        else:
            raise RuntimeError(f"{PROGRAM} ended with exit code {self._process.wait()}")
        with urllib.request.urlopen(f"http://{found.group(1)}/json", timeout=10) as answer:
            tab = next(tab for tab in json.load(answer) if tab["type"] == "page")
        self._socket = connect(tab["webSocketDebuggerUrl"], max_size=None)
        self._numbers = itertools.count(1)
        self._call("Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=1, mobile=False)

    def open(self, address: str) -> None:
        """Opens a page and waits until it is loaded."""
        self._call("Page.navigate", url=address)
        is_loaded = f"location.href.startsWith({address!r}) && document.readyState == 'complete'"
        assert wait_for(lambda: self.evaluate(is_loaded), 60.0), f"{address} does not load"

    def evaluate(self, script: str) -> Any:
        """Returns the value of a JavaScript expression in the page."""
        return self._call("Runtime.evaluate", expression=script, returnByValue=True).get("result", {}).get("value")

    def picture(self) -> np.ndarray:
        """Returns the window as rgb, (H, W, 3) uint8."""
        data = base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"])
        return cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)

    def boxes(self, selector: str) -> list[tuple[int, ...]]:
        """Returns x, y, width and height in pixels of all elements that match, the largest first."""
        script = (
            f"JSON.stringify([...document.querySelectorAll({selector!r})].map(e => e.getBoundingClientRect())"
            ".map(r => [r.x, r.y, r.width, r.height]))"
        )
        found = [tuple(round(value) for value in box) for box in json.loads(self.evaluate(script))]
        return sorted(found, key=lambda box: -box[2] * box[3])

    def box(self, selector: str) -> tuple[int, ...]:
        """Returns x, y, width and height in pixels of the largest element that matches."""
        return self.boxes(selector)[0]

    def close(self) -> None:
        """Ends the program."""
        self._socket.close()
        self._process.terminate()
        self._process.communicate(timeout=20)

    def _call(self, method: str, **parameters: object) -> dict:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv(timeout=60))
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]


def wait_for(is_met: Callable[[], Any], timeout_s: float) -> Any:
    """Calls `is_met` until it returns something true, which is returned; else its last answer."""
    deadline = time.monotonic() + timeout_s
    while not (answer := is_met()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return answer
