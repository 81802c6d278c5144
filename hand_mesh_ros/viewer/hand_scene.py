"""One hand in the viewer's 3D scene: surface, skeleton, hypotheses, uncertainty. Updates send only the moved parts."""

from dataclasses import dataclass

import numpy as np
import trimesh
import viser

from hand_mesh_ros.core.geometry.mirror import mirror_faces
from hand_mesh_ros.core.topology import BONES
from hand_mesh_ros.core.types import HandEstimate, Side
from hand_mesh_ros.core.uncertainty.calibration import RADIUS_OF_90_PERCENT
from hand_mesh_ros.viewer.overlay import FINGER_COLOURS, SIDE_COLOURS

# Without a calibrated camera a hand has no position. The viewer then shows the hand here [m].
PLACE_WITHOUT_CAMERA_M = np.array([0.0, 0.05, 0.5])
_BACKGROUNDS = {True: np.array([30.0, 32.0, 36.0]), False: np.array([255.0, 255.0, 255.0])}
# Standard deviation that gets the last colour [m].
_FULL_SPREAD_M = 0.010


@dataclass(frozen=True)
class SceneLayers:
    """Visible parts of the scene."""

    surface: bool = True
    opacity: float = 1.0
    skeleton: bool = True
    hypotheses: bool = True
    ellipsoids: str = "hand's shape"  # or "position in space", or "none"
    spread: bool = False
    is_dark: bool = True  # theme of the page


class HandDrawing:
    """The scene nodes of one hand."""

    def __init__(self, scene: viser.SceneApi, name: str, side: Side, faces: np.ndarray | None) -> None:
        """Stores the name of the scene node, and the triangles (F, 3) of a right hand; None before the triangles are known."""
        self._scene, self._name, self._side = scene, name, side
        self._faces = None if faces is None else np.ascontiguousarray(mirror_faces(faces) if side == "left" else faces)
        self._handles: dict[str, viser.SceneNodeHandle] = {}

    def remove(self) -> None:
        """Removes the hand from the scene."""
        for handle in self._handles.values():
            handle.remove()
        self._handles.clear()

    def hide(self) -> None:
        """Makes the hand invisible. The browser keeps the triangles."""
        for handle in self._handles.values():
            _set(handle, visible=False)

    def show(self, hand: HandEstimate, layers: SceneLayers) -> None:
        """Draws the current state of the hand."""
        origin = place_of(hand)
        joints = (hand.joints_m + origin).astype(np.float32)
        faces = self._faces
        has_surface = faces is not None and len(hand.vertices_m) > faces.max()
        if self._is_on("surface", layers.surface and has_surface) and faces is not None:
            self._show_surface((hand.vertices_m + origin).astype(np.float32), faces, layers.opacity)
        if self._is_on("spread", layers.spread and has_surface):
            self._show_spread((hand.vertices_m + origin).astype(np.float32), hand.vertex_std_m)
        if self._is_on("skeleton", layers.skeleton):
            self._show_lines("skeleton", joints[BONES], np.repeat(FINGER_COLOURS, 4, axis=0), 4.0)
        if self._is_on("hypotheses", layers.hypotheses and len(hand.weights) > 0):
            self._show_hypotheses((hand.hypotheses_m + origin).astype(np.float32), hand.weights, _BACKGROUNDS[layers.is_dark])
        covariances = hand.joint_covariance_m2 if layers.ellipsoids == "position in space" else hand.articulation_covariance_m2
        if self._is_on("ellipsoids", layers.ellipsoids != "none" and bool(np.isfinite(covariances).all())):
            self._show_ellipsoids(joints, covariances)

    def _is_on(self, part: str, wanted: bool) -> bool:
        """Shows or hides an existing part, and returns `wanted`."""
        if part in self._handles:
            _set(self._handles[part], visible=wanted)
        return wanted

    def _show_surface(self, vertices: np.ndarray, faces: np.ndarray, opacity: float) -> None:
        handle = self._handles.get("surface")
        if not isinstance(handle, viser.MeshHandle):
            # Transparent surfaces of the browser hide what lies behind them in some views, so a solid hand has no opacity.
            self._handles["surface"] = self._scene.add_mesh_simple(
                f"{self._name}/surface",
                vertices,
                faces,
                color=SIDE_COLOURS[self._side],
                opacity=None if opacity >= 1.0 else opacity,
                side="double",
            )
            return
        handle.vertices = vertices
        _set(handle, opacity=None if opacity >= 1.0 else opacity)

    def _show_spread(self, vertices: np.ndarray, std_m: np.ndarray) -> None:
        colours = _heat(std_m / _FULL_SPREAD_M)
        handle = self._handles.get("spread")
        if not isinstance(handle, viser.PointCloudHandle):
            self._handles["spread"] = self._scene.add_point_cloud(
                f"{self._name}/spread", vertices, colours, point_size=0.0025, point_shape="circle", precision="float32"
            )
            return
        handle.points, handle.colors = vertices, colours

    def _show_hypotheses(self, joints: np.ndarray, weights: np.ndarray, background: np.ndarray) -> None:
        share = weights / weights.max()
        # Lines have no opacity, so unlikely hypotheses get a colour near the background.
        colours = background + (0.35 + 0.5 * share[:, None]) * (np.array(SIDE_COLOURS[self._side]) - background)
        lines = joints[:, BONES].reshape(-1, 2, 3)
        self._show_lines("hypotheses", lines, np.repeat(colours, len(BONES), axis=0), 1.5)

    def _show_lines(self, part: str, lines: np.ndarray, colours: np.ndarray, width_px: float) -> None:
        """Draws lines (N, 2, 3) in N display colours."""
        # In viser, colours of lines are linear, but colours of meshes and points are not.
        linear = np.round(255 * (colours / 255) ** 2.2).astype(np.uint8)
        ends = np.repeat(linear[:, None], 2, axis=1)
        handle = self._handles.get(part)
        if not isinstance(handle, viser.LineSegmentsHandle):
            self._handles[part] = self._scene.add_line_segments(
                f"{self._name}/{part}", lines, ends, thickness=width_px, thickness_units="screen"
            )
            return
        handle.points, handle.colors = lines, ends

    def _show_ellipsoids(self, joints: np.ndarray, covariances: np.ndarray) -> None:
        rotations, radii = ellipsoids(covariances)
        handle = self._handles.get("ellipsoids")
        if not isinstance(handle, viser.BatchedMeshHandle):
            ball = trimesh.creation.icosphere(subdivisions=2)
            self._handles["ellipsoids"] = self._scene.add_batched_meshes_simple(
                f"{self._name}/ellipsoids",
                ball.vertices.astype(np.float32),
                ball.faces,
                rotations,
                joints,
                batched_scales=radii,
                batched_colors=np.concatenate([[[235, 235, 235]], np.repeat(FINGER_COLOURS, 4, axis=0)]).astype(np.uint8),
                opacity=0.2,
                cast_shadow=False,
                lod="off",
            )
            return
        handle.batched_wxyzs, handle.batched_positions, handle.batched_scales = rotations, joints, radii


