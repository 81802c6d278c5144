"""The controls of the page: the image with its plots on the left, the state and the layers on the right."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import viser

from hand_mesh_ros.core.types import HandEstimate
from hand_mesh_ros.viewer.hand_scene import SceneLayers
from hand_mesh_ros.viewer.history import History, spread_mm
from hand_mesh_ros.viewer.live_settings import Change, LiveSettings
from hand_mesh_ros.viewer.overlay import SIDE_COLOURS, OverlayLayers, draw_overlay
from hand_mesh_ros.viewer.playback import Playback
from hand_mesh_ros.viewer.snapshot import Snapshot
from hand_mesh_ros.viewer.view_point import DIRECTIONS

# Widths of the image on the page [px]. The page does not enlarge small images itself.
_WIDTHS = {False: 460, True: 860}
_NO_IMAGE = np.full((360, 640, 3), 40, np.uint8)


class Panel:
    """Reads the controls, and shows the image and the state."""

    def __init__(
        self, server: viser.ViserServer, on_control: Callable[[], None], on_view: Callable[[str], None], on_setting: Change
    ) -> None:
        """Creates the controls.

        Args:
            server: server of the page.
            on_control: called after each change of a layer or the theme.
            on_view: called with a direction of `DIRECTIONS` after a click.
            on_setting: called with name and value after each change of a setting of the chain.
        """
        self._server, gui = server, server.gui
        gui.main_panel.dock_right()
        gui.main_panel.set_width(360)
        gui.set_panel_label("hand_mesh_ros")
        self._side_panel = gui.add_panel()
        self._side_panel.dock_left()
        with self._side_panel.add_tab("Image"):
            self._image = gui.add_image(_NO_IMAGE, format="jpeg", jpeg_quality=80)
            self._is_large = gui.add_checkbox("Large image", False)
            self.history = History(gui)
        self._status = gui.add_markdown("waiting for images")
        self.playback = Playback(server, lambda: self.is_dark)
        with gui.add_folder("Hands"):
            self._hands = gui.add_markdown("*no hand*")
        tabs = gui.add_tab_group()
        with tabs.add_tab("Layers"):
            self._add_layers(gui, on_view)
        self._settings_tab = tabs.add_tab("Settings")
        self._on_setting = on_setting
        self.settings: LiveSettings | None = None
        self._apply_theme()
        self._apply_width()
        self._theme.on_update(lambda _: self._apply_theme())
        self._is_large.on_update(lambda _: self._apply_width())
        for control in (*self._layers(), self._theme, self._is_large):
            control.on_update(lambda _: on_control())

    @property
    def is_dark(self) -> bool:
        """Whether the theme is dark."""
        return self._theme.value == "dark"

    @property
    def may_follow(self) -> bool:
        """Whether the view moves along with the hands."""
        return self._follow.value

    @property
    def shows_camera(self) -> bool:
        """Whether the scene shows the camera and its image."""
        return self._camera.value

    @property
    def shows_frames(self) -> bool:
        """Whether the scene shows the axes of the frames."""
        return self._frames.value

    @property
    def shows_depth(self) -> bool:
        """Whether the scene shows depth as points."""
        return self._depth.value

    def scene_layers(self) -> SceneLayers:
        """Returns the visible parts of a hand."""
        return SceneLayers(
            self._surface.value,
            self._opacity.value,
            self._skeleton.value,
            self._hypotheses.value,
            self._ellipsoids.value,
            self._spread.value,
            self.is_dark,
        )

    def show(self, snapshot: Snapshot) -> None:
        """Shows the image with the overlay, the state and the hands as text."""
        self._status.content = _status_text(snapshot)
        self._hands.content = "\n\n".join(map(_hand_text, snapshot.hands)) or "*no hand*"
        if snapshot.depth_m is not None and not self._depth.visible:
            self._depth.visible = True
        if snapshot.rgb is None:
            return
        layers = OverlayLayers(self._keypoints.value, self._reprojection.value, self._reprojected_hypotheses.value)
        drawn = draw_overlay(snapshot.rgb, snapshot.hands, snapshot.camera_matrix, snapshot.distortion, layers)
        self._image.image = _of_width(drawn, _WIDTHS[self._is_large.value])

    def show_settings(self, values: dict[str, int | float]) -> None:
        """Shows the values of the chain's settings. The first call creates the sliders."""
        if self.settings is None:
            with self._settings_tab:
                self.settings = LiveSettings(self._server.gui, self._on_setting)
        self.settings.show(values)

    def _add_layers(self, gui: viser.GuiApi, on_view: Callable[[str], None]) -> None:
        view = gui.add_button_group("View", tuple(DIRECTIONS), hint="shows the hands from this direction, as large as possible")
        view.on_click(lambda event: on_view(event.target.value))
        self._follow = gui.add_checkbox("Follow hands", True, hint="keeps the hands in the middle of the view")
        self._theme = gui.add_dropdown("Theme", ("dark", "light"), initial_value="dark")
        with gui.add_folder("Scene"):
            self._surface = gui.add_checkbox("Surface", True)
            self._opacity = gui.add_slider("Opacity", min=0.1, max=1.0, step=0.05, initial_value=1.0)
            self._skeleton = gui.add_checkbox("Skeleton", True, hint="lies within the surface: reduce the opacity")
            self._hypotheses = gui.add_checkbox("Hypotheses", True, hint="likely hypotheses are brighter")
            self._ellipsoids = gui.add_dropdown(
                "Ellipsoids",
                ("hand's shape", "position in space", "none"),
                initial_value="hand's shape",
                hint="contain 90 % of the probability",
            )
            self._spread = gui.add_checkbox(
                "Vertex uncertainty", False, hint="standard deviation, from blue (0 mm) to red (10 mm)"
            )
            self._camera = gui.add_checkbox("Camera", True, hint="the field of view of the camera with its image")
            self._frames = gui.add_checkbox("Frames", True, hint="x red, y green, z blue")
            # Without depth this control would do nothing.
            self._depth = gui.add_checkbox("Depth", False, visible=False, hint="the depth image as points")
        with gui.add_folder("Image"):
            self._keypoints = gui.add_checkbox("Keypoints", True, hint="keypoints of the detector")
            self._reprojection = gui.add_checkbox("Estimate", True, hint="the estimated skeleton, projected into the image")
            self._reprojected_hypotheses = gui.add_checkbox("All hypotheses", True)

    def _layers(self) -> Sequence[viser.GuiInputHandle]:
        scene = (self._surface, self._opacity, self._skeleton, self._hypotheses, self._ellipsoids, self._spread)
        around = (self._camera, self._frames, self._depth)
        return (*scene, *around, self._keypoints, self._reprojection, self._reprojected_hypotheses)

    def _apply_theme(self) -> None:
        self._server.gui.configure_theme(dark_mode=self.is_dark, show_logo=False, show_share_button=False)

    def _apply_width(self) -> None:
        self._side_panel.set_width(_WIDTHS[self._is_large.value] + 30)


