"""Pause, single steps and recordings of the page."""

import threading
import time
from collections.abc import Callable

import viser

# A recording holds its scenes in memory [s].
_LONGEST_S = 60.0
_RECORD, _STOP = "Record the 3D scene", "Stop and save"


class Playback:
    """Buttons for pause, step and record in the current container of the panel."""

    def __init__(self, server: viser.ViserServer, is_dark: Callable[[], bool]) -> None:
        """Creates the buttons. `is_dark` tells the current theme of the page."""
        self._server, self._is_dark = server, is_dark
        self._lock = threading.Lock()
        self._is_paused, self._steps = False, 0
        self._recorder: viser.infra.StateSerializer | None = None
        self._started_s = self._last_s = 0.0
        self._buttons = server.gui.add_button_group(
            "Images", ("Play", "Pause", "Step"), hint="Step shows the next image and then pauses"
        )
        self._buttons.on_click(lambda event: self.press(event.target.value))
        self._record = server.gui.add_button(
            _RECORD, hint=f"saves up to {_LONGEST_S:.0f} s as a web page that any browser opens and plays"
        )
        self._record.on_click(lambda _: self.start_or_save())

    def press(self, button: str) -> None:
        """Handles a click on "Play", "Pause" or "Step"."""
        with self._lock:
            self._is_paused = button != "Play"
            self._steps = self._steps + 1 if button == "Step" else 0

    def takes_next(self) -> bool:
        """Returns whether the page takes the next image. A pause takes one image per step."""
        with self._lock:
            if not self._is_paused:
                return True
            if not self._steps:
                return False
            self._steps -= 1
            return True

    def scene_changed(self) -> None:
        """Stores the time of a drawing in the recording. Call this function after each drawing."""
        with self._lock:
            recorder = self._recorder
            if recorder is None:
                return
            now_s = time.monotonic()
            recorder.insert_sleep(now_s - self._last_s)
            self._last_s = now_s
            length_s = now_s - self._started_s
        self._record.label = f"{_STOP} ({length_s:.0f} s)"
        if length_s > _LONGEST_S:
            self.start_or_save()

    def start_or_save(self) -> None:
        """Starts a recording, or ends the recording and sends its file to all browsers."""
        page = self.start_or_end()
        if page is not None:
            name = time.strftime("hand_mesh_%Y%m%d_%H%M%S.html")
            self._server.send_file_download(name, page.encode(), save_immediately=True)

    def start_or_end(self) -> str | None:
        """Starts a recording and returns None, or ends the recording and returns it as a web page."""
        with self._lock:
            recorder, self._recorder = self._recorder, None
            if recorder is None:
                self._started_s = self._last_s = time.monotonic()
                self._recorder = self._server.get_scene_serializer()
        self._record.label = f"{_STOP} (0 s)" if recorder is None else _RECORD
        return None if recorder is None else recorder.as_html(dark_mode=self._is_dark())
