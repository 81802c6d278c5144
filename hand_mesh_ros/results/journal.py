"""Stores the records of a video in a file of JSON lines, so that a later run can continue a stopped run."""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hand_mesh_ros.core.types import HandEstimate
from hand_mesh_ros.results.record import Record, to_line
from hand_mesh_ros.results.tables import surfaces_of
from hand_mesh_ros.results.whole_file import naming


class Journal:
    """A file with one JSON line per image, and a second file with the surfaces of the hands.

    Before `finish`, the files have the names NAME.unfinished.jsonl and NAME.unfinished.surfaces.
    """

    def __init__(self, path: Path, n_vertices: int) -> None:
        """Stores the path of the complete file, NAME.jsonl, and the number of vertices of a hand."""
        self.path, self._n_vertices = path, n_vertices
        self.unfinished = _unfinished(path)
        self._surfaces = path.with_name(f"{path.stem}.unfinished.surfaces")

    def start(self) -> None:
        """Creates empty files.

        Raises:
            FileExistsError: if the files of a stopped run exist.
        """
        self.unfinished.open("x").close()
        self._surfaces.write_bytes(b"")

    def recover(self) -> int:
        """Keeps the complete images of a stopped run and returns their number. Without a stopped run the number is 0."""
        self.unfinished.touch()
        self._surfaces.touch()
        end, n_images, n_hands = 0, 0, 0
        row_bytes = self._row_bytes
        n_surfaces = self._surfaces.stat().st_size // row_bytes
        with self.unfinished.open("rb") as file:
            for line in file:
                # A killed run may end with half a line, or without some surfaces.
                record = _parsed(line)
                if record is None or n_hands + len(record["hands"]) > n_surfaces:
                    break
                end, n_images, n_hands = end + len(line), n_images + 1, n_hands + len(record["hands"])
        os.truncate(self.unfinished, end)
        os.truncate(self._surfaces, n_hands * row_bytes)
        return n_images

    def append(self, record: Record, hands: Sequence[HandEstimate]) -> None:
        """Appends an image to the files.

        Raises:
            OSError: if a file cannot be written, for example because the disk is full. The files keep the images before.
        """
        lengths = {path: path.stat().st_size for path in (self._surfaces, self.unfinished)}
        try:
            with naming(self._surfaces), self._surfaces.open("ab") as file:
                file.write(surfaces_of(hands, self._n_vertices).tobytes())
            with naming(self.unfinished), self.unfinished.open("a", encoding="utf-8") as file:
                file.write(to_line(record) + "\n")
        except OSError:
            for path, length in lengths.items():
                os.truncate(path, length)
            raise

    def records(self) -> Iterator[Record]:
        """Yields the records one by one, because the memory may be too small for all records."""
        with self.unfinished.open(encoding="utf-8") as file:
            yield from map(json.loads, file)

    def surfaces(self) -> np.ndarray:
        """Returns vertices and standard deviations of all hands, (N, V, 4) metres. The array stays in the file."""
        shape = (self._surfaces.stat().st_size // self._row_bytes, self._n_vertices, 4)
        return np.memmap(self._surfaces, np.float32, "r", shape=shape) if shape[0] else np.zeros(shape, np.float32)

    def finish(self) -> None:
        """Renames the records to NAME.jsonl and removes the surfaces."""
        self.unfinished.replace(self.path)
        self._surfaces.unlink(missing_ok=True)

    @property
    def _row_bytes(self) -> int:
        return 4 * 4 * self._n_vertices


def is_complete(path: Path) -> bool:
    """Returns whether NAME.jsonl exists and no stopped run exists."""
    return path.is_file() and not _unfinished(path).is_file()


def first_record(path: Path) -> Record | None:
    """Returns the record of the first image in a file of JSON lines. Returns None if the file has no complete record."""
    with path.open("rb") as file:
        return _parsed(file.readline())


def _unfinished(path: Path) -> Path:
    return path.with_name(f"{path.stem}.unfinished.jsonl")


def _parsed(line: bytes) -> Record | None:
    if not line.endswith(b"\n"):
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("hands"), list) else None
