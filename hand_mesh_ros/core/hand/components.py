"""Principal components of hand meshes: which parts of a surface move together, and how far, from one hand to another."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.models.onnx_model import ModelError, reading
from hand_mesh_ros.core.types import require_shape

FILE_NAME = "graph_components.npz"
# The graph diffusion takes meshes as offsets from the template in this unit. Each then varies by about 0.17, not 1: noise on
# neighbouring vertices averages out, and in a smaller unit the pose would be settled in the very first of a few steps.
UNIT_M = 0.1


@dataclass(frozen=True)
class HandComponents:
    """Right hands of average size in the palm frame as a Gaussian: mean + coefficients * basis, coefficients standard normal."""

    mean_m: np.ndarray  # (V, 3) float32
    basis_m: np.ndarray  # (k, V, 3) float32: orthogonal directions, each as long as its standard deviation, longest first
    rest_std_m: float  # of one coordinate, in the directions that are left out

    def __post_init__(self) -> None:
        require_shape("basis_m", self.basis_m, (None, *self.mean_m.shape))

    @property
    def vertex_std_m(self) -> float:
        """Root mean square distance of a vertex from its mean, within the components."""
        return float(np.sqrt((self.basis_m.astype(np.float64) ** 2).sum() / len(self.mean_m)))

    @property
    def digest(self) -> str:
        """Short digest: what was trained with other components does not fit these."""
        return hashlib.sha256(self.mean_m.tobytes() + self.basis_m.tobytes()).hexdigest()[:12]

    @classmethod
    def load(cls, path: Path, hand: HandModel) -> "HandComponents":
        """Reads the components of a hand model.

        Raises:
            ModelError: if the file is missing, damaged, or made for another hand model.
        """
        with reading("file of hand components", path):
            with np.load(path, allow_pickle=False) as stored:
                topology, rest_std_m = str(stored["topology"]), float(stored["rest_std_m"])
                mean_m, basis_m = (1e-3 * stored[name].astype(np.float32) for name in ("mean_mm", "basis_mm"))
            require_shape("mean_m", mean_m, hand.template_m.shape)
            components = cls(mean_m, basis_m, rest_std_m)
        if topology != hand.digest:
            raise ModelError(f"hand components {path} are of topology {topology}, expected {hand.digest}; build them again")
        return components

    def save(self, path: Path, hand: HandModel) -> None:
        """Writes the file that `load` reads, the basis in half precision; in metres its shortest directions would lose digits."""
        arrays: dict[str, Any] = {
            "mean_mm": (1e3 * self.mean_m).astype(np.float32),
            "basis_mm": (1e3 * self.basis_m).astype(np.float16),
        }
        np.savez_compressed(path, **arrays, rest_std_m=np.array(self.rest_std_m), topology=np.array(hand.digest))
