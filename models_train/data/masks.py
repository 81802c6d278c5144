"""Which parts of a condition are withheld in training; HHMR (Li et al., CVPR 2024), section 4.2, "Conditions with random mask".

Two levels: whole conditions, each by itself and all at once; and within them fingers and image patches.
"""

from dataclasses import dataclass

import numpy as np

from hand_mesh_ros.core.topology import FINGER_JOINTS, N_JOINTS


@dataclass(frozen=True)
class MaskRates:
    """Probabilities; the paper's are not printed.

    The 3D skeleton says nearly everything. Were it withheld as rarely as the image, the net would hardly ever have to look at an
    image or at keypoints alone.
    """

    skeleton: float = 0.4
    sight: float = 0.3
    image: float = 0.1
    all: float = 0.1
    finger: float = 0.15
    patch: float = 0.15


@dataclass(frozen=True)
class Masks:
    """1 where a part is given, 0 where it is withheld; float32."""

    joints: np.ndarray  # (n, 21) of the 3D skeleton
    sight: np.ndarray  # (n, 21) of the 2D skeleton
    patches: np.ndarray  # (n, P) of the image


def draw_masks(rng: np.random.Generator, n: int, n_patches: int, rates: MaskRates) -> Masks:
    """Random masks of `n` hands."""
    is_any = rng.uniform(size=(n, 1)) >= rates.all
    skeleton, sight, image = (is_any & (rng.uniform(size=(n, 1)) >= rate) for rate in (rates.skeleton, rates.sight, rates.image))
    patches = image & (rng.uniform(size=(n, n_patches)) >= rates.patch)
    masks = (skeleton & _fingers(rng, n, rates.finger), sight & _fingers(rng, n, rates.finger), patches)
    return Masks(*(mask.astype(np.float32) for mask in masks))


def _fingers(rng: np.random.Generator, n: int, rate: float) -> np.ndarray:
    """(n, 21) False for all joints of fingers that are withheld; the wrist is always given."""
    given = np.ones((n, N_JOINTS), bool)
    given[:, FINGER_JOINTS] = (rng.uniform(size=(n, len(FINGER_JOINTS))) >= rate)[..., None]
    return given
