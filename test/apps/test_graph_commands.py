"""`hand-mesh generate`, `inpaint`, `reconstruct` and `fit` with the shipped models."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import trimesh
from click.testing import Result

from hand_mesh_ros.core.geometry.rigid import align, transform
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.topology import FINGER_JOINTS, FINGERS
from hand_mesh_ros.synthetic.camera import SyntheticView

Run = Callable[..., Result]
QUICK = ("--steps", "5", "--device", "cpu")


def vertices(path: Path) -> np.ndarray:
    return np.asarray(trimesh.load(path, process=False).vertices)


@pytest.mark.parametrize("side", ["right", "left"])
def test_hands_are_generated_and_a_finger_of_one_is_replaced(run: Run, model: HandModel, tmp_path: Path, side: str) -> None:
    common = [*QUICK, "--side", side, "--n", "2"]
    assert run("generate", *common, "--out", tmp_path).exit_code == 0
    first, second = (trimesh.load(tmp_path / f"hand_{number:02}.obj", process=False) for number in range(2))
    assert np.linalg.norm(first.vertices - second.vertices, axis=1).mean() > 0.003
    # From outside, triangles turn counter-clockwise on both sides.
    assert np.linalg.det(first.triangles - first.centroid).sum() > 0
    # In any frame: here the hand is carried away first.
    moved = tmp_path / "moved.obj"
    first.apply_transform(trimesh.transformations.rotation_matrix(0.7, (1, 2, 3)))
    first.apply_translation((0.1, 0.2, 0.3))
    first.export(moved)
    arguments = ["inpaint", moved, "--missing", "index", *common]
    assert run(*arguments, "--out", tmp_path / "replaced").exit_code == 0
    change_m = np.linalg.norm(vertices(tmp_path / "replaced/hand_00.obj") - vertices(moved), axis=1)
    index = model.skin_weights[:, FINGER_JOINTS[FINGERS.index("index")][1:]].sum(1)
    assert change_m[index < 0.01].max() < 1e-3
    assert change_m[index > 0.9].max() > 2e-3
    # By its joints alone the rest is kept less exactly.
    assert run(*arguments, "--out", tmp_path / "joints", "--skeleton").exit_code == 0
    change_m = np.linalg.norm(vertices(tmp_path / "joints/hand_00.obj") - vertices(moved), axis=1)
    assert change_m[index < 0.01].mean() < 0.01


def test_a_ply_file_is_written_and_read(run: Run, tmp_path: Path) -> None:
    assert run("generate", "--n", 1, "--format", "ply", *QUICK, "--out", tmp_path).exit_code == 0
    given = ("inpaint", tmp_path / "hand_00.ply", "--missing", "thumb,little", "--n", 1, *QUICK)
    assert run(*given, "--out", tmp_path / "replaced").exit_code == 0
    assert vertices(tmp_path / "replaced/hand_00.obj").shape == vertices(tmp_path / "hand_00.ply").shape


@pytest.mark.parametrize("command", ["reconstruct", "fit"])
def test_a_photograph_has_several_explanations(run: Run, view: SyntheticView, photo: Path, tmp_path: Path, command: str) -> None:
    result = run(command, photo, "--fov", 60, "--n", 3, *QUICK, "--out", tmp_path)
    assert result.exit_code == 0
    assert result.output.count("px from its keypoints") == 3
    found = [vertices(tmp_path / f"photo_0_right_{rank:02}.obj") for rank in range(3)]
    errors_m = [
        np.linalg.norm(transform(hand, *align(hand, view.vertices_m, with_scale=True)) - view.vertices_m, axis=1).mean()
        for hand in found
    ]
    assert min(errors_m) < 0.02
    assert np.linalg.norm(np.mean(found[0], 0) - view.vertices_m.mean(0)) < 0.15


def test_depth_places_the_hypotheses(run: Run, view: SyntheticView, photo: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "depth.npy", view.depth_m)
    result = run("reconstruct", photo, "--fov", 60, "--depth", tmp_path / "depth.npy", "--n", 2, *QUICK, "--out", tmp_path)
    assert result.exit_code == 0
    first = vertices(tmp_path / "photo_0_right_00.obj")
    assert np.linalg.norm(first - view.vertices_m, axis=1).mean() < 0.02


def test_what_cannot_be_used_is_named(run: Run, tmp_path: Path) -> None:
    foreign, wrong, empty = tmp_path / "cube.obj", tmp_path / "cube.stl", tmp_path / "empty.png"
    foreign.write_text(trimesh.creation.box().export(file_type="obj"))
    wrong.write_bytes(b"")
    cv2.imwrite(str(empty), np.full((240, 320, 3), 120, np.uint8))
    for code, arguments, reason in (
        (1, ["inpaint", foreign, "--missing", "thumb"], f"{foreign} has 8 vertices"),
        (1, ["inpaint", wrong, "--missing", "thumb"], "expected .obj or .ply"),
        (2, ["inpaint", foreign, "--missing", "toe"], "'toe' is unknown; choose from thumb, index, middle, ring, little"),
        (2, ["inpaint", tmp_path / "no.obj", "--missing", "thumb"], "does not exist"),
        (2, ["reconstruct", tmp_path / "no.png"], "does not exist"),
        (1, ["fit", foreign], f"{foreign} is not an image"),
        (1, ["generate", "--models-dir", tmp_path], "is missing"),
        (2, ["generate", "--steps", 0], "0 is not in the range 1<=x<=1000"),
        (0, ["reconstruct", empty], "no hand found"),
    ):
        result = run(*arguments, "--out", tmp_path)
        assert result.exit_code == code, result.output
        assert reason in " ".join(result.output.split())
