"""Forward kinematics and linear blend skinning of the hand model, batched over any leading axes."""

import numpy as np

from hand_mesh_ros.core.geometry.rotations import rotation_about
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.topology import FINGER_JOINTS, N_JOINTS, PARENTS


def local_rotations(model: HandModel, angles: np.ndarray) -> np.ndarray:
    """Rotation of each joint relative to its parent, (..., 21, 3, 3), in the axes of the flat template.

    Args:
        model: the hand.
        angles: (..., 5, 4) radians per finger: abduction of the base, then flexion of the three joints, from base to tip.
            The three joints are MCP, PIP and DIP of a finger, and CMC, MCP and IP of the thumb.
    """
    rotations = np.broadcast_to(np.eye(3), (*angles.shape[:-2], N_JOINTS, 3, 3)).copy()
    flexions = rotation_about(model.flexion_axes, angles[..., 1:])
    rotations[..., FINGER_JOINTS[:, :3], :, :] = flexions
    abductions = rotation_about(model.abduction_axes, angles[..., 0])
    rotations[..., FINGER_JOINTS[:, 0], :, :] = abductions @ flexions[..., 0, :, :]
    return rotations


def joint_frames(rotations: np.ndarray, rest_joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Global rotation (..., 21, 3, 3) and position (..., 21, 3) of every joint.

    Args:
        rotations: (..., 21, 3, 3) local rotations.
        rest_joints: (21, 3) or (..., 21, 3) joints of the flat hand.
    """
    rest_joints = np.broadcast_to(rest_joints, (*rotations.shape[:-3], N_JOINTS, 3))
    turned, placed = np.empty_like(rotations), np.empty_like(rest_joints)
    turned[..., 0, :, :], placed[..., 0, :] = rotations[..., 0, :, :], rest_joints[..., 0, :]
    for joint in range(1, N_JOINTS):
        parent = PARENTS[joint]
        offset = (rest_joints[..., joint, :] - rest_joints[..., parent, :])[..., None]
        placed[..., joint, :] = placed[..., parent, :] + (turned[..., parent, :, :] @ offset)[..., 0]
        turned[..., joint, :, :] = turned[..., parent, :, :] @ rotations[..., joint, :, :]
    return turned, placed


def skin(
    model: HandModel, rotations: np.ndarray, rest_joints: np.ndarray, rest_vertices: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Joints (..., 21, 3) and vertices (..., V, 3) of posed hands.

    Args:
        model: the hand model, for the skin weights.
        rotations: (..., 21, 3, 3) local rotations.
        rest_joints: (21, 3) or (..., 21, 3) joints of the flat hand.
        rest_vertices: (V, 3) or (..., V, 3) vertices of the flat hand.
    """
    turned, placed = joint_frames(rotations, rest_joints)
    # The bone that ends in joint k rotates with the parent of joint k. Column 0 is the palm, which rotates with the wrist.
    carrier = np.maximum(PARENTS, 0)
    bone_rotations = turned[..., carrier, :, :]
    rest_carriers = np.broadcast_to(rest_joints, placed.shape)[..., carrier, :]
    bone_shifts = placed[..., carrier, :] - (bone_rotations @ rest_carriers[..., None])[..., 0]
    affine = np.concatenate([bone_rotations, bone_shifts[..., None]], -1).reshape(*placed.shape[:-2], N_JOINTS, 12)
    blended = (model.skin_weights @ affine).reshape(*placed.shape[:-2], -1, 3, 4)
    vertices = (blended[..., :3] @ rest_vertices[..., None])[..., 0] + blended[..., 3]
    return placed, vertices


def pose(model: HandModel, angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Joints (..., 21, 3) and vertices (..., V, 3) of the average right hand, wrist frame. `angles` as in `local_rotations`."""
    return skin(model, local_rotations(model, angles), model.joints_m, model.template_m)
