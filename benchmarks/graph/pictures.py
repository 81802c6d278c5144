"""Pictures of docs/graph.md: sheets of sampled hands, and a plot of the error of the best of n."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt

from benchmarks.graph.hypotheses import Errors
from benchmarks.graph.inpainting import Gap
from benchmarks.self_intersection import intersecting_faces
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.synthetic.render import Light, render

SHEET_COLUMNS, SHEET_COUNT = 8, 64
_TILE_PX = 112
_DISTANCE_M, _REACH_M = 0.8, 0.115
# Linear rgb of sampled vertices, of given vertices, and of faces that intersect others.
_SKIN, _GIVEN, _CROSSING = (0.62, 0.40, 0.30), (0.32, 0.38, 0.45), (0.85, 0.03, 0.02)
# Camera axes of a raised hand, and a rotation that makes the bend of the fingers visible.
_RAISED = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]])
_TURN = cv2.Rodrigues(np.array([0.0, np.deg2rad(35.0), 0.0]))[0] @ cv2.Rodrigues(np.array([np.deg2rad(-12.0), 0.0, 0.0]))[0]


def hands_sheet(path: Path, vertices_m: np.ndarray, hand: HandModel) -> None:
    """Writes a PNG of hands (n, V, 3) in the palm frame, `SHEET_COLUMNS` per row. Faces that intersect others are red."""
    tiles = [tile(mesh, hand, np.zeros(len(mesh), bool)) for mesh in vertices_m]
    _write(path, tiles, SHEET_COLUMNS)


def gaps_sheet(path: Path, truth_m: np.ndarray, drawn_m: Sequence[tuple[Gap, np.ndarray]], hand: HandModel) -> None:
    """Writes a PNG with one row per gap: the true hand (V, 3), then the draws (n, V, 3). The given part is grey."""
    tiles = [tile(mesh, hand, ~gap.vertices) for gap, drawn in drawn_m for mesh in (truth_m, *drawn)]
    _write(path, tiles, 1 + len(drawn_m[0][1]))


def tile(vertices_m: np.ndarray, hand: HandModel, given: np.ndarray) -> np.ndarray:
    """Returns a picture (112, 112, 3) uint8 of one hand (V, 3) on white. The given vertices (V,) bool are grey."""
    focal = 0.5 * _TILE_PX * _DISTANCE_M / _REACH_M
    middle = 0.5 * (_TILE_PX - 1)
    camera_matrix = np.array([[focal, 0, middle], [0, focal, middle], [0, 0, 1]])
    placed = (vertices_m - hand.joints_m.mean(0)) @ (_TURN @ _RAISED).T + (0, 0, _DISTANCE_M)
    colours = np.where(given[:, None], _GIVEN, _SKIN)
    colours[np.unique(hand.faces[intersecting_faces(vertices_m, hand.faces)])] = _CROSSING
    white = np.full((_TILE_PX, _TILE_PX, 3), 255, np.uint8)
    light = Light(shadows=True, occlusion=True)
    return render(placed, hand.faces, colours, camera_matrix, (_TILE_PX, _TILE_PX), light, white).rgb


def best_of(path: Path, results: Mapping[tuple[str, int], Errors]) -> None:
    """Draws the smallest PA-MPVPE against the number of hypotheses."""
    figure, axis = plt.subplots(figsize=(6.5, 4), layout="constrained")
    for (title, steps), errors in results.items():
        numbers = [n for n in errors if n]
        axis.plot(numbers, [1e3 * errors[n][1] for n in numbers], marker=".", label=f"{title}, T = {steps}")
    axis.set(xlabel="hypotheses", ylabel="best PA-MPVPE [mm]", xscale="log", xticks=numbers, xticklabels=numbers)
    axis.minorticks_off()
    figure.legend(loc="outside right center", frameon=False)
    # The file contains no date, so the same figures give the same file.
    figure.savefig(path, dpi=120, metadata={"Software": None})
    plt.close(figure)


def _write(path: Path, tiles: Sequence[np.ndarray], columns: int) -> None:
    """Writes the tiles row by row and fills the last row with white."""
    white = np.full_like(tiles[0], 255)
    tiles = [*tiles, *[white] * (-len(tiles) % columns)]
    rows = [np.hstack(tiles[start : start + columns]) for start in range(0, len(tiles), columns)]
    cv2.imwrite(str(path), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 9])
