"""Converts left hands to right hands and back: reflection in the plane x = 0 of the camera frame.

With M = diag(-1, 1, 1), points become M p and covariances become M C M. The reflection of a rotation matrix is not a rotation
matrix. So axes are mirrored as M R diag(1, -1, 1): the x and z axes are reflected, and the y axis is z cross x. The winding of
faces is reversed, so that their normals still point outwards. Every function is its own inverse.
"""

import numpy as np

_M = np.diag([-1.0, 1.0, 1.0])
_KEEP_RIGHT_HANDED = np.diag([1.0, -1.0, 1.0])


def mirror_points(points: np.ndarray) -> np.ndarray:
    """Reflects points or rays whose first coordinate is x, (..., 2) or (..., 3); dtype kept."""
    mirrored = points.copy()
    mirrored[..., 0] *= -1
    return mirrored


def mirror_in_wrist_frame(points: np.ndarray) -> np.ndarray:
    """Points (..., 3) of a hand in its wrist frame, converted to the mirrored hand in its own wrist frame: y changes sign."""
    mirrored = points.copy()
    mirrored[..., 1] *= -1
    return mirrored


def mirror_rotations(rotations: np.ndarray) -> np.ndarray:
    """Rotations of the mirrored hand, (..., 3, 3), each with determinant +1."""
    return _M @ rotations @ _KEEP_RIGHT_HANDED


def mirror_covariances(covariances: np.ndarray) -> np.ndarray:
    """M C M, (..., 3, 3)."""
    return _M @ covariances @ _M


def mirror_faces(faces: np.ndarray) -> np.ndarray:
    """Faces with the opposite winding, (F, 3)."""
    return faces[:, [0, 2, 1]]