def ellipsoids(covariances_m2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the ellipsoids that hold 90 % of N Gaussians.

    Args:
        covariances_m2: (N, 3, 3).

    Returns:
        Quaternions (N, 4) w, x, y, z of their axes and the half-axes (N, 3) in metres, at least 0.1 mm.
    """
    variances, axes = np.linalg.eigh(covariances_m2)
    axes[..., 0] *= np.linalg.det(axes)[..., None]  # turns a reflection into a rotation
    radii = np.maximum(RADIUS_OF_90_PERCENT * np.sqrt(np.maximum(variances, 0)), 1e-4)
    return quaternions(axes), radii.astype(np.float32)


def quaternions(rotations: np.ndarray) -> np.ndarray:
    """Converts rotations (N, 3, 3) to quaternions w, x, y, z, (N, 4) float32."""
    matrices = np.broadcast_to(np.eye(4), (len(rotations), 4, 4)).copy()
    matrices[:, :3, :3] = rotations
    return np.stack([trimesh.transformations.quaternion_from_matrix(matrix) for matrix in matrices]).astype(np.float32)


def place_of(hand: HandEstimate) -> np.ndarray:
    """Returns the offset of the drawn hand from the estimate, (3,) metres: zero for a hand with a position."""
    return PLACE_WITHOUT_CAMERA_M if hand.scale_source == "none" else np.zeros(3)


def _heat(share: np.ndarray) -> np.ndarray:
    """Returns display rgb, (N, 3) uint8: blue at 0, white at 0.5, red at 1."""
    share = np.clip(share, 0, 1)[:, None]
    blue, white, red = np.array([60, 110, 220]), np.array([240, 240, 240]), np.array([220, 50, 40])
    mixed = np.where(share < 0.5, blue + 2 * share * (white - blue), white + (2 * share - 1) * (red - white))
    return mixed.astype(np.uint8)


def _set(handle: viser.SceneNodeHandle, **values: object) -> None:
    """Sets only changed values, because each assignment sends a message to the browser."""
    for name, value in values.items():
        if getattr(handle, name) != value:
            setattr(handle, name, value)
