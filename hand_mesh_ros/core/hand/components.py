"""Principal components of hand meshes: which parts of the surface move together, and how much they vary between hands."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.models.onnx_model import ModelError, reading
from hand_mesh_ros.core.types import require_shape

FILE_NAME = "graph_components.npz"
# The graph diffusion uses offsets from the template in this unit. Then each offset has a standard deviation of about 0.17, not 1.
# Noise on neighbouring vertices averages out. With a smaller unit, the first denoising step would already determine the pose.
UNIT_M = 0.1


@dataclass(frozen=True)
class HandComponents:
    """Gaussian distribution of right hands of average size in the palm frame: mean + coefficients * basis.

    The coefficients are standard normal.
    """

    mean_m: np.ndarray  # (V, 3) float32
    basis_m: np.ndarray  # (k, V, 3) float32: orthogonal directions; the length is the standard deviation; longest first
    rest_std_m: float  # standard deviation of one coordinate in the remaining directions

    def __post_init__(self) -> None:
        require_shape("basis_m", self.basis_m, (None, *self.mean_m.shape))

    @property
    def vertex_std_m(self) -> float:
        """Root mean square distance of a vertex from its mean, in the directions of the components."""
        return float(np.sqrt((self.basis_m.astype(np.float64) ** 2).sum() / len(self.mean_m)))

    @property
    def digest(self) -> str:
        """Short digest. A model that was trained with other components has another digest and cannot be used."""
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
            raise ModelError(f"hand components {path} have topology {topology}, expected {hand.digest}; build them again")
        return components

    def save(self, path: Path, hand: HandModel) -> None:
        """Writes the file that `load` reads.

        The basis is in half precision and in millimetres, because in metres the shortest directions would lose digits.
        """
        arrays: dict[str, Any] = {
            "mean_mm": (1e3 * self.mean_m).astype(np.float32),
            "basis_mm": (1e3 * self.basis_m).astype(np.float16),
        }
        np.savez_compressed(path, **arrays, rest_std_m=np.array(self.rest_std_m), topology=np.array(hand.digest))
