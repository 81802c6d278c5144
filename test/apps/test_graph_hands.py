"""The command of the graph diffusion with the shipped models."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import trimesh

from hand_mesh_ros.apps.graph_hands import main
from hand_mesh_ros.core.geometry.rigid import align, transform
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.topology import FINGER_JOINTS, FINGERS
from hand_mesh_ros.synthetic.camera import SyntheticCamera

QUICK = ["--steps", "5", "--device", "cpu"]


def vertices(path: Path) -> np.ndarray:
    return np.asarray(trimesh.load(path, process=False).vertices)


@pytest.mark.parametrize("side", ["right", "left"])
def test_hands_are_generated_and_a_finger_of_one_is_made_anew(model: HandModel, tmp_path: Path, side: str) -> None:
    common = [*QUICK, "--side", side, "--n", "2"]
    assert main(["generate", *common, "--out", str(tmp_path)]) == 0
    first, second = (trimesh.load(tmp_path / f"hand_{number:02}.obj", process=False) for number in range(2))
    assert np.linalg.norm(first.vertices - second.vertices, axis=1).mean() > 0.003
    # From outside, triangles turn counter-clockwise on both sides.
    assert np.linalg.det(first.triangles - first.centroid).sum() > 0
    # In any frame: here the hand is carried away first.
    moved = tmp_path / "moved.obj"
    first.apply_transform(trimesh.transformations.rotation_matrix(0.7, (1, 2, 3)))
    first.apply_translation((0.1, 0.2, 0.3))
    first.export(moved)
    arguments = ["inpaint", str(moved), "--missing", "index", *common, "--out", str(tmp_path / "anew")]
    assert main(arguments) == 0
    change_m = np.linalg.norm(vertices(tmp_path / "anew/hand_00.obj") - vertices(moved), axis=1)
    index = model.skin_weights[:, FINGER_JOINTS[FINGERS.index("index")][1:]].sum(1)
    assert change_m[index < 0.01].max() < 1e-3
    assert change_m[index > 0.9].max() > 2e-3
    # By its joints alone the rest is kept less exactly.
    assert main([*arguments[:-1], str(tmp_path / "joints"), "--skeleton"]) == 0
    change_m = np.linalg.norm(vertices(tmp_path / "joints/hand_00.obj") - vertices(moved), axis=1)
    assert change_m[index < 0.01].mean() < 0.01


@pytest.mark.parametrize("fit", [(), ("--fit",)])
def test_a_photograph_has_several_explanations(model: HandModel, tmp_path: Path, capsys, fit: tuple[str, ...]) -> None:
    view = SyntheticCamera(model).at(7.5)
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), view.rgb[..., ::-1])
    assert main(["reconstruct", str(photo), "--hfov", "60", "--n", "3", *QUICK, "--out", str(tmp_path), *fit]) == 0
    assert capsys.readouterr().out.count("px from its keypoints") == 3
    found = [vertices(tmp_path / f"photo_0_right_{rank:02}.obj") for rank in range(3)]
    errors_m = [
        np.linalg.norm(transform(hand, *align(hand, view.vertices_m, with_scale=True)) - view.vertices_m, axis=1).mean()
        for hand in found
    ]
    assert min(errors_m) < 0.02
    assert np.linalg.norm(np.mean(found[0], 0) - view.vertices_m.mean(0)) < 0.15


def test_what_cannot_be_used_is_said(model: HandModel, tmp_path: Path, capsys) -> None:
    foreign = tmp_path / "cube.obj"
    foreign.write_text(trimesh.creation.box().export(file_type="obj"))
    empty = tmp_path / "empty.png"
    cv2.imwrite(str(empty), np.full((240, 320, 3), 120, np.uint8))
    for arguments, reason in (
        (["inpaint", str(foreign), "--missing", "thumb"], f"{foreign} has 8 vertices"),
        (["inpaint", str(tmp_path / "no.obj"), "--missing", "thumb"], "no.obj cannot be read"),
        (["reconstruct", str(tmp_path / "no.png")], "no.png is missing"),
        (["generate", "--models-dir", str(tmp_path)], "is missing"),
        (["generate", "--steps", "0"], "at least 1"),
    ):
        assert main([*arguments, "--out", str(tmp_path)]) == 2
        assert reason in capsys.readouterr().err
    assert main(["reconstruct", str(empty), "--out", str(tmp_path)]) == 1
    assert "no hand found" in capsys.readouterr().out
