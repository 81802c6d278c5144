"""Controls for settings of the chain that may change while the chain runs."""

from collections.abc import Callable, Mapping
from dataclasses import Field, fields
from typing import Any

import viser

from hand_mesh_ros.core.config import PipelineConfig

# Setting and its label. Only settings with an effect in every source of images are here.
LABELS = {
    "n_hypotheses": "Hypotheses",
    "joint_steps": "Joint steps",
    "mesh_steps": "Mesh steps",
    "smooth_cutoff_hz": "Smoothing [Hz]",
    "smooth_beta": "Smoothing, speed",
    "predict_ms": "Prediction [ms]",
    "min_score": "Lowest score",
    "min_palm_score": "Lowest palm score",
    "min_hand_px": "Smallest hand [px]",
    "search_budget_ms": "Search time [ms]",
    "user_hand_scale": "Hand size",
}
# Upper ends of sliders. The limits of these settings are too wide for a slider; numbers up to the limits are still possible.
_SLIDER_ENDS = {"joint_steps": 20, "mesh_steps": 20, "smooth_cutoff_hz": 20.0, "smooth_beta": 100.0, "min_hand_px": 300.0}
_SLIDER_ENDS |= {"search_budget_ms": 200.0}

Change = Callable[[str, int | float], None]


class LiveSettings:
    """Sliders in the current container of the panel."""

    def __init__(self, gui: viser.GuiApi, on_change: Change) -> None:
        """Creates one slider per setting of `LABELS`, at the default value. `on_change` gets name and value from the user."""
        self._on_change = on_change
        items = {item.name: item for item in fields(PipelineConfig)}
        self._sliders = {name: self._slider(gui, items[name], label) for name, label in LABELS.items()}

    def show(self, values: Mapping[str, Any]) -> None:
        """Moves the sliders to the values that the chain uses. Other names are ignored."""
        for name, slider in self._sliders.items():
            if name in values and slider.value != values[name]:
                # The slider would refuse a value beyond its end.
                slider.max = max(slider.max, values[name])
                slider.value = values[name]

    def _slider(self, gui: viser.GuiApi, item: Field, label: str) -> viser.GuiSliderHandle:
        low, high = item.metadata["limits"]
        kind = type(item.default)
        high = _SLIDER_ENDS.get(item.name, high)
        step = 1 if kind is int else 0.05 if high <= 2 else 0.5
        slider = gui.add_slider(
            label,
            min=kind(low),
            max=kind(high),
            step=step,
            initial_value=item.default,
            hint=f"{item.name}: {item.metadata['doc']}",
        )

        @slider.on_update
        def _(event: viser.GuiEvent) -> None:
            # Values that `show` sets come without a browser.
            if event.client is not None:
                self._on_change(item.name, kind(slider.value))

        return slider
