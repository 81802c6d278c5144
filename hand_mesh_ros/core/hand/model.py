"""The parametric hand model: template surface, skin weights, rest joints and mesh hierarchy, read from one file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hand_mesh_ros.core.geometry.rotations import lengths
from hand_mesh_ros.core.models.onnx_model import ModelError, reading
from hand_mesh_ros.core.topology import BONES, N_JOINTS, PALM_JOINTS, WRIST, joint_order_digest, mesh_digest
from hand_mesh_ros.core.types import require_shape

FILE_NAME = "hand_model.npz"


@dataclass(frozen=True)
class HandModel:
    """A flat right hand of average adult size in the wrist frame: x out of the palm, y to the thumb, z along the fingers."""

    template_m: np.ndarray  # (V, 3) float32
    faces: np.ndarray  # (F, 3) int32, counter-clockwise from outside
    joints_m: np.ndarray  # (21, 3) float32, by the landmark convention; wrist in the origin
    skin_weights: np.ndarray  # (V, 21) float32; column k moves with the bone that ends in joint k, column 0 with the palm
    joint_regressor: np.ndarray  # (21, V) float32: computes the joints of any posed hand from its vertices
    flexion_axes: np.ndarray  # (5, 3, 3) float32 [finger, joint]: unit axes; a positive angle bends towards the palm
    abduction_axes: np.ndarray  # (5, 3) float32, at the base; positive: towards the thumb side; for the thumb: out of the palm
    fingertip_vertices: np.ndarray  # (5,) int32: the vertices nearest to the tip joints
    down: tuple[np.ndarray, ...]  # per level (V_coarse, V_fine): vertices of the next coarser mesh
    up: tuple[np.ndarray, ...]  # per level (V_fine, V_coarse): vertices of the next finer mesh
    laplacian: tuple[np.ndarray, ...]  # per level (V, V): symmetric normalised graph Laplacian, eigenvalues in 0..2
    licence: str

    def __post_init__(self) -> None:
        n_vertices = len(self.template_m)
        require_shape("template_m", self.template_m, (n_vertices, 3))
        require_shape("joints_m", self.joints_m, (N_JOINTS, 3))
        require_shape("skin_weights", self.skin_weights, (n_vertices, N_JOINTS))
        require_shape("joint_regressor", self.joint_regressor, (N_JOINTS, n_vertices))
        require_shape("fingertip_vertices", self.fingertip_vertices, (5,))
        if self.faces.min() < 0 or self.faces.max() >= n_vertices:
            raise ValueError(f"faces use vertices {self.faces.min()}..{self.faces.max()}, but the mesh has {n_vertices} vertices")

    @property
    def digest(self) -> str:
        return mesh_digest(len(self.template_m), self.faces)

    @property
    def bone_lengths_m(self) -> np.ndarray:
        """(20,) in the order of topology.BONES."""
        return bone_lengths(self.joints_m)

    def joint_shares(self) -> np.ndarray:
        """How much each joint moves each vertex, (V, 21) with row sums 1, by skin weights and position along the bone.

        A vertex of a bone gets shares of the two ends of the bone. A vertex of the palm gets equal shares of the palm joints.
        """
        start, end = self.joints_m[BONES[:, 0]], self.joints_m[BONES[:, 1]]
        along = np.einsum("vbc,bc->vb", self.template_m[:, None] - start, end - start) / ((end - start) ** 2).sum(-1)
        along = np.clip(along, 0, 1)
        of_bones = self.skin_weights[:, BONES[:, 1]]
        shares = (of_bones * (1 - along)) @ np.eye(N_JOINTS)[BONES[:, 0]] + (of_bones * along) @ np.eye(N_JOINTS)[BONES[:, 1]]
        shares[:, PALM_JOINTS] += self.skin_weights[:, [WRIST]] / len(PALM_JOINTS)
        return shares / shares.sum(1, keepdims=True)

    def distances_from_end(self) -> np.ndarray:
        """Distance (V,) of each vertex of the template from the open end of the mesh at the wrist [m]."""
        edges = np.sort(self.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
        unique, count = np.unique(edges, axis=0, return_counts=True)
        end_m = self.template_m[np.unique(unique[count == 1])]
        return np.linalg.norm(self.template_m[:, None] - end_m, axis=-1).min(1)

    @classmethod
    def load(cls, path: Path) -> "HandModel":
        """Reads a hand model.

        Raises:
            ModelError: if the file is missing, damaged, or made for another joint order.
        """
        with reading("hand model", path):
            with np.load(path, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            joint_order = str(arrays.pop("joint_order"))
            down, up, laplacian = (_levels(arrays, name) for name in ("down", "up", "laplacian"))
            licence = str(arrays.pop("licence"))
            model = cls(**arrays, down=down, up=up, laplacian=laplacian, licence=licence)
        if joint_order != joint_order_digest():
            raise ModelError(f"hand model {path} has joint order {joint_order}, expected {joint_order_digest()}; build it again")
        return model

    def save(self, path: Path) -> None:
        """Writes the file that `load` reads."""
        arrays: dict[str, Any] = {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        for name in ("down", "up", "laplacian"):
            arrays.update({f"{name}_{level}": matrix for level, matrix in enumerate(getattr(self, name))})
        np.savez_compressed(path, **arrays, licence=np.array(self.licence), joint_order=np.array(joint_order_digest()))


def bone_lengths(joints_m: np.ndarray) -> np.ndarray:
    """Lengths of the 20 bones, (..., 20), of skeletons (..., 21, 3)."""
    return lengths(joints_m[..., BONES[:, 1], :] - joints_m[..., BONES[:, 0], :])


def _levels(arrays: dict[str, np.ndarray], name: str) -> tuple[np.ndarray, ...]:
    found: list[np.ndarray] = []
    while f"{name}_{len(found)}" in arrays:
        found.append(arrays.pop(f"{name}_{len(found)}"))
    return tuple(found)


def palm_length(joints: np.ndarray) -> float:
    """Longest distance from the wrist to a finger base of joints (21, 2) or (21, 3)."""
    return float(lengths(joints[PALM_JOINTS[1:]] - joints[WRIST]).max())
