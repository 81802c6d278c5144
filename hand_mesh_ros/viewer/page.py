"""A browser page: hands with their uncertainty in a 3D scene, the image with an overlay, plots and controls."""

import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout

import numpy as np
import viser

from hand_mesh_ros.core.types import HandEstimate, Side
from hand_mesh_ros.viewer.hand_scene import HandDrawing
from hand_mesh_ros.viewer.panel import Panel
from hand_mesh_ros.viewer.snapshot import Snapshot
from hand_mesh_ros.viewer.surroundings import Surroundings
from hand_mesh_ros.viewer.view_point import ViewPoint

Place = tuple[Side, int]


class Viewer:
    """The page. Check `is_watched` before drawing, to save work without a browser."""

    def __init__(self, host: str, port: int, on_setting: Callable[[str, int | float], None] = lambda name, value: None) -> None:
        """Opens the page.

        Args:
            host: address of the page; "127.0.0.1" allows access only from this machine.
            port: wanted port; if the port is in use, the page uses the next free port.
            on_setting: called in another thread with name and value after the user changed a setting of the chain. The page has
                controls for the settings after the first call of `show_settings`.

        Raises:
            ValueError: if this machine does not have the address `host`.
        """
        _check_host(host)
        with redirect_stdout(None):  # viser prints a banner even if `verbose` is False
            self._server = viser.ViserServer(host=host, port=port, label="hand_mesh_ros", verbose=False)
        self.address = f"http://{f'[{host}]' if ':' in host else host}:{self._server.get_port()}"
        self._faces: np.ndarray | None = None
        self._drawings: dict[Place, HandDrawing] = {}
        self._last: Snapshot | None = None
        # Controls draw in threads of the server.
        self._lock = threading.RLock()
        self._surroundings = Surroundings(self._server.scene)
        self._view_point = ViewPoint(self._server)
        self._panel = Panel(self._server, self._redraw, self._look, on_setting)

    @property
    def is_watched(self) -> bool:
        """Whether a browser is connected."""
        return bool(self._server.get_clients())

    def takes_next(self) -> bool:
        """Returns whether to show the next snapshot. While the user pauses the page, this is true once per step."""
        return self._panel.playback.takes_next()

    def close(self) -> None:
        """Closes the page."""
        with redirect_stdout(None):
            self._server.stop()

    def set_faces(self, faces: np.ndarray) -> None:
        """Sets the triangles, (F, 3), of a right hand. Each drawn hand sends the triangles to the browser once."""
        with self._lock:
            if self._faces is not None and np.array_equal(faces, self._faces):
                return
            self._faces = faces
            for drawing in self._drawings.values():
                drawing.remove()
            self._drawings.clear()

    def show(self, snapshot: Snapshot) -> None:
        """Draws a snapshot. Hands that are missing from the snapshot disappear."""
        with self._lock, self._server.atomic():
            self._last = snapshot
            self._panel.history.add(snapshot)
            self._draw(snapshot)
        self._panel.playback.scene_changed()

    def show_settings(self, values: Mapping[str, int | float]) -> None:
        """Shows the values that the chain uses for its settings."""
        with self._lock:
            self._panel.show_settings(dict(values))

    def warn(self, text: str) -> None:
        """Shows a message for a few seconds in all browsers."""
        for client in self._server.get_clients().values():
            client.add_notification("hand_mesh_ros", text, color="red", auto_close_seconds=8.0)

    def _draw(self, snapshot: Snapshot) -> None:
        panel = self._panel
        panel.show(snapshot)
        self._surroundings.show_camera(snapshot, panel.shows_camera)
        self._surroundings.show_depth(snapshot, panel.shows_depth)
        hands = _places(snapshot.hands)
        names = [(f"{side}_hand" + (f"_{number}" if number else ""), hand) for (side, number), hand in hands.items()]
        self._surroundings.show_frames(names, panel.shows_frames)
        self._show_hands(hands)
        self._view_point.update(snapshot.hands, panel.may_follow)

    def _show_hands(self, hands: dict[Place, HandEstimate]) -> None:
        layers = self._panel.scene_layers()
        for place, hand in hands.items():
            if place not in self._drawings:
                name = f"/hands/{place[0]}_{place[1]}"
                self._drawings[place] = HandDrawing(self._server.scene, name, place[0], self._faces)
            self._drawings[place].show(hand, layers)
        for place, drawing in self._drawings.items():
            if place not in hands:
                drawing.hide()

    def _redraw(self) -> None:
        """Applies changed controls also while no new image arrives."""
        with self._lock, self._server.atomic():
            self._surroundings.set_theme(self._panel.is_dark)
            if self._last is not None:
                self._draw(self._last)

    def _look(self, direction: str) -> None:
        with self._lock:
            self._view_point.look(direction, self._last.hands if self._last else [])


def _places(hands: Sequence[HandEstimate]) -> dict[Place, HandEstimate]:
    """Returns the hands by side and number. Drawings belong to places, not to tracks: a new track needs no new triangles."""
    places: dict[Place, HandEstimate] = {}
    for hand in hands:
        places[hand.handedness, sum(side == hand.handedness for side, _ in places)] = hand
    return places


def _check_host(host: str) -> None:
    """Opens a free port for a moment, because viser tries all ports without an end if the address is wrong."""
    try:
        family = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][0]
        socket.create_server((host, 0), family=family).close()
    except (OSError, UnicodeError) as error:
        raise ValueError(
            f"host {host!r} is no address of this machine: use 127.0.0.1 for this machine alone, or 0.0.0.0 for all networks"
        ) from error
