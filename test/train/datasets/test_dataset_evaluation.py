"""The chain on tiny data sets: figures of the protocols, submission files, and what a missed hand or missing data gives."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_datasets import in_mano_order, invented_hands, write_freihand, write_ho3d, write_interhand

from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.geometry.camera import project
from hand_mesh_ros.core.pipeline import HandMeshPipeline
from models_train.datasets import evaluate, submission
from models_train.datasets.formats import freihand, ho3d, interhand
from models_train.datasets.predict import padded_frame, predict
from models_train.datasets.scores import OFFICIAL, Surfaces

SETS = ("freihand", "ho3d_v2", "ho3d_v3", "interhand")


@pytest.fixture(scope="module")
def pipeline() -> HandMeshPipeline:
    return HandMeshPipeline(PipelineConfig())


@pytest.fixture(scope="module")
def roots(rendered, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sets")
    write_freihand(folder / "freihand", rendered[:1], rendered)
    write_ho3d(folder / "ho3d_v2", "png", rendered[:1], rendered)
    write_ho3d(folder / "ho3d_v3", "jpg", rendered[:1], rendered)
    write_interhand(folder / "interhand", "test", rendered)
    return {name: folder / name for name in SETS}


@pytest.mark.parametrize("dataset", SETS)
def test_the_command_prints_the_figures_of_the_protocol(roots, dataset, tmp_path, capsys):
    code = evaluate.main(["--dataset", dataset, "--root", str(roots[dataset]), "--json", str(tmp_path / "figures.json")])
    assert code == 0
    printed = capsys.readouterr().out
    result = json.loads((tmp_path / "figures.json").read_text())
    figures = result["of found hands"]
    assert all(name in printed for name in figures)
    if dataset == "interhand":
        assert 0 < figures["MPJPE single hands [mm]"] < 40
    else:
        # The flat hand has more than 25 mm on these pictures.
        assert 0 < figures[f"PA-MPJPE {OFFICIAL} [mm]"] < 22
    assert result["of all hands"]["found"] > 0.4


def test_the_truth_has_no_error(roots):
    samples = list(freihand.samples(roots["freihand"], "evaluation"))
    truth = Surfaces(np.array([sample.joints_m for sample in samples]), [sample.vertices_m for sample in samples])
    figures = evaluate.score(samples, truth)
    assert all(value == pytest.approx(0, abs=1e-4) for name, value in figures.items() if name.endswith("[mm]"))
    assert all(value == pytest.approx(1, abs=0.02) for name, value in figures.items() if not name.endswith("[mm]"))
    hands = list(interhand.samples(roots["interhand"], "test"))
    figures = evaluate.score(hands, Surfaces(np.array([hand.joints_m for hand in hands])))
    assert all(value == pytest.approx(0, abs=1e-6) for value in figures.values())


@pytest.mark.parametrize("dataset", ["freihand", "ho3d_v3"])
def test_the_submission_file_scores_like_the_chain(roots, dataset, tmp_path, capsys):
    path, figures = tmp_path / "pred.zip", tmp_path / "figures.json"
    options = ["--dataset", dataset, "--root", str(roots[dataset])]
    assert submission.main([*options, "--out", str(path)]) == 0
    assert "5 hands" in capsys.readouterr().out
    assert evaluate.main([*options, "--predictions", str(path), "--json", str(figures)]) == 0
    from_file = json.loads(figures.read_text())["of all hands"]
    assert evaluate.main([*options, "--json", str(figures)]) == 0
    from_chain = json.loads(figures.read_text())["of all hands"]
    for name, value in from_file.items():
        assert value == pytest.approx(from_chain[name], abs=0.02, nan_ok=True), name


def test_the_file_for_freihand_holds_the_numbers_as_they_are(tmp_path):
    hands = invented_hands(3)
    surfaces = Surfaces(np.array([hand.joints_m for hand in hands]), [hand.vertices_m for hand in hands])
    submission.write(tmp_path / "pred.zip", "freihand", surfaces)
    with zipfile.ZipFile(tmp_path / "pred.zip") as archive:
        assert archive.namelist() == ["pred.json"]
        joints, vertices = json.loads(archive.read("pred.json"))
    np.testing.assert_allclose(joints, surfaces.joints_m, atol=1e-5)
    np.testing.assert_allclose(vertices, surfaces.vertices_m, atol=1e-5)


def test_the_file_for_ho3d_is_in_opengl_axes_and_manos_order_and_is_read_back(tmp_path):
    hands = invented_hands(3)
    surfaces = Surfaces(np.array([hand.joints_m for hand in hands]), [hand.vertices_m for hand in hands])
    submission.write(tmp_path / "pred.zip", "ho3d_v3", surfaces)
    with zipfile.ZipFile(tmp_path / "pred.zip") as archive:
        joints, vertices = (np.array(part) for part in json.loads(archive.read("pred.json")))
    for hand, stored, surface in zip(hands, joints, vertices):
        np.testing.assert_allclose(stored, in_mano_order(hand.joints_m) * [1, -1, -1], atol=1e-5)
        np.testing.assert_allclose(surface, hand.vertices_m * [1, -1, -1], atol=1e-5)
    # The official scripts refuse hands with positive z.
    assert np.all(joints[..., 2] < 0)
    back = submission.read(tmp_path / "pred.zip", "ho3d_v3")
    np.testing.assert_allclose(back.joints_m, surfaces.joints_m, atol=1e-5)
    np.testing.assert_allclose(back.vertices_m, surfaces.vertices_m, atol=1e-5)


def test_wrong_submissions_are_refused(tmp_path):
    bad = np.full((1, 21, 3), np.nan)
    with pytest.raises(ValueError, match="sample 0 contains numbers that are not finite"):
        submission.write(tmp_path / "pred.zip", "freihand", Surfaces(bad, [np.zeros((778, 3))]))
    with pytest.raises(ValueError, match="1 skeletons and 0 surfaces"):
        submission.write(tmp_path / "pred.zip", "freihand", Surfaces(np.zeros((1, 21, 3))))
    (tmp_path / "pred.json").write_text("[[[[1, 2, 3]]]]")
    with pytest.raises(ValueError, match=r"pred\.json is not a file of \[joints, vertices\]"):
        submission.read(tmp_path / "pred.json", "freihand")


def test_the_margin_moves_the_principal_point_with_the_picture(roots):
    sample = next(freihand.samples(roots["freihand"], "evaluation"))
    plain, padded = sample.frame(), padded_frame(sample)
    np.testing.assert_array_equal(padded.rgb[64:-64, 64:-64], plain.rgb)
    moved = project(sample.joints_m, padded.camera_matrix) - project(sample.joints_m, plain.camera_matrix)
    np.testing.assert_allclose(moved, 64)


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_missed_hand_is_the_flat_hand_at_the_box(roots, pipeline, side):
    sample = next(ho3d.samples(roots["ho3d_v2"], "evaluation", "ho3d_v2"))
    blank = roots["ho3d_v2"].parent / "blank.png"
    cv2.imwrite(str(blank), np.zeros((240, 320, 3), np.uint8))
    hand = predict(pipeline, replace(sample, image_path=blank, handedness=side))
    assert not hand.is_found
    assert np.all(hand.vertices_m[:, 2] > 0.3)
    middle = sample.bbox_px[:2] + 0.5 * sample.bbox_px[2:]
    np.testing.assert_allclose(project(hand.joints_m[0], sample.camera_matrix), middle)
    # The thumb of a raised right hand with the palm to the camera points to the right of the picture.
    assert (hand.joints_m[4, 0] > hand.joints_m[20, 0]) == (side == "right")


@pytest.mark.parametrize("command", [evaluate.main, submission.main])
def test_missing_data_ends_the_command_with_its_origin(command, tmp_path, capsys):
    assert command(["--dataset", "freihand", "--root", str(tmp_path / "nothing")]) == 2
    assert "lmb.informatik.uni-freiburg.de" in capsys.readouterr().err


def test_an_unknown_truth_is_answered(rendered, tmp_path, capsys):
    write_freihand(tmp_path, rendered[:1], rendered[1:2], with_truth=False)
    assert evaluate.main(["--dataset", "freihand", "--root", str(tmp_path)]) == 2
    assert "truth of 1 samples is unknown" in capsys.readouterr().err
