"""From images to figures, tables and gains, with the shipped models on a few rendered hands."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from benchmarks import report
from benchmarks.accuracy import __main__ as accuracy
from benchmarks.accuracy import compare, tables
from benchmarks.latency import __main__ as latency
from benchmarks.measure import OF_ALL_HANDS, ROWS, Seen, look, measure
from benchmarks.report import Result
from benchmarks.samples import synthetic_samples
from benchmarks.videos import frame_rate_hz, read_video
from hand_mesh_ros.core.pipeline import HandMeshPipeline


@pytest.fixture(scope="module")
def pipeline() -> HandMeshPipeline:
    return HandMeshPipeline.default(n_hypotheses=4, joint_steps=2)


@pytest.fixture(scope="module")
def images(pipeline: HandMeshPipeline) -> list[Seen]:
    return look(pipeline.detector, synthetic_samples(8, seed=1))


@pytest.fixture(scope="module")
def results(pipeline: HandMeshPipeline, images: list[Seen]) -> list[Result]:
    return [measure(pipeline, seen) for seen in images]


def found_one(images: list[Seen]) -> Seen:
    return next(seen for seen in images if seen.detection is not None)


def test_an_estimate_has_no_error_against_itself(pipeline, images):
    seen = found_one(images)
    estimate = pipeline.chain.answer(seen.detection, seen.sample.frame).estimate
    itself = replace(
        seen.sample, joints_m=estimate.joints_m, vertices_m=estimate.vertices_m.astype(float), side=estimate.handedness
    )
    figures = measure(pipeline, replace(seen, sample=itself))
    for name in ("PA-MPJPE aggregate", "PA-MPVPE aggregate", "root-relative MPJPE aggregate", "camera-space MPJPE aggregate"):
        assert figures[name] == pytest.approx(0, abs=1e-6), name
    for name in ("found", "correct side", "below 10 mm PA-MPJPE, of all hands", "F@5 mm", "F@15 mm"):
        assert figures[name] == 1.0, name
    assert figures["AUC of joints, 0 to 50 mm, aligned"] > 0.98
    for part in report.PARTS:
        assert figures[f"90 % coverage, {part}"] == 1.0
        np.testing.assert_allclose(figures[f"{part}_level"], 0, atol=1e-4)


def test_a_missed_hand_counts_as_the_flat_one(pipeline, images):
    seen = found_one(images)
    figures = measure(pipeline, Seen(seen.sample, None, 0))
    assert {name for name, _, _ in ROWS if np.isfinite(figures[name])} == set(OF_ALL_HANDS)
    assert (figures["found"], figures["below 10 mm PA-MPJPE, of all hands"]) == (0, 0)
    assert 0.005 < figures["PA-MPJPE, a miss counts as the flat hand"] < 0.06


def test_what_was_found_elsewhere_is_a_miss(pipeline, images):
    seen = found_one(images)
    camera_matrix = seen.sample.frame.camera_matrix.copy()
    camera_matrix[0, 2] += 300
    elsewhere = replace(seen.sample, frame=replace(seen.sample.frame, camera_matrix=camera_matrix))
    (again,) = look(pipeline.detector, [elsewhere])
    assert again.detection is None
    assert again.n_hands == seen.n_hands


def test_every_row_is_measured(results):
    for name, _, _ in ROWS:
        assert len(report.column(results, name)), name


def test_groups_of_one_kind_share_the_images_out(results):
    groups = report.groups(results)
    for ranges in (report.VIEWS, report.OCCLUSIONS):
        assert sum(len(groups.get(title, [])) for title in ranges) == len(results)
    assert sum(len(groups.get(title, [])) for title in report.KEYPOINTS) == len(report.found_ones(results))


def test_reliability_counts_the_errors_inside():
    levels = np.linspace(0, 1, 21)
    images = [{f"{part}_level": levels.tolist() for part in report.PARTS}] * 3
    np.testing.assert_allclose(report.reliability(images, "absolute", np.array([0.0, 0.5, 1.0])), [1 / 21, 11 / 21, 1])
    assert report.coverage_by_level(images, "absolute", 0.5)["wrist"] == 1
    assert report.coverage_by_level(images, "absolute", 0.5)["tip"] == pytest.approx(2 / 5)


def test_report_states_the_figures(results, pipeline, capsys):
    accuracy.print_report(results, pipeline)
    printed = capsys.readouterr().out
    assert f"{1e3 * report.mean(results, 'PA-MPJPE aggregate'):.2f} mm" in printed
    assert "residual_std_m" in printed


def test_comparing_marks_gains_of_the_same_images(results):
    better = [{**result, "PA-MPJPE aggregate": result["PA-MPJPE aggregate"] - 0.001} for result in results]
    lines = compare.compare(results, better)
    gain = next(line for line in lines if line.startswith("PA-MPJPE aggregate"))
    assert "-1.00 [-1.00, -1.00]" in gain
    assert gain.endswith("*")
    assert sum(line.endswith("*") for line in lines) == 1
    without_a_row = [{name: value for name, value in result.items() if name != "F@5 mm"} for result in results]
    assert len(compare.compare(without_a_row, better)) == len(lines) - 1
    with pytest.raises(ValueError, match="different images"):
        compare.compare(results, better[1:])


def test_commands_measure_and_compare(tmp_path, capsys, monkeypatch):
    path = str(tmp_path / "figures.json")
    monkeypatch.setattr("sys.argv", ["accuracy", "--synthetic", "--count", "3", "--hypotheses", "2", "--json", path])
    accuracy.main()
    assert "2 hypotheses x 4 steps, 3 images" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["compare", path, path, "--block", "2"])
    compare.main()
    printed = capsys.readouterr().out
    assert "found" in printed
    assert "*" not in printed


def test_tables_are_written_with_their_pictures(images, pipeline, tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "HYPOTHESES", (1, 2))
    monkeypatch.setattr(tables, "STEPS", (1, 2))
    sources = {tables.NATURAL: images, tables.ANY_POSE: images[:4], "house": images[:3], "house, rendered": images[3:6]}
    tables.write(tmp_path, sources, pipeline, sweep_count=2)
    text = (tmp_path / "accuracy.md").read_text()
    assert "**house**: 3 photographs" in text
    assert "nan" not in text
    assert all(name in text for name, _, _ in ROWS)
    for name in ("reliability", "best_of_n"):
        assert f"images/{name}.png" in text
        assert (tmp_path / "images" / f"{name}.png").stat().st_size > 5000
    for block in text.split("\n\n"):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in rows}) <= 1


def test_images_of_a_video_are_stamped_at_its_own_rate(pipeline, tmp_path, monkeypatch):
    path = tmp_path / "short.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 12.5, (64, 48))
    for _ in range(3):
        writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    stamps, estimate = [], pipeline.estimate
    monkeypatch.setattr(pipeline, "estimate", lambda frame: stamps.append(frame.stamp_s) or estimate(frame))
    latency.run(pipeline, read_video(path), frame_rate_hz(path), None)
    np.testing.assert_allclose(stamps, [0, 1 / 12.5, 2 / 12.5])
