"""MANO (Romero et al., 2017): reads the user's own model file and poses the hand.

This package does not contain MANO. Its licence permits non-commercial research only. The user downloads the file and accepts the
licence at https://mano.is.tue.mpg.de. The code follows the equations of the paper: a template with shape and pose corrections,
and linear blend skinning.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hand_mesh_ros.core.geometry import rotations
from models_train.datasets.formats.restricted_pickle import PickleError, as_array, load
from models_train.datasets.formats.sources import DatasetError

N_VERTICES, N_MANO_JOINTS, N_SHAPES = 778, 16, 10
# MANO has 16 joints: wrist, then three of index, middle, little, ring and thumb. Five tips follow, from thumb to little finger.
# ORDER lists them in the order of `core.topology`; BACK lists joints of `core.topology` in the order of MANO.
ORDER = np.array([0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20])
BACK = np.argsort(ORDER)
# Vertices of the fingertips, from thumb to little finger. The data sets differ.
FREIHAND_TIPS, HO3D_TIPS = (744, 320, 443, 555, 672), (744, 333, 444, 555, 672)
_SHAPES: dict[str, tuple[int, ...]] = {
    "v_template": (N_VERTICES, 3),
    "shapedirs": (N_VERTICES, 3, N_SHAPES),
    "posedirs": (N_VERTICES, 3, 9 * (N_MANO_JOINTS - 1)),
    "J_regressor": (N_MANO_JOINTS, N_VERTICES),
    "weights": (N_VERTICES, N_MANO_JOINTS),
    "kintree_table": (2, N_MANO_JOINTS),
    "hands_components": (45, 45),
    "hands_mean": (45,),
}


@dataclass(frozen=True)
class PosedHand:
    """A posed hand, in metres, in the frame of the pose."""

    vertices_m: np.ndarray  # (778, 3)
    joints_m: np.ndarray  # (21, 3) in the order of `core.topology`


@dataclass(frozen=True)
class ManoHand:
    """The arrays of a MANO file, float64."""

    template_m: np.ndarray  # (778, 3)
    shape_directions: np.ndarray  # (778, 3, 10) metres per unit of a shape parameter
    pose_directions: np.ndarray  # (778, 3, 135) metres per entry of the joint rotations minus the identity
    joint_regressor: np.ndarray  # (16, 778)
    skin_weights: np.ndarray  # (778, 16)
    parents: np.ndarray  # (16,) int, -1 for the wrist
    faces: np.ndarray  # (F, 3) int
    components: np.ndarray  # (45, 45) rows are directions of the 45 joint angles
    mean_pose: np.ndarray  # (45,) joint angles of the mean hand

    @classmethod
    def load(cls, path: Path) -> "ManoHand":
        """Reads MANO_RIGHT.pkl or MANO_LEFT.pkl. No code of the file runs, and chumpy is not necessary.

        Raises:
            DatasetError: if the file is missing, damaged, or not a MANO file.
        """
        if not path.is_file():
            raise DatasetError("mano", f"{path} is missing")
        try:
            content = load(path)
            if not isinstance(content, dict) or (missing := [name for name in (*_SHAPES, "f") if name not in content]):
                raise DatasetError("mano", f"{path} has no {', '.join(missing) if isinstance(content, dict) else 'dictionary'}")
            arrays = {name: as_array(content[name]) for name in (*_SHAPES, "f")}
        except PickleError as error:
            raise DatasetError("mano", str(error)) from error
        for name, shape in _SHAPES.items():
            if arrays[name].shape != shape:
                raise DatasetError("mano", f"{path} has {name} of shape {arrays[name].shape}, expected {shape}")
        # The file stores the parent of the wrist as 2**32 - 1.
        parents = arrays["kintree_table"][0].astype(np.int64)
        parents[0] = -1
        numbers = {name: arrays[name].astype(np.float64) for name in _SHAPES}
        return cls(
            template_m=numbers["v_template"],
            shape_directions=numbers["shapedirs"],
            pose_directions=numbers["posedirs"],
            joint_regressor=numbers["J_regressor"],
            skin_weights=numbers["weights"],
            parents=parents,
            faces=arrays["f"].astype(np.int64),
            components=numbers["hands_components"],
            mean_pose=numbers["hands_mean"],
        )

    def full_pose(self, rotation: np.ndarray, coefficients: np.ndarray, is_flat: bool = False) -> np.ndarray:
        """Returns joint rotation vectors (48,) of a pose in principal components.

        Args:
            rotation: (3,) rotation vector of the wrist.
            coefficients: (n,) of the first n components, n at most 45.
            is_flat: the coefficients start at the flat hand; False for the mean hand.
        """
        fingers = coefficients @ self.components[: len(coefficients)]
        return np.concatenate([rotation, fingers if is_flat else fingers + self.mean_pose])

    def pose(
        self,
        pose: np.ndarray,
        shape: np.ndarray,
        translation_m: np.ndarray | None = None,
        tips: tuple[int, ...] = FREIHAND_TIPS,
    ) -> PosedHand:
        """Returns the posed surface and its 21 joints. The last five joints are vertices.

        Args:
            pose: (48,) rotation vectors of the 16 joints, from the flat hand (`full_pose`).
            shape: (10,) shape parameters.
            translation_m: (3,) moves the result; None for zero.
            tips: vertices of the tips, from thumb to little finger.
        """
        rest = self.template_m + self.shape_directions @ np.asarray(shape, np.float64)
        rest_joints = self.joint_regressor @ rest
        turns = np.stack([rotations.from_vector(vector) for vector in np.reshape(pose, (N_MANO_JOINTS, 3))])
        corrected = rest + self.pose_directions @ (turns[1:] - np.eye(3)).ravel()
        rotation, joints = self._chain(turns, rest_joints)
        offsets = joints - np.einsum("jrc,jc->jr", rotation, rest_joints)
        moved = np.einsum("vj,jrc,vc->vr", self.skin_weights, rotation, corrected) + self.skin_weights @ offsets
        move = np.zeros(3) if translation_m is None else np.asarray(translation_m, np.float64)
        vertices = moved + move
        return PosedHand(vertices, np.concatenate([joints + move, vertices[list(tips)]])[ORDER])

    def _chain(self, turns: np.ndarray, rest_joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the global rotations (16, 3, 3) and positions (16, 3) of the joints."""
        rotation, position = turns.copy(), rest_joints.copy()
        for joint, parent in enumerate(self.parents[1:], start=1):
            rotation[joint] = rotation[parent] @ turns[joint]
            position[joint] = position[parent] + rotation[parent] @ (rest_joints[joint] - rest_joints[parent])
        return rotation, position
