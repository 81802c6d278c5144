"""Files that are whole or not there, and the journal of a video after a stop at any place."""

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from hand_mesh_ros.core.types import Frame, HandEstimate
from hand_mesh_ros.results.journal import Journal
from hand_mesh_ros.results.record import Origin, to_record
from hand_mesh_ros.results.video_file import OverlayVideo
from hand_mesh_ros.results.whole_file import write_picture, write_text, written_whole

FRAME = Frame(np.zeros((48, 64, 3), np.uint8), np.zeros((3, 3)))
N_VERTICES = 977


def test_a_write_that_fails_leaves_the_older_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_text(path, "old")

    def fail() -> None:
        with written_whole(path) as temporary:
            temporary.write_text("half")
            assert path.read_text() == "old"
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]
    write_text(path, "new")
    assert path.read_text() == "new"


def test_a_format_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot write"):
        write_picture(tmp_path / "a.nonsense", FRAME.rgb)
    with pytest.raises(OSError, match="cannot be written"):
        OverlayVideo(tmp_path / "missing/a.mp4", 30.0).write(FRAME.rgb)
    assert not list(tmp_path.iterdir())


@contextmanager
def largest_file(n_bytes: int) -> Iterator[None]:
    """Files cannot grow beyond this length. The system reports this like a full disk, without a file name."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_reported_with_the_file(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    with largest_file(1000), pytest.raises(OSError, match="too large") as error:
        write_picture(tmp_path / "a.png", noise)
    assert error.value.filename == str(tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("n_bytes", "full"), [(15_000, "clip.unfinished.surfaces"), (15_700, "clip.unfinished.jsonl")])
def test_a_journal_keeps_its_images_when_the_disk_is_full(
    make_hand: Callable[..., HandEstimate], tmp_path: Path, n_bytes: int, full: str
) -> None:
    journal = Journal(tmp_path / "clip.jsonl", N_VERTICES)
    journal.start()
    fill(journal, [], 0, 33)  # their records leave too little space for the record of a hand
    before = list(journal.records())
    with largest_file(n_bytes), pytest.raises(OSError, match="too large") as error:
        fill(journal, [make_hand()], 33, 1)
    assert error.value.filename == str(tmp_path / full)
    assert list(journal.records()) == before
    assert len(journal.surfaces()) == 0


def fill(journal: Journal, hands: list[HandEstimate], start: int, n_images: int) -> None:
    """Adds images with 0, 1, 0, 2 hands in turn."""
    for index in range(start, start + n_images):
        shown = hands[: (0, 1, 0, 2)[index % 4]]
        journal.append(to_record(FRAME, shown, Origin("clip.mp4", "0123", {}, index, index / 30)), shown)


@pytest.mark.parametrize("part", ["records", "surfaces"])
@pytest.mark.parametrize("lost_bytes", [1, 100, 17_000])
def test_a_journal_is_recovered_from_a_stop_at_any_place(
    make_hand: Callable[..., HandEstimate], tmp_path: Path, part: str, lost_bytes: int
) -> None:
    hands = [make_hand(), make_hand(handedness="left", vertices_m=make_hand().vertices_m + 1)]
    journal = Journal(tmp_path / "clip.jsonl", N_VERTICES)
    journal.start()
    fill(journal, hands, 0, 8)
    cut = journal.unfinished if part == "records" else tmp_path / "clip.unfinished.surfaces"
    content = cut.read_bytes()
    cut.write_bytes(content[:-lost_bytes])
    journal = Journal(tmp_path / "clip.jsonl", N_VERTICES)
    n_known = journal.recover()
    assert 0 < n_known < 8
    assert [record["image_index"] for record in journal.records()] == list(range(n_known))
    fill(journal, hands, n_known, 8 - n_known)
    expected = [hands[0], *hands, hands[0], *hands]
    np.testing.assert_allclose(journal.surfaces()[..., :3], [hand.vertices_m for hand in expected], atol=1e-6)
    assert [len(record["hands"]) for record in journal.records()] == [0, 1, 0, 2] * 2
    journal.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["clip.jsonl"]


def test_a_journal_does_not_begin_over_a_stopped_run(tmp_path: Path) -> None:
    Journal(tmp_path / "clip.jsonl", N_VERTICES).start()
    with pytest.raises(FileExistsError):
        Journal(tmp_path / "clip.jsonl", N_VERTICES).start()


def test_a_journal_without_a_stopped_run_is_empty(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "clip.jsonl", N_VERTICES)
    assert journal.recover() == 0
    assert list(journal.records()) == []
    assert journal.surfaces().shape == (0, N_VERTICES, 4)
