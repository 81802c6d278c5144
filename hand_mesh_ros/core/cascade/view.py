"""Input of the joint stage: the cues of the detector in a virtual camera that points at the hand, upright and of unit size.

Training and run time use this module to build the input of the model, so their inputs are always equal.
"""

from dataclasses import dataclass

import numpy as np

from hand_mesh_ros.core.geometry.camera import sight_from_camera, virtual_from_camera
from hand_mesh_ros.core.topology import MIDDLE_MCP, N_JOINTS, WRIST

# Unit of joints in the model input and output. In this unit joint coordinates are about 1.
JOINT_UNIT_M = 0.05
# Rays, log of the extent of the rays, confidence, depths, world landmarks, positions in the crop, and which cues are given.
CONDITION_SIZE = 2 * N_JOINTS + 1 + N_JOINTS + N_JOINTS + 3 * N_JOINTS + 2 * N_JOINTS + 3
FEATURES_SHAPE = (192, 7, 7)  # shape of the feature map of the landmark model


@dataclass(frozen=True)
class Cues:
    """Output of the detector for one or more right hands."""

    rays: np.ndarray  # (..., 21, 2) undistorted x/z, y/z
    confidence: np.ndarray  # (..., 21) in 0..1
    # (..., 21) along the line of sight, relative to the wrist, divided by the distance of the hand, in the unit of `rays`
    depth: np.ndarray
    world_m: np.ndarray  # (..., 21, 3) landmarks in the axes of the line of sight (`camera.sight_from_camera`), any origin
    in_crop: np.ndarray  # (..., 21, 2) from `crop.place_in`: position of the joints in the image features
    given: np.ndarray  # (..., 3) depth, world landmarks, image features: 1 if the cue is used, 0 if not


@dataclass(frozen=True)
class HandView:
    """One view of one or more hands."""

    virtual_from_camera: np.ndarray  # (..., 3, 3)
    condition: np.ndarray  # (..., CONDITION_SIZE) float32; the last number is 1 if image features are given, else 0


def look_at_hand(cues: Cues) -> HandView:
    """The view of hands, from the cues of the detector."""
    rays = cues.rays
    depth_given, world_given, image_given = np.moveaxis(cues.given, -1, 0)[..., None]
    centre = rays.mean(-2)
    rotation = virtual_from_camera(centre, centre + rays[..., MIDDLE_MCP, :] - rays[..., WRIST, :])
    virtual = np.swapaxes(rotation, -1, -2)
    directions = np.concatenate([rays, np.ones((*rays.shape[:-1], 1))], -1) @ virtual
    seen = directions[..., :2] / np.maximum(directions[..., 2:], 1e-3)
    extent = np.sqrt((seen**2).sum(-1).mean(-1, keepdims=True)) + 1e-9
    if np.any(world_given):
        # The detector does not know the position of the crop in the image. So only the roll differs between its axes and these.
        world = (cues.world_m - cues.world_m.mean(-2, keepdims=True)) @ sight_from_camera(centre) @ virtual / JOINT_UNIT_M
    else:
        world = np.zeros(cues.world_m.shape)

    def flat(points: np.ndarray) -> np.ndarray:
        return points.reshape(*points.shape[:-2], -1)

    parts = [
        flat(seen / extent[..., None]),
        np.log(extent),
        cues.confidence,
        depth_given * (cues.depth - cues.depth.mean(-1, keepdims=True)) / extent,
        world_given * flat(world),
        image_given * flat(cues.in_crop),
        cues.given,
    ]
    return HandView(rotation, np.concatenate(parts, -1).astype(np.float32))
