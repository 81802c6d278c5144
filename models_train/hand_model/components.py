"""Computes the principal components of hands from the training distribution.

python -m models_train.hand_model.components --out models/graph_components.npz
"""

import argparse
from pathlib import Path

import numpy as np
from scipy import linalg

from hand_mesh_ros.core.cascade.mesh_stage import palm_from_hand
from hand_mesh_ros.core.geometry.rigid import transform
from hand_mesh_ros.core.hand.components import FILE_NAME, HandComponents
from hand_mesh_ros.core.hand.model import HandModel
from models_train import onnx_file
from models_train.hands.sample import sample_hands, shipped_hand

LICENCE = "CC0-1.0; computed from sampled poses of the hand model"
# 64 components hold 99.9 % of the variance.
COUNT = 64


def principal_components(vertices_m: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Returns the mean and the principal directions of meshes.

    Args:
        vertices_m: (n, V, 3).
        count: number of directions.

    Returns:
        mean (V, 3), directions (count, V, 3), each as long as its standard deviation, and the variance of all 3 V coordinates.
    """
    n, n_vertices, _ = vertices_m.shape
    mean_m = vertices_m.mean(0, dtype=np.float64)
    offsets = (vertices_m - mean_m).reshape(n, -1)
    size = min(3 * n_vertices, n)
    # The two Gram matrices have the same spectrum, so this function uses the smaller matrix.
    gram = (offsets @ offsets.T if size == n else offsets.T @ offsets) / (n - 1)
    variances, vectors = linalg.eigh(gram, subset_by_index=[size - min(count, size - 1), size - 1])
    variances, vectors = np.maximum(variances[::-1], 0), vectors[:, ::-1]
    if size == n:
        vectors = offsets.T @ vectors / np.sqrt(np.maximum((n - 1) * variances, 1e-30))
    return mean_m, (np.sqrt(variances) * vectors).T.reshape(-1, n_vertices, 3), float(np.trace(gram))


def in_palm_frame(vertices_m: np.ndarray, hand: HandModel) -> np.ndarray:
    """Transforms meshes (n, V, 3) from any frame to the palm frame of each hand."""
    return transform(vertices_m, *palm_from_hand(hand.joint_regressor @ vertices_m, hand))


def build(hand: HandModel, n: int, seed: int) -> HandComponents:
    """Returns the components of `n` hands from the training distribution."""
    vertices_m = in_palm_frame(sample_hands(np.random.default_rng(seed), n).vertices_m, hand)
    mean_m, basis_m, total = principal_components(vertices_m, COUNT)
    rest = max(total - float((basis_m**2).sum()), 0.0)
    return HandComponents(mean_m.astype(np.float32), basis_m.astype(np.float32), float(np.sqrt(rest / mean_m.size)))


def main() -> None:
    """Command line: see the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=8000, help="number of hands")
    parser.add_argument("--seed", type=int, default=60_000)
    parser.add_argument("--out", type=Path, default=Path("models") / FILE_NAME)
    given = parser.parse_args()
    hand = shipped_hand()
    build(hand, given.count, given.seed).save(given.out, hand)
    command = f"python -m models_train.hand_model.components --count {given.count} --seed {given.seed}"
    onnx_file.record(given.out, {"licence": LICENCE, "command": command, "data": "models_train.hands.sample"})


if __name__ == "__main__":
    main()
