"""Masks for parts of a condition in training; HHMR (Li et al., CVPR 2024), section 4.2, "Conditions with random mask".

The masks have two levels. The first level removes single conditions or all conditions. The second level removes fingers and image
patches.
"""

from dataclasses import dataclass

import numpy as np

from hand_mesh_ros.core.topology import FINGER_JOINTS, N_JOINTS


@dataclass(frozen=True)
class MaskRates:
    """Probabilities of removal. The paper does not give its values.

    The 3D skeleton contains almost all information. With a low rate for the skeleton, the network would rarely train on an image
    alone or on keypoints alone.
    """

    skeleton: float = 0.4
    sight: float = 0.3
    image: float = 0.1
    all: float = 0.1
    finger: float = 0.15
    patch: float = 0.15


@dataclass(frozen=True)
class Masks:
    """1 for a given part, 0 for a removed part; float32."""

    joints: np.ndarray  # (n, 21) of the 3D skeleton
    sight: np.ndarray  # (n, 21) of the 2D skeleton
    patches: np.ndarray  # (n, P) of the image


def draw_masks(rng: np.random.Generator, n: int, n_patches: int, rates: MaskRates) -> Masks:
    """Returns random masks of `n` hands."""
    is_any = rng.uniform(size=(n, 1)) >= rates.all
    skeleton, sight, image = (is_any & (rng.uniform(size=(n, 1)) >= rate) for rate in (rates.skeleton, rates.sight, rates.image))
    patches = image & (rng.uniform(size=(n, n_patches)) >= rates.patch)
    masks = (skeleton & _fingers(rng, n, rates.finger), sight & _fingers(rng, n, rates.finger), patches)
    return Masks(*(mask.astype(np.float32) for mask in masks))


def _fingers(rng: np.random.Generator, n: int, rate: float) -> np.ndarray:
    """Returns (n, 21), False for all joints of removed fingers. The wrist is always given."""
    given = np.ones((n, N_JOINTS), bool)
    given[:, FINGER_JOINTS] = (rng.uniform(size=(n, len(FINGER_JOINTS))) >= rate)[..., None]
    return given
