"""Records and tables: nothing is lost on the way through JSON, and what is not known is null or empty."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.topology import N_JOINTS
from hand_mesh_ros.core.types import Frame, HandEstimate
from hand_mesh_ros.results import tables
from hand_mesh_ros.results.record import KEYS, Origin, camera_matrix_of, hands_of, settings_of, to_line, to_record

K = np.array([[300.0, 0, 159.5], [0, 300.0, 119.5], [0, 0, 1]])
FRAME = Frame(np.zeros((240, 320, 3), np.uint8), K)
ORIGIN = Origin("clip.mp4", "0123", {"mirrored": False}, 7, 0.25)
MakeHand = Callable[..., HandEstimate]


def test_an_estimate_survives_json(make_hand: MakeHand) -> None:
    hand = make_hand(handedness="left", joint_flags=np.arange(N_JOINTS, dtype=np.uint8))
    record = json.loads(to_line(to_record(FRAME, [hand, make_hand()], ORIGIN)))
    assert (record["image_index"], record["time_s"]) == (7, 0.25)
    np.testing.assert_allclose(camera_matrix_of(record), K)
    found, other = hands_of(record)
    assert other.handedness == "right"
    for name in KEYS.values():
        value, expected = getattr(found, name), getattr(hand, name)
        assert type(value) is type(expected) or not isinstance(expected, str)
        if isinstance(expected, str):
            assert value == expected
        else:
            np.testing.assert_allclose(value, expected, rtol=1e-6, err_msg=name)


def test_numbers_that_are_not_known_are_null(make_hand: MakeHand) -> None:
    pose = np.full((4, 4), np.nan)
    hand = make_hand(wrist_pose=pose, scale_rel_std=float("inf"), scale_source="none")
    uncalibrated = Frame(FRAME.rgb, np.zeros((3, 3)))
    line = to_line(to_record(uncalibrated, [hand], Origin("photo.jpg", "0123")))
    assert "NaN" not in line
    assert "Infinity" not in line
    record = json.loads(line)
    assert "image_index" not in record
    assert record["camera_matrix_px"] is None
    assert np.isnan(hands_of(record)[0].wrist_pose).all()
    assert not camera_matrix_of(record).any()


def test_a_damaged_record_is_named(make_hand: MakeHand) -> None:
    record = to_record(FRAME, [make_hand()], ORIGIN)
    del record["hands"][0]["joints_m"]
    with pytest.raises(ValueError, match=r"clip\.mp4 is damaged: .*joints_m"):
        hands_of(record)


def test_settings_are_those_that_change_results() -> None:
    assert settings_of(PipelineConfig()) == {}
    config = PipelineConfig(device="cpu", threads=2, landmark_threads=1, fit_budget_ms=0.0, n_hypotheses=3)
    assert settings_of(config) == {"n_hypotheses": 3}


def test_tables_have_a_row_per_hand_or_joint(make_hand: MakeHand, tmp_path: Path) -> None:
    hands = [make_hand(), make_hand(handedness="left", scale_source="none", joint_covariance_m2=np.full((21, 3, 3), np.nan))]
    records = [to_record(FRAME, [], ORIGIN), to_record(FRAME, hands, ORIGIN)]
    tables.write_csv(tmp_path / "hands.csv", records)
    rows = list(csv.DictReader((tmp_path / "hands.csv").open()))
    assert [row["handedness"] for row in rows] == ["right"] * 21 + ["left"] * 21
    np.testing.assert_allclose(float(rows[0]["std_z_m"]), 0.03)
    assert rows[21]["std_x_m"] == ""
    faces = np.array([[0, 1, 2], [2, 3, 976]])
    tables.write_npz(tmp_path / "hands.npz", records, tables.surfaces_of(hands, 977), faces)
    with np.load(tmp_path / "hands.npz") as arrays:
        np.testing.assert_allclose(arrays["vertices_m"][1], hands[1].vertices_m, atol=1e-6)
        np.testing.assert_allclose(arrays["vertex_std_m"][0], hands[0].vertex_std_m, atol=1e-6)
        np.testing.assert_allclose(arrays["hypotheses_m"][0], hands[0].hypotheses_m, atol=1e-6)
        assert arrays["track_id"].tolist() == ["1", "1"]
        assert arrays["image_index"].tolist() == [7, 7]
        assert arrays["faces_left"].tolist() != arrays["faces_right"].tolist()
