"""Plots of the last seconds: latency of the results, and uncertainty of the joints of each hand."""

from collections import deque

import numpy as np
import viser
from viser import uplot

from hand_mesh_ros.core.types import HandEstimate
from hand_mesh_ros.viewer.overlay import SIDE_COLOURS
from hand_mesh_ros.viewer.snapshot import Snapshot

_LENGTH_S = 20.0
# The browser draws the plots anew at most this often [Hz].
_RATE_HZ = 4.0
_MOST_POINTS = 600
_LEAST_CHANGE_S = 1e-3
_HEIGHT_PX = 135
_GREY = "#8a909c"


class History:
    """Two plots in the current container of the panel."""

    def __init__(self, gui: viser.GuiApi) -> None:
        """Creates empty plots."""
        self._rows: deque[tuple[float, float, float, float]] = deque(maxlen=_MOST_POINTS)
        self._drawn_s = -np.inf
        self._extra_s = 0.0
        self._latency = _plot(gui, "Latency [ms]", [("result", _GREY)])
        colours = [(side, "rgb({},{},{})".format(*SIDE_COLOURS[side])) for side in ("left", "right")]
        self._spread = _plot(gui, "Uncertainty of the joints [mm]", colours)

    def add(self, snapshot: Snapshot) -> None:
        """Adds the values of a snapshot. A stamp that jumps back starts the plots again."""
        now_s = snapshot.stamp_s
        if self._rows and now_s < self._rows[-1][0]:
            self._rows.clear()
            self._drawn_s = -np.inf
        spreads = {hand.handedness: spread_mm(hand) for hand in reversed(snapshot.hands)}
        self._rows.append((now_s, snapshot.latency_ms, spreads.get("left", np.nan), spreads.get("right", np.nan)))
        while self._rows[0][0] <= now_s - _LENGTH_S:
            self._rows.popleft()
        if now_s - self._drawn_s >= 1.0 / _RATE_HZ:
            self._drawn_s = now_s
            self._draw()

    def _draw(self) -> None:
        # The first row sets the length of the axis. The browser draws the labels of the axis only after its length has changed.
        self._extra_s = _LEAST_CHANGE_S - self._extra_s
        start = (self._rows[-1][0] - _LENGTH_S - self._extra_s, np.nan, np.nan, np.nan)
        time_s, latency, left, right = np.array([start, *self._rows]).T
        ago_s = time_s - time_s[-1]
        _set(self._latency, ago_s, latency)
        _set(self._spread, ago_s, left, right)


def spread_mm(hand: HandEstimate) -> float:
    """Returns the standard deviation of a joint within the hand, averaged over joints and axes [mm]."""
    return float(1e3 * np.sqrt(np.trace(hand.articulation_covariance_m2, axis1=1, axis2=2) / 3).mean())


def _set(plot: viser.GuiUplotHandle, ago_s: np.ndarray, *lines: np.ndarray) -> None:
    values = np.concatenate(lines)
    scales = _scales(top(values[np.isfinite(values)]))
    # uPlot cannot find the range itself, because a missing hand gives NaN. A new range makes a new plot in the browser.
    if plot.scales != scales:
        plot.scales = scales
    plot.data = (ago_s, *lines)


def top(values: np.ndarray) -> float:
    """Returns the upper end of the axis for finite values: 1, 2 or 5 times a power of ten."""
    # A single slow image, such as the first one, must not flatten the rest.
    high = max(float(np.percentile(values, 98)) if len(values) else 1.0, 1.0)
    power = 10.0 ** np.floor(np.log10(high))
    return float(next(step for step in (1.0, 2.0, 5.0, 10.0) if step * power >= high) * power)


def _scales(high: float) -> dict[str, uplot.Scale]:
    return {"x": uplot.Scale(time=False), "y": uplot.Scale(range=(0.0, high))}


def _plot(gui: viser.GuiApi, title: str, lines: list[tuple[str, str]]) -> viser.GuiUplotHandle:
    empty = np.array([-_LENGTH_S, 0.0])
    nothing = np.full(2, np.nan)
    axis = uplot.Axis(stroke=_GREY, grid=uplot.Axis_Grid(stroke="rgba(128,134,148,0.25)", width=1))
    return gui.add_uplot(
        (empty, *(nothing for _ in lines)),
        (uplot.Series(label="s"), *(uplot.Series(label=name, stroke=colour, width=2) for name, colour in lines)),
        title=title,
        scales=_scales(1.0),
        axes=(axis, axis),
        legend=uplot.Legend(show=len(lines) > 1),
        height=_HEIGHT_PX,
        padding=(12, 24, 0, 0),
    )
