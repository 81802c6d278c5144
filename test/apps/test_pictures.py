"""`hand-mesh image` and `hand-mesh folder` with the real models on rendered photographs."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import trimesh
from click.testing import Result

from hand_mesh_ros.core.geometry.camera import project
from hand_mesh_ros.core.geometry.rigid import align, transform
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.topology import JOINT_NAMES
from hand_mesh_ros.synthetic.camera import SyntheticCamera, SyntheticView

Run = Callable[..., Result]
CPU = ("--device", "cpu")
ROOT = Path(__file__).resolve().parents[2]


def gray(path: Path) -> Path:
    """A picture without a hand."""
    cv2.imwrite(str(path), np.full((240, 320, 3), 120, np.uint8))
    return path


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_hand_becomes_an_overlay_and_a_mesh_in_every_format(run: Run, model: HandModel, tmp_path: Path, side: str) -> None:
    view = SyntheticCamera(model, side=side).at(7.5)
    photo, out = tmp_path / "photo.png", tmp_path / "results/deep"
    cv2.imwrite(str(photo), view.rgb[..., ::-1])
    result = run("image", photo, "--fov", 60, "--out", out, "--save", "overlay,obj,ply,glb", *CPU)
    assert result.exit_code == 0, result.output
    meshes = {f"photo_{side}.{kind}" for kind in ("obj", "ply", "glb")}
    assert {path.name for path in out.iterdir()} == {"photo_hands.png", *meshes}
    assert cv2.imread(str(out / "photo_hands.png")).shape == view.rgb.shape
    mesh = trimesh.load(out / f"photo_{side}.obj", process=False)
    rotation, translation, scale = align(mesh.vertices, view.vertices_m, with_scale=True)
    error_m = np.linalg.norm(transform(mesh.vertices, rotation, translation, scale) - view.vertices_m, axis=1)
    assert error_m.mean() < 0.02, "the mesh is another hand than the one in the photograph"
    # From outside, triangles turn counter-clockwise: they enclose a positive volume.
    assert np.linalg.det(mesh.triangles - mesh.centroid).sum() > 0
    np.testing.assert_allclose(trimesh.load(out / f"photo_{side}.ply", process=False).vertices, mesh.vertices, atol=1e-6)
    # glTF has y up: the hand stands as in the picture.
    scene = trimesh.load(out / f"photo_{side}.glb", process=False)
    np.testing.assert_allclose(scene.to_mesh().vertices, mesh.vertices * (1, -1, -1), atol=1e-6)


def test_the_record_names_units_and_frames_and_agrees_with_the_tables(run: Run, photo: Path, tmp_path: Path) -> None:
    assert run("image", photo, "--camera-matrix", "554.26,554.26,319.5,239.5", "--save", "json,npz,csv", *CPU).exit_code == 0
    record = json.loads((tmp_path / "photo_hands.json").read_text())
    assert record["source"] == "photo.png"
    assert record["frame"].startswith("camera optical frame")
    assert record["joint_names"] == list(JOINT_NAMES)
    (hand,) = record["hands"]
    joints_m, matrix = np.array(hand["joints_m"]), np.array(record["camera_matrix_px"])
    assert np.linalg.norm(project(joints_m, matrix) - np.array(hand["keypoints_px"]), axis=1).mean() < 15
    assert np.array(hand["joint_covariance_m2"]).shape == (21, 3, 3)
    assert np.array(hand["hypotheses_m"]).shape == (8, 21, 3)
    with np.load(tmp_path / "photo_hands.npz") as arrays:
        np.testing.assert_allclose(arrays["joints_m"][0], joints_m, atol=1e-6)
        assert arrays["vertices_m"].shape == (1, 977, 3)
        assert arrays["handedness"].tolist() == ["right"]
    rows = list(csv.DictReader((tmp_path / "photo_hands.csv").open()))
    assert [row["joint"] for row in rows] == list(JOINT_NAMES)
    np.testing.assert_allclose([float(row["x_m"]) for row in rows], joints_m[:, 0], atol=1e-5)


def test_without_a_camera_there_is_no_position(run: Run, photo: Path, tmp_path: Path) -> None:
    result = run("image", photo, "--save", "json", *CPU)
    assert result.exit_code == 0
    assert "relative to the wrist" in result.output
    record = json.loads((tmp_path / "photo_hands.json").read_text())
    assert record["camera_matrix_px"] is None
    assert "wrist" in record["frame"]
    assert [row[3] for row in record["hands"][0]["camera_from_wrist_m"]] == [None, None, None, 1]


@pytest.mark.parametrize("kind", ["png", "npy"])
def test_depth_gives_the_scale(run: Run, view: SyntheticView, photo: Path, tmp_path: Path, kind: str) -> None:
    depth_m = np.nan_to_num(view.depth_m, posinf=0.0)
    depth = tmp_path / f"depth.{kind}"
    if kind == "png":
        cv2.imwrite(str(depth), np.round(1000 * depth_m).astype(np.uint16))
    else:
        np.save(depth, depth_m.astype(np.float32))
    result = run("image", photo, "--fov", 60, "--depth", depth, "--save", "json", *CPU)
    assert "scale from depth" in result.output
    wrist_m = json.loads((tmp_path / "photo_hands.json").read_text())["hands"][0]["joints_m"][0]
    assert np.linalg.norm(np.subtract(wrist_m, view.joints_m[0])) < 0.03


def test_a_selfie_view_changes_the_side(run: Run, view: SyntheticView, tmp_path: Path) -> None:
    mirrored = tmp_path / "selfie.png"
    cv2.imwrite(str(mirrored), view.rgb[:, ::-1, ::-1])
    assert "left hand" in run("image", mirrored, *CPU).output
    assert "right hand" in run("image", mirrored, "--mirrored", *CPU).output


def test_settings_reach_the_chain(run: Run, photo: Path, tmp_path: Path) -> None:
    assert run("image", photo, "--hypotheses", 3, "--fit", "--max-hands", 1, "--save", "json", *CPU).exit_code == 0
    record = json.loads((tmp_path / "photo_hands.json").read_text())
    assert len(record["hands"][0]["hypotheses_m"]) == 3
    assert record["settings"] == {"mirrored": False, "max_hands": 1, "n_hypotheses": 3, "fit_enabled": True}
    assert record["hands"][0]["joint_flags"][0] & 16


def test_more_than_two_hands_may_be_of_several_people(run: Run, view: SyntheticView, tmp_path: Path) -> None:
    photo = tmp_path / "people.png"
    cv2.imwrite(str(photo), np.concatenate([view.rgb[..., ::-1]] * 3, axis=1))
    assert run("image", photo, *CPU).output.count("right hand") == 1
    result = run("image", photo, "--max-hands", 4, *CPU)
    assert result.output.count("right hand") == 3
    assert {path.name for path in tmp_path.glob("*.obj")} == {f"people_right{number}.obj" for number in ("", "_1", "_2")}


def test_an_image_without_a_hand_is_no_failure(run: Run, tmp_path: Path) -> None:
    result = run("image", gray(tmp_path / "gray.png"), "--save", "overlay,json,npz,csv", *CPU)
    assert result.exit_code == 0
    assert "no hand found" in result.output
    assert json.loads((tmp_path / "gray_hands.json").read_text())["hands"] == []
    with np.load(tmp_path / "gray_hands.npz") as arrays:
        assert arrays["vertices_m"].shape == (0, 977, 3)


def test_unreadable_images_are_named_and_the_others_are_processed(run: Run, photo: Path, tmp_path: Path) -> None:
    text, empty = tmp_path / "text.jpg", tmp_path / "empty.png"
    text.write_text("not a picture")
    empty.write_bytes(b"")
    result = run("image", text, photo, empty, *CPU)
    assert result.exit_code == 1
    assert f"Error: {text} is not an image" in result.output
    assert f"Error: {empty} is empty" in result.output
    assert (tmp_path / "photo_right.obj").is_file()


def test_a_folder_is_processed_to_its_end(run: Run, photo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    photo.rename(folder / "a.png")
    (folder / "b.jpg").write_text("not a picture")
    gray(folder / "c.bmp")
    gray(folder / "c.tif")
    (folder / "notes.txt").write_text("not read")
    result = run("folder", folder, "--save", "json,obj", *CPU)
    assert result.exit_code == 1
    assert f"Error: {folder / 'b.jpg'} is not an image" in result.output
    assert "notes.txt" not in result.output
    assert "3 images, 1 hand:" in result.output
    # Two images that differ in their format alone do not write the same file.
    names = {"a_hands.json", "a_right.obj", "c_bmp_hands.json", "c_tif_hands.json"}
    assert {path.name for path in (folder / "hands").iterdir()} == names
    (folder / "b.jpg").unlink()
    assert run("folder", folder, "--save", "json", *CPU).exit_code == 0


def test_ctrl_c_ends_a_folder_and_keeps_whole_files(photo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(60):
        (folder / f"{number:02}.png").hardlink_to(photo)
    command = [sys.executable, "-m", "hand_mesh_ros.apps", "folder", str(folder), "--save", "json", *CPU]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    # Tests in the background ignore SIGINT, and so would the command.
    signals = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=signals
    )
    deadline = time.monotonic() + 120
    while not (folder / "hands/02_hands.json").is_file():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 130, said
    assert "Traceback" not in said
    written = list((folder / "hands").iterdir())
    assert 3 <= len(written) < 60
    assert all(json.loads(path.read_text())["hands"] for path in written)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["missing.jpg"], "'missing.jpg' does not exist"),
        (["photo.png", "--hypotheses", "0"], "0 is not in the range 1<=x<=64"),
        (["photo.png", "--camera-matrix", "0,500,10,10"], "a focal length that is not positive"),
        (["photo.png", "--camera-matrix", "500,500,nan,10"], "a number that is not finite"),
        (["photo.png", "--camera-matrix", "500,500,10"], "not four numbers"),
        (["photo.png", "--camera-matrix", "500,500,10,10", "--fov", "60"], "cannot be used together"),
        (["photo.png", "--fov", "180"], "180.0 is not in the range"),
        (["photo.png", "--save", "obj,stl"], "'stl' is unknown; choose from overlay,"),
        (["photo.png", "--depth", "photo.png"], "--depth needs --camera-matrix or --fov"),
        (["photo.png", "../{0}/photo.png", "--out", "out"], "two images would write the same files photo_"),
        ([], "Missing argument 'FILE...'"),
    ],
)
def test_wrong_use_is_named(run: Run, photo: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], reason: str) -> None:
    monkeypatch.chdir(photo.parent)
    result = run("image", *(argument.format(photo.parent.name) for argument in arguments), *CPU)
    assert result.exit_code == 2
    assert reason in " ".join(result.output.split())


def test_failures_are_one_line(run: Run, photo: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat.png"
    cv2.imwrite(str(flat), np.zeros((480, 640), np.uint8))
    small = tmp_path / "small.npy"
    np.save(small, np.ones((10, 20), np.float32))
    for arguments, reason in (
        (["--out", photo / "below"], f"{photo / 'below'}: Not a directory"),
        (["--depth", flat, "--fov", 60], f"depth {flat} has 1 channel(s) of uint8"),
        (["--depth", small, "--fov", 60], f"depth {small} is 20x10 px, the image is 640x480 px"),
        (["--models-dir", tmp_path], "is missing; restore it from the package"),
    ):
        result = run("image", photo, *arguments, *CPU)
        assert result.exit_code == 1
        (line,) = result.output.splitlines()
        assert line.startswith("Error: ")
        assert reason in line


def test_no_folder_is_written_into_itself_and_none_is_empty(run: Run, tmp_path: Path) -> None:
    assert run("folder", tmp_path, "--out", tmp_path).exit_code == 2
    result = run("folder", tmp_path)
    assert result.exit_code == 1
    assert f"{tmp_path} contains no image" in result.output


def test_an_image_that_is_given_twice_is_processed_once(run: Run, photo: Path) -> None:
    result = run("image", photo, photo, "--save", "json", *CPU)
    assert result.exit_code == 0, result.output
    assert result.output.count("wrote") == 1
    assert (photo.parent / "photo_hands.json").is_file()


def test_file_names_that_are_not_utf8_are_refused(run: Run, photo: Path) -> None:
    """OpenCV crashes on such a name."""
    named = Path(os.fsdecode(os.fsencode(photo.parent) + b"/gr\xf6\xdfe.png"))
    named.write_bytes(photo.read_bytes())
    result = run("image", named, *CPU)
    assert result.exit_code == 2
    assert "is not valid UTF-8: rename the file" in " ".join(result.output.split())
    result = run("folder", photo.parent, *CPU)
    assert result.exit_code == 1
    assert "is not valid UTF-8: rename the file" in result.output
    assert "1 image, 1 hand:" in result.output
