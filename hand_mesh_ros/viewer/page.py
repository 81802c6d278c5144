"""A browser page with the image and its overlay in a panel, and hands with their uncertainty in a 3D scene."""

from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field

import cv2
import numpy as np
import viser

from hand_mesh_ros.core.geometry.lens import Distortion
from hand_mesh_ros.core.types import HandEstimate, Side
from hand_mesh_ros.viewer.hand_scene import HandDrawing, SceneLayers
from hand_mesh_ros.viewer.overlay import SIDE_COLOURS, OverlayLayers, draw_overlay

# The page shrinks wider images before sending [px].
_PANEL_WIDTH = 640
_FRUSTUM_WIDTH = 320
_FRUSTUM_DEPTH_M = 0.06
_NO_IMAGE = np.full((360, 640, 3), 40, np.uint8)


@dataclass(frozen=True)
class Snapshot:
    """The data of one drawing."""

    rgb: np.ndarray | None  # (H, W, 3) uint8
    camera_matrix: np.ndarray  # (3, 3), all zero if unknown
    distortion: Distortion
    hands: Sequence[HandEstimate]
    headline: str = ""  # state of the chain, one line
    facts: dict[str, str] = field(default_factory=dict)  # rate, age, times per stage


class Viewer:
    """The page. Check `is_watched` before drawing, to save work without a browser."""

    def __init__(self, host: str, port: int) -> None:
        """Opens the page.

        Args:
            host: address of the page; "127.0.0.1" allows access only from this machine.
            port: wanted port; if the port is in use, the page uses the next free port.
        """
        with redirect_stdout(None):  # viser prints a banner even if `verbose` is False
            self._server = viser.ViserServer(host=host, port=port, label="hand_mesh_ros", verbose=False)
        self.address = f"http://{host}:{self._server.get_port()}"
        self._faces: np.ndarray | None = None
        self._drawings: dict[tuple[Side, int], HandDrawing] = {}
        self._frustum: viser.CameraFrustumHandle | None = None
        self._frustum_shape = (0.0, 0.0)
        self._build_scene()
        self._build_panel()

    @property
    def is_watched(self) -> bool:
        """Whether a browser is connected."""
        return bool(self._server.get_clients())

    def close(self) -> None:
        """Closes the page."""
        with redirect_stdout(None):
            self._server.stop()

    def set_faces(self, faces: np.ndarray) -> None:
        """Sets the triangles, (F, 3), of a right hand. Each drawn hand sends the triangles to the browser once."""
        if self._faces is not None and np.array_equal(faces, self._faces):
            return
        self._faces = faces
        for drawing in self._drawings.values():
            drawing.remove()
        self._drawings.clear()

    def show(self, snapshot: Snapshot) -> None:
        """Draws a snapshot. Hands that are missing from the snapshot disappear."""
        with self._server.atomic():
            self._show_image(snapshot)
            self._show_hands(snapshot.hands)
            self._status.content = _status_text(snapshot)
            self._hands_text.content = "\n\n".join(map(_hand_text, snapshot.hands)) or "*no hand*"

    def _build_scene(self) -> None:
        scene = self._server.scene
        scene.set_up_direction("-y")
        camera = self._server.initial_camera
        camera.position, camera.look_at, camera.up = (0.27, -0.14, 0.13), (-0.02, 0.01, 0.38), (0.0, -1.0, 0.0)
        scene.add_frame("/camera", axes_length=0.03, axes_radius=0.0015)
        # The floor below the hand shows the scale, with cells of 5 cm.
        scene.add_grid(
            "/floor",
            width=1.2,
            height=1.2,
            plane="xz",
            cell_size=0.05,
            section_size=0.25,
            cell_color=(75, 80, 88),
            section_color=(100, 106, 116),
            position=(0.0, 0.22, 0.5),
        )

    def _build_panel(self) -> None:
        gui = self._server.gui
        gui.configure_theme(control_width="large", dark_mode=True, show_logo=False, show_share_button=False)
        gui.main_panel.dock_right()
        gui.set_panel_label("hand_mesh_ros")
        self._image = gui.add_image(_NO_IMAGE, format="jpeg", jpeg_quality=80)
        self._status = gui.add_markdown("waiting for images")
        with gui.add_folder("Hands"):
            self._hands_text = gui.add_markdown("*no hand*")
        with gui.add_folder("Image layers"):
            self._keypoints = gui.add_checkbox("Keypoints", True, hint="keypoints of the detector")
            self._reprojection = gui.add_checkbox("Estimate", True, hint="the estimated skeleton, projected into the image")
            self._reprojected_hypotheses = gui.add_checkbox("Hypotheses", True)
        with gui.add_folder("3D layers"):
            self._surface = gui.add_checkbox("Surface", True)
            self._opacity = gui.add_slider("Opacity", min=0.1, max=1.0, step=0.05, initial_value=0.55)
            self._skeleton = gui.add_checkbox("Skeleton", True)
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
            self._camera_image = gui.add_checkbox("Image at the camera", True)

    def _show_image(self, snapshot: Snapshot) -> None:
        rgb = snapshot.rgb
        if rgb is None:
            return
        layers = OverlayLayers(self._keypoints.value, self._reprojection.value, self._reprojected_hypotheses.value)
        drawn = draw_overlay(rgb, snapshot.hands, snapshot.camera_matrix, snapshot.distortion, layers)
        self._image.image = _at_most(drawn, _PANEL_WIDTH)
        height, width = rgb.shape[:2]
        focal = snapshot.camera_matrix[1, 1]
        if not focal:
            return
        shape = (float(2 * np.arctan(0.5 * height / focal)), width / height)
        if self._frustum is None or shape != self._frustum_shape:
            self._frustum_shape = shape
            self._frustum = self._server.scene.add_camera_frustum(
                "/camera/frustum", *shape, scale=_FRUSTUM_DEPTH_M, color=(150, 156, 168), thickness=1.5, thickness_units="screen"
            )
        self._frustum.image = _at_most(rgb, _FRUSTUM_WIDTH) if self._camera_image.value else None

    def _show_hands(self, hands: Sequence[HandEstimate]) -> None:
        layers = SceneLayers(
            self._surface.value,
            self._opacity.value,
            self._skeleton.value,
            self._hypotheses.value,
            self._ellipsoids.value,
            self._spread.value,
        )
        shown: set[tuple[Side, int]] = set()
        for hand in hands:
            # Drawings belong to places, not to tracks, so that a new track does not send the triangles again.
            place = (hand.handedness, sum(side == hand.handedness for side, _ in shown))
            shown.add(place)
            if place not in self._drawings:
                name = f"/hands/{place[0]}_{place[1]}"
                self._drawings[place] = HandDrawing(self._server.scene, name, place[0], self._faces)
            self._drawings[place].show(hand, layers)
        for place, drawing in self._drawings.items():
            if place not in shown:
                drawing.hide()


