"""The place of the browser's camera in the scene: so that the hands fill the view, also when the hands move."""

from collections.abc import Sequence

import numpy as np
import viser

from hand_mesh_ros.core.types import HandEstimate
from hand_mesh_ros.viewer.hand_scene import place_of

FOV_RAD = float(np.deg2rad(45.0))
# Directions from the hand to the eye, in axes of the camera: x right, y down, z away from the camera.
DIRECTIONS = {"oblique": (0.55, -0.4, -0.75), "front": (0.0, 0.0, -1.0), "side": (1.0, 0.0, 0.0), "top": (0.0, -1.0, -0.02)}
_UP = (0.0, -1.0, 0.0)
# The radius of the view relative to the radius of the hands.
_MARGIN = 1.15
# Centre and radius of the view before the first hand [m].
_NO_HAND = (np.array([0.0, 0.0, 0.4]), 0.11)
_LEAST_RADIUS_M = 0.1
# The image in the frustum of the camera, usually 0.15 m in front of the camera, hides the hands from an eye farther back [m].
_IMAGE_M = 0.15
# Such an eye moves to this place in front of the images of all usual lenses [m].
_BEFORE_THE_IMAGE_M = 0.22
# Largest field of view that avoids this [rad].
_WIDEST_RAD = float(np.deg2rad(110.0))
# A hand may move this far without a movement of the view, relative to the radius of the view.
_DEAD_ZONE = 0.25
# Share of the offset that one drawing removes.
_STEP = 0.3


class ViewPoint:
    """Moves the cameras of all browsers."""

    def __init__(self, server: viser.ViserServer) -> None:
        """Sets the view of browsers that connect before the first hand."""
        self._server = server
        self._placed: set[int] = set()
        self._anchor = _NO_HAND[0]
        position, self._direction = eye(*_NO_HAND, DIRECTIONS["oblique"], FOV_RAD), "oblique"
        camera = server.initial_camera
        camera.position, camera.look_at, camera.up, camera.fov = tuple(position), tuple(_NO_HAND[0]), _UP, FOV_RAD

    def look(self, direction: str, hands: Sequence[HandEstimate]) -> None:
        """Places all cameras in a direction of `DIRECTIONS` so that the hands fill the view."""
        self._direction = direction
        self._placed.clear()
        self._anchor = sphere(hands)[0]
        self.update(hands, may_follow=False)

    def update(self, hands: Sequence[HandEstimate], may_follow: bool) -> None:
        """Places the camera of a new browser at the hands. With `may_follow`, other cameras move along with the hands."""
        if not hands:
            return
        centre, radius = sphere(hands)
        missing = centre - self._anchor
        shift = _STEP * missing if may_follow and np.linalg.norm(missing) > _DEAD_ZONE * radius else np.zeros(3)
        clients = self._server.get_clients()
        if not self._placed & clients.keys():
            self._anchor, shift = centre, np.zeros(3)
        self._anchor = self._anchor + shift
        for number, client in clients.items():
            camera = client.camera
            if number not in self._placed:
                self._placed.add(number)
                position, fov_rad = placed(self._anchor, radius, self._direction, camera.aspect)
                with client.atomic():
                    camera.fov, camera.position, camera.look_at = fov_rad, position, self._anchor
            elif shift.any():
                # The browser reports its camera late. Only the offset stays correct, and the user changes only the offset.
                offset = camera.position - camera.look_at
                with client.atomic():
                    camera.position, camera.look_at = self._anchor + offset, self._anchor


def placed(centre_m: np.ndarray, radius_m: float, direction: str, aspect: float) -> tuple[np.ndarray, float]:
    """Returns the position of the eye, (3,), and the vertical field of view [rad] so that a sphere fills the view.

    From the front the eye stays before the image of the camera: a wide scene gets a wider field of view, not a farther eye.
    """
    narrow = min(1.0, aspect)
    position = eye(centre_m, radius_m, DIRECTIONS[direction], 2 * float(np.arctan(narrow * np.tan(FOV_RAD / 2))))
    distance_m = centre_m[2] - _BEFORE_THE_IMAGE_M
    if direction != "front" or position[2] >= _IMAGE_M or distance_m <= _MARGIN * radius_m:
        return position, FOV_RAD
    fov_rad = 2 * float(np.arctan(_MARGIN * radius_m / (narrow * distance_m)))
    return (centre_m - [0, 0, distance_m], fov_rad) if fov_rad < _WIDEST_RAD else (position, FOV_RAD)


def eye(centre_m: np.ndarray, radius_m: float, direction: tuple[float, float, float], fov_rad: float) -> np.ndarray:
    """Returns the position, (3,), from which a sphere fills the field of view."""
    unit = np.array(direction) / np.linalg.norm(direction)
    return centre_m + unit * _MARGIN * radius_m / np.sin(fov_rad / 2)


def sphere(hands: Sequence[HandEstimate]) -> tuple[np.ndarray, float]:
    """Returns the centre (3,) and the radius of a sphere around all hands as they are drawn [m]."""
    if not hands:
        return _NO_HAND
    points = np.concatenate([(hand.vertices_m if len(hand.vertices_m) else hand.joints_m) + place_of(hand) for hand in hands])
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        return _NO_HAND
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    # A closed hand will open.
    return centre, max(float(np.linalg.norm(points - centre, axis=1).max()), _LEAST_RADIUS_M)
