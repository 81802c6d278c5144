"""Changes the proportions of a hand: stretches the flat template bone by bone."""

import numpy as np

from hand_mesh_ros.core.topology import N_JOINTS, PARENTS


def stretch(
    vertices_m: np.ndarray, joints_m: np.ndarray, skin_weights: np.ndarray, new_joints_m: np.ndarray, thickness: np.ndarray
) -> np.ndarray:
    """Returns flat surfaces, (..., V, 3): the template moved to new joint positions.

    Each bone maps its axis to the new axis and scales the cross-section by its thickness. The skin weights blend the bones.

    Args:
        vertices_m: (V, 3) template.
        joints_m: (21, 3) joints of the template.
        skin_weights: (V, 21), column k for the bone that ends in joint k, column 0 for the palm.
        new_joints_m: (..., 21, 3), with the wrist of the template.
        thickness: (..., 21) factors, per column of the weights.
    """
    carrier = np.maximum(PARENTS, 0)
    old_bones, new_bones = joints_m - joints_m[carrier], new_joints_m - new_joints_m[..., carrier, :]
    old_length = np.linalg.norm(old_bones, axis=-1)
    # The palm's column has no bone, so the palm grows uniformly.
    along = old_bones / np.where(old_length > 0, old_length, 1.0)[:, None]
    across = np.eye(3) - along[:, :, None] * along[:, None, :]
    stretched = new_bones / np.where(old_length > 0, old_length, 1.0)[:, None]
    linear = thickness[..., None, None] * across + stretched[..., :, None] * along[:, None, :]
    shift = new_joints_m[..., carrier, :] - (linear @ joints_m[carrier][..., None])[..., 0]
    affine = np.concatenate([linear, shift[..., None]], -1).reshape(*new_joints_m.shape[:-2], N_JOINTS, 12)
    blended = (skin_weights @ affine).reshape(*new_joints_m.shape[:-2], -1, 3, 4)
    return (blended[..., :3] @ vertices_m[..., None])[..., 0] + blended[..., 3]


def rest_joints(joints_m: np.ndarray, lengths_m: np.ndarray, palm_width: np.ndarray) -> np.ndarray:
    """Returns joints (..., 21, 3) of a flat hand with given bone lengths.

    Args:
        joints_m: (21, 3) of the template in the wrist frame. The function keeps the bone directions.
        lengths_m: (..., 20).
        palm_width: (...,) factor on the sideways spread (y) of the bones at the wrist.
    """
    placed = np.zeros((*lengths_m.shape[:-1], N_JOINTS, 3))
    for joint in range(1, N_JOINTS):
        parent = PARENTS[joint]
        direction = np.broadcast_to(joints_m[joint] - joints_m[parent], (*lengths_m.shape[:-1], 3)).copy()
        if parent == 0:
            direction[..., 1] *= palm_width
        direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
        placed[..., joint, :] = placed[..., parent, :] + lengths_m[..., joint - 1, None] * direction
    return placed