def _of_width(rgb: np.ndarray, width: int) -> np.ndarray:
    size = (width, max(1, round(rgb.shape[0] * width / rgb.shape[1])))
    return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if width < rgb.shape[1] else cv2.INTER_LINEAR)


def _status_text(snapshot: Snapshot) -> str:
    rows = "\n".join(f"| {name.replace(' ', chr(0xA0))} | {value} |" for name, value in snapshot.facts.items())
    return f"**{snapshot.headline}**\n\n| | |\n|---|---|\n{rows}"


def _hand_text(hand: HandEstimate) -> str:
    red, green, blue = SIDE_COLOURS[hand.handedness]
    place = "relative to the wrist: the camera is not calibrated"
    if hand.scale_source != "none":
        wrist_cm = ", ".join(f"{100 * value:.1f}" for value in hand.wrist_pose[:3, 3])
        place = f"wrist at ({wrist_cm}) cm  \nscale from {hand.scale_source} ± {100 * hand.scale_rel_std:.0f} %"
    return (
        f'<span style="color:rgb({red},{green},{blue})">{hand.handedness}</span> {hand.handedness_prob:.2f} · '
        f"score {hand.score:.2f} · {hand.state} · id {hand.track_id}  \n"
        f"{place} · reprojection {hand.reprojection_px:.1f} px  \n"
        f"joints ± {spread_mm(hand):.1f} mm · {len(hand.weights)} hypotheses in {hand.n_modes} mode{'s' * (hand.n_modes != 1)}"
    )