def _at_most(rgb: np.ndarray, width: int) -> np.ndarray:
    if rgb.shape[1] <= width:
        return rgb
    return cv2.resize(rgb, (width, max(1, round(rgb.shape[0] * width / rgb.shape[1]))), interpolation=cv2.INTER_AREA)


def _status_text(snapshot: Snapshot) -> str:
    rows = "\n".join(f"| {name.replace(' ', chr(0xA0))} | {value} |" for name, value in snapshot.facts.items())
    return f"**{snapshot.headline}**\n\n| | |\n|---|---|\n{rows}"


def _hand_text(hand: HandEstimate) -> str:
    red, green, blue = SIDE_COLOURS[hand.handedness]
    place = "relative to the wrist: the camera is not calibrated"
    if hand.scale_source != "none":
        wrist_cm = ", ".join(f"{100 * value:.1f}" for value in hand.wrist_pose[:3, 3])
        place = f"wrist at ({wrist_cm}) cm  \nscale from {hand.scale_source} ± {100 * hand.scale_rel_std:.0f} %"
    spread_mm = 1e3 * np.sqrt(np.trace(hand.articulation_covariance_m2, axis1=1, axis2=2) / 3).mean()
    return (
        f'<span style="color:rgb({red},{green},{blue})">{hand.handedness}</span> {hand.handedness_prob:.2f} · '
        f"score {hand.score:.2f} · {hand.state} · id {hand.track_id}  \n"
        f"{place} · reprojection {hand.reprojection_px:.1f} px  \n"
        f"joints ± {spread_mm:.1f} mm · {len(hand.weights)} hypotheses in {hand.n_modes} mode(s)"
    )
