"""Readers of the data sets: joint order, axes, units and cameras, on tiny sets in the official formats."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from tiny_datasets import invented_hands, mano_content, write_freihand, write_ho3d, write_interhand, write_mano

from hand_mesh_ros.core.geometry.mirror import mirror_points
from models_train.datasets.formats import freihand, ho3d, interhand
from models_train.datasets.formats.mano import HO3D_TIPS, ManoHand
from models_train.datasets.formats.sample import DatasetSample
from models_train.datasets.formats.sources import SOURCES, DatasetError

HANDS = invented_hands(3)


def test_freihand_gives_the_stored_numbers_and_all_backgrounds(tmp_path):
    write_freihand(tmp_path, HANDS[:2], HANDS[2:])
    samples = list(freihand.samples(tmp_path, "training", backgrounds=("gs", "auto")))
    assert [sample.image_path.name for sample in samples] == ["00000000.jpg", "00000006.jpg", "00000001.jpg", "00000007.jpg"]
    for sample, hand in zip(samples, (HANDS[0], HANDS[0], HANDS[1], HANDS[1])):
        np.testing.assert_allclose(sample.joints_m, hand.joints_m)
        np.testing.assert_allclose(sample.vertices_m, hand.vertices_m)
        np.testing.assert_allclose(sample.camera_matrix, hand.camera_matrix)
        assert sample.frame().rgb.shape == hand.rgb.shape
        assert sample.handedness == "right"
    assert len(list(freihand.samples(tmp_path, "evaluation"))) == 1


def test_freihand_without_its_evaluation_truth_still_gives_cameras_and_pictures(tmp_path):
    write_freihand(tmp_path, HANDS[:2], HANDS[2:], with_truth=False)
    (sample,) = freihand.samples(tmp_path, "evaluation")
    assert (sample.joints_m, sample.vertices_m, sample.bbox_px) == (None, None, None)
    assert not sample.is_complete


@pytest.mark.parametrize(("key", "suffix"), [("ho3d_v2", "png"), ("ho3d_v3", "jpg")])
def test_ho3d_is_converted_to_opencv_axes_and_our_joint_order(tmp_path, key, suffix):
    write_ho3d(tmp_path, suffix, HANDS[:2], HANDS[2:])
    for split, shown in (("train", HANDS[:2]), ("evaluation", HANDS[2:])):
        samples = list(ho3d.samples(tmp_path, split, key))
        assert len(samples) == len(shown)
        for sample, hand in zip(samples, shown):
            np.testing.assert_allclose(sample.joints_m, hand.joints_m, atol=1e-12)
            assert sample.image_path.suffix == f".{suffix}"
            sample.frame()
    np.testing.assert_allclose(samples[0].vertices_m, HANDS[2].vertices_m, atol=1e-12)


def test_ho3d_without_its_truth_gives_the_published_box(tmp_path):
    write_ho3d(tmp_path, "jpg", HANDS[:1], HANDS[1:], with_truth=False)
    hidden = list(ho3d.samples(tmp_path, "evaluation"))
    write_ho3d(tmp_path / "open", "jpg", HANDS[:1], HANDS[1:])
    for sample, known in zip(hidden, ho3d.samples(tmp_path / "open", "evaluation")):
        assert sample.joints_m is None
        np.testing.assert_allclose(sample.bbox_px, known.bbox_px)


def test_ho3d_frames_without_an_annotation_are_left_out(tmp_path):
    write_ho3d(tmp_path, "jpg", HANDS[:2], HANDS[2:])
    path = tmp_path / "train/ABF10/meta/0000.pkl"
    path.write_bytes(pickle.dumps({**pickle.loads(path.read_bytes()), "handJoints3D": None}))
    assert [sample.name for sample in ho3d.samples(tmp_path, "train")] == ["ABF10/0001"]


def test_ho3d_vertices_come_from_the_users_mano_file(tmp_path):
    write_ho3d(tmp_path, "jpg", HANDS[:1], HANDS[2:])
    mano = ManoHand.load(write_mano(tmp_path / "MANO_RIGHT.pkl", mano_content()))
    (without,) = ho3d.samples(tmp_path, "train")
    (sample,) = ho3d.samples(tmp_path, "train", mano=mano)
    posed = mano.pose(np.full(48, 0.1), np.full(10, 0.2), np.array([0.0, 0.1, -0.6]), HO3D_TIPS)
    assert without.vertices_m is None
    np.testing.assert_allclose(sample.vertices_m * [1, -1, -1], posed.vertices_m)
    assert sample.vertices_m[:, 2].mean() > 0.3  # in front of the camera


def test_interhand_gives_each_hand_in_metres_in_the_camera_frame(tmp_path):
    write_interhand(tmp_path, "train", HANDS)
    samples = list(interhand.samples(tmp_path, "train"))
    assert [(sample.handedness, sample.is_interacting) for sample in samples] == [
        ("left", False),
        ("right", False),
        ("right", True),
        ("left", True),
    ]
    expected = (mirror_points(HANDS[0].joints_m), HANDS[1].joints_m, HANDS[2].joints_m, mirror_points(HANDS[2].joints_m))
    for sample, joints_m in zip(samples, expected):
        np.testing.assert_allclose(sample.joints_m, joints_m, atol=1e-9)
        np.testing.assert_allclose(sample.camera_matrix[0, 1:], [0, HANDS[0].camera_matrix[0, 2]])
        np.testing.assert_allclose(np.diag(sample.camera_matrix), np.diag(HANDS[0].camera_matrix))
        sample.frame()
    assert len({sample.name for sample in samples}) == len(samples)


def test_interhand_joints_without_annotation_are_nan_and_a_hand_without_wrist_is_left_out(tmp_path):
    # Joint 0 is the tip of the right thumb, joint 20 the right wrist, joint 41 the left wrist.
    write_interhand(tmp_path, "test", HANDS, missing=[(1, 0), (2, 41)])
    samples = list(interhand.samples(tmp_path, "test"))
    assert [sample.handedness for sample in samples] == ["left", "right", "right"]
    assert np.argwhere(np.isnan(samples[1].joints_m).any(1)).ravel().tolist() == [4]
    assert [sample.is_complete for sample in samples] == [True, False, True]
    assert np.all(np.isfinite(samples[1].bbox_px))


def test_interhand_reads_the_unpacked_archives_of_either_rate(tmp_path):
    write_interhand(tmp_path / "InterHand2.6M_5fps_batch1", "val", HANDS[:1])
    write_interhand(tmp_path / "InterHand2.6M_30fps_batch1", "val", HANDS)
    assert len(list(interhand.samples(tmp_path, "val", fps=5))) == 1
    assert len(list(interhand.samples(tmp_path, "val", fps=30))) == 4
    assert "30fps" in str(next(interhand.samples(tmp_path, "val", fps=30)).image_path)


def read_all(key: str, root: Path) -> list[DatasetSample]:
    if key == "freihand":
        return list(freihand.samples(root, "training"))
    if key == "interhand":
        return list(interhand.samples(root, "train"))
    return list(ho3d.samples(root, "train", key))


@pytest.mark.parametrize("key", ["freihand", "ho3d_v2", "ho3d_v3", "interhand"])
def test_a_missing_data_set_is_answered_with_its_origin_and_licence(tmp_path, key):
    for root in (tmp_path, tmp_path / "missing"):
        with pytest.raises(DatasetError) as raised:
            read_all(key, root)
        assert SOURCES[key].address in str(raised.value)
        assert SOURCES[key].licence in str(raised.value)
        assert str(tmp_path) in str(raised.value)


def test_wrong_layouts_name_the_file_and_the_numbers(tmp_path):
    write_freihand(tmp_path / "a", HANDS[:2], HANDS[2:])
    (tmp_path / "a/training_xyz.json").write_text(json.dumps([HANDS[0].joints_m.tolist()]))
    with pytest.raises(DatasetError, match=r"training_xyz.json has shape \(1, 21, 3\), expected \(2, 21, 3\)"):
        read_all("freihand", tmp_path / "a")
    (tmp_path / "a/training_K.json").write_text("{")
    with pytest.raises(DatasetError, match=r"training_K.json is not a JSON file"):
        read_all("freihand", tmp_path / "a")
    write_ho3d(tmp_path / "b", "png", HANDS[:1], HANDS[2:])
    with pytest.raises(DatasetError, match=r"picture of ho3d_v2, not of ho3d_v3"):
        read_all("ho3d_v3", tmp_path / "b")
    (tmp_path / "b/train/ABF10/meta/0000.pkl").write_bytes(b"\x80\x02}.broken"[:3])
    with pytest.raises(DatasetError, match=r"0000.pkl \(3 bytes\) cannot be read"):
        read_all("ho3d_v2", tmp_path / "b")
    write_interhand(tmp_path / "c", "train", HANDS)
    (tmp_path / "c/annotations/train/InterHand2.6M_train_camera.json").write_text("{}")
    with pytest.raises(DatasetError, match="do not fit each other"):
        read_all("interhand", tmp_path / "c")


def test_a_missing_picture_is_named(tmp_path):
    write_freihand(tmp_path, HANDS[:2], HANDS[2:])
    sample = next(freihand.samples(tmp_path, "training"))
    sample.image_path.unlink()
    with pytest.raises(DatasetError, match=r"00000000.jpg of sample training/00000000 is missing"):
        sample.frame()


def test_a_sample_refuses_wrong_shapes():
    with pytest.raises(ValueError, match="joints_m"):
        DatasetSample("freihand", "0", Path("0.jpg"), np.eye(3), "right", np.zeros((16, 3)))
