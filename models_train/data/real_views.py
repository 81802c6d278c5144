"""Random views of real hands (`models_train.datasets.views`), with modelled keypoints where the detector missed the hand."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from hand_mesh_ros.core.cascade.view import Cues
from hand_mesh_ros.core.topology import N_JOINTS
from models_train.data import views
from models_train.data.views import Views

# Share of the views at the end of each data set that only validate. Neighbouring pictures show the same pose, so random views
# would not be independent of the training.
_SHARE_HELD_OUT = 0.05
_SHARE_WITHOUT_DEPTH = 0.15


@dataclass(frozen=True)
class RealView:
    """One right hand of average adult size in a picture."""

    joints_m: np.ndarray  # (21, 3) float32 in the camera frame
    rays: np.ndarray  # (21, 2) float32 x/z, y/z of the detector; of the truth if the detector missed the hand
    confidence: np.ndarray  # (21,) float32; zero if the detector missed the hand
    depth: np.ndarray  # (21,) float32 as in `Cues`; zero if the detector missed the hand
    is_detected: np.bool_


def write_shard(path: Path, rows: Sequence[RealView], title: str, licence: str) -> None:
    """Writes views of one data set. A temporary name prevents incomplete files after an interruption.

    Args:
        path: the .npz file.
        rows: the views.
        title: name of the data set.
        licence: of weights that are trained on the views.
    """
    arrays = {item.name: np.stack([getattr(row, item.name) for row in rows]) for item in fields(rows[0])}
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez(file, **arrays, title=np.array(title), licence=np.array(licence))
    partial.rename(path)


class RealViews:
    """All views of a folder, in memory."""

    def __init__(self, folder: Path) -> None:
        """Reads the files.

        Raises:
            ValueError: if the folder has no views.
        """
        paths = sorted(folder.glob("*.npz"))
        if not paths:
            raise ValueError(f"no views in {folder}; make them with python -m models_train.datasets.views")
        parts = [np.load(path, allow_pickle=False) for path in paths]
        self._rows = {item.name: np.concatenate([part[item.name] for part in parts]) for item in fields(RealView)}
        titles = np.concatenate([np.full(len(part["depth"]), str(part["title"])) for part in parts])
        self.licence = str(parts[0]["licence"])
        held_out = [rows[-max(1, round(_SHARE_HELD_OUT * len(rows))) :] for rows in _rows_of(titles)]
        self._held_out = np.concatenate(held_out)
        self._training = np.setdiff1d(np.arange(len(titles)), self._held_out)
        if not len(self._training):
            raise ValueError(f"{folder} has only {len(titles)} views; a training needs at least two views per data set")
        found = float(self._rows["is_detected"].mean())
        self.recipe = f"{len(titles)} views of {', '.join(sorted(set(titles)))}, {found:.1%} seen by the real detector"

    def sample(self, rng: np.random.Generator, n: int) -> Views:
        """Returns `n` random training views. Some of them have no depth."""
        return self._views(rng, rng.choice(self._training, n))

    def held_out(self, rng: np.random.Generator, most: int) -> Views:
        """Returns at most `most` views for the validation, evenly chosen."""
        step = max(1, len(self._held_out) // most)
        return self._views(rng, self._held_out[::step][:most])

    def _views(self, rng: np.random.Generator, numbers: np.ndarray) -> Views:
        row = {name: values[numbers] for name, values in self._rows.items()}
        modelled = views.observe(rng, row["joints_m"].astype(np.float64))
        seen, n = row["is_detected"], len(numbers)
        depth_given = np.where(seen, rng.uniform(size=n) >= _SHARE_WITHOUT_DEPTH, modelled.given[:, 0])
        cues = Cues(
            rays=np.where(seen[:, None, None], row["rays"], modelled.rays),
            confidence=np.where(seen[:, None], row["confidence"], modelled.confidence),
            depth=np.where(seen[:, None], row["depth"], modelled.depth),
            # As in the modelled views, the models get neither metric landmarks nor image features.
            world_m=np.zeros((n, N_JOINTS, 3)),
            in_crop=np.zeros((n, N_JOINTS, 2)),
            given=np.stack([depth_given, np.zeros(n), np.zeros(n)], -1).astype(float),
        )
        return Views(cues, row["joints_m"])


def _rows_of(titles: np.ndarray) -> list[np.ndarray]:
    """Numbers of the rows of each title."""
    return [np.flatnonzero(titles == title) for title in np.unique(titles)]
