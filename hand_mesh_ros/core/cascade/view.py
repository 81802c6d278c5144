"""What the joint stage sees of a hand: the detector's cues in a virtual camera that looks at it, upright and of unit size.

Training and run time build the model's input here, so the two cannot differ.
"""

from dataclasses import dataclass

import numpy as np

from hand_mesh_ros.core.geometry.camera import sight_from_camera, virtual_from_camera
from hand_mesh_ros.core.topology import MIDDLE_MCP, N_JOINTS, WRIST

# Joints leave and enter the model in this unit, which makes them about 1.
JOINT_UNIT_M = 0.05
# Rays, the log of their extent, confidences, depths, world landmarks, places in the crop, and which cues are given.
CONDITION_SIZE = 2 * N_JOINTS + 1 + N_JOINTS + N_JOINTS + 3 * N_JOINTS + 2 * N_JOINTS + 3
FEATURES_SHAPE = (192, 7, 7)  # of the landmark model's inner map


@dataclass(frozen=True)
class Cues:
    """What the detector says of one or more right hands."""

    rays: np.ndarray  # (..., 21, 2) undistorted x/z, y/z
    confidence: np.ndarray  # (..., 21) in 0..1
    # (..., 21) along the line of sight, relative to the wrist, over the distance of the hand: the unit of `rays`
    depth: np.ndarray
    world_m: np.ndarray  # (..., 21, 3) landmarks in the axes of the line of sight (`camera.sight_from_camera`), any origin
    in_crop: np.ndarray  # (..., 21, 2) `crop.place_in`: where the image features belong
    given: np.ndarray  # (..., 3) 1 where depth, world landmarks and image features count, 0 where they are withheld


@dataclass(frozen=True)
class HandView:
    """One view of one or more hands."""

    virtual_from_camera: np.ndarray  # (..., 3, 3)
    condition: np.ndarray  # (..., CONDITION_SIZE) float32; its last number tells whether image features are given


def look_at_hand(cues: Cues) -> HandView:
    """The view of hands from the detector's cues."""
    rays = cues.rays
    depth_given, world_given, image_given = np.moveaxis(cues.given, -1, 0)[..., None]
    centre = rays.mean(-2)
    rotation = virtual_from_camera(centre, centre + rays[..., MIDDLE_MCP, :] - rays[..., WRIST, :])
    virtual = np.swapaxes(rotation, -1, -2)
    directions = np.concatenate([rays, np.ones((*rays.shape[:-1], 1))], -1) @ virtual
    seen = directions[..., :2] / np.maximum(directions[..., 2:], 1e-3)
    extent = np.sqrt((seen**2).sum(-1).mean(-1, keepdims=True)) + 1e-9
    # The detector sees a crop and knows nothing of where in the image it lies: only the roll is left between its axes and these.
    world = (cues.world_m - cues.world_m.mean(-2, keepdims=True)) @ sight_from_camera(centre) @ virtual / JOINT_UNIT_M

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
