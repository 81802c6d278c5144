"""The image command with the real models on a rendered photograph."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import trimesh

from hand_mesh_ros.apps.run_image import main
from hand_mesh_ros.core.geometry.rigid import align, transform
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.synthetic.camera import SyntheticCamera


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_hand_becomes_a_mesh_and_an_overlay(model: HandModel, tmp_path: Path, side: str) -> None:
    camera = SyntheticCamera(model, side=side)
    view = camera.at(7.5)
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), view.rgb[..., ::-1])
    assert main([str(photo), "--hfov", "60", "--out", str(tmp_path / "results"), "--device", "cpu"]) == 0
    overlay = cv2.imread(str(tmp_path / "results/photo_hands.png"))
    assert overlay.shape == view.rgb.shape
    mesh = trimesh.load(tmp_path / f"results/photo_{side}.obj", process=False)
    assert len(mesh.vertices) == len(model.template_m)
    rotation, translation, scale = align(mesh.vertices, view.vertices_m, with_scale=True)
    error_m = np.linalg.norm(transform(mesh.vertices, rotation, translation, scale) - view.vertices_m, axis=1)
    assert error_m.mean() < 0.02, "the mesh is another hand than the one in the photograph"
    # From outside, triangles turn counter-clockwise: they enclose a positive volume.
    assert np.linalg.det(mesh.triangles - mesh.centroid).sum() > 0


def test_without_a_camera_there_is_no_position(model: HandModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), SyntheticCamera(model).at(7.5).rgb[..., ::-1])
    assert main([str(photo)]) == 0
    assert "relative to the wrist" in capsys.readouterr().out


def test_an_image_without_a_hand_and_files_that_are_no_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = tmp_path / "empty.png"
    cv2.imwrite(str(empty), np.full((240, 320, 3), 120, np.uint8))
    assert main([str(empty)]) == 1
    assert "no hand found" in capsys.readouterr().out
    text = tmp_path / "text.jpg"
    text.write_text("not a picture")
    for wrong in (text, tmp_path / "missing.jpg"):
        assert main([str(wrong)]) == 2
        assert str(wrong) in capsys.readouterr().err
    assert main([str(empty), "--k", "0", "500", "10", "10"]) == 2
    assert "must be positive" in capsys.readouterr().err
