"""Stored views by the real detector (`models_train.data.detected`), drawn at random, with cues and patches withheld."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from hand_mesh_ros.core.cascade.view import Cues
from models_train.data import views
from models_train.data.views import Views

RECIPE = "models_train.data.detected: rendered scenes seen by the real detector"
# On renders the detector errs more than on photographs. So views are drawn by how near its keypoints are: half as often from this
# error on, relative to the hand's extent, and much less often beyond; and part of them get errors as on photographs, so that the
# models learn what an image adds to good keypoints.
_TYPICAL_ERROR, _SHARE_MODELLED_CUES = 0.18, 0.5
# So that either stage works without them, and trusts none of them blindly: depth, world landmarks, image features.
_SHARE_WITHHELD = np.array([0.1, 0.2, 0.25])
_FIELDS = ("rays", "confidence", "depth", "world_m", "in_crop", "joints_m", "features")


class StoredViews:
    """All shards of one kind, in memory."""

    def __init__(self, folder: Path, kind: str, with_surface: bool = False) -> None:
        """Reads them.

        Args:
            folder: where `models_train.data.detected` wrote to.
            kind: "train" or "held_out".
            with_surface: read the vertices too.

        Raises:
            ValueError: if there are none.
        """
        paths = sorted(folder.glob(f"{kind}_*.npz"))
        if not paths:
            raise ValueError(f"no {kind}_*.npz in {folder}; make them with python -m models_train.data.detected")
        names = (*_FIELDS, "vertices_m") if with_surface else _FIELDS
        parts = [np.load(path) for path in paths]
        self._arrays = {name: np.concatenate([part[name] for part in parts]) for name in names}
        self._cumulated = np.cumsum(1 / (1 + (self._keypoint_error() / _TYPICAL_ERROR) ** 4))

    def __len__(self) -> int:
        return len(self._arrays["rays"])

    def pick(self, rows: np.ndarray, given: np.ndarray) -> tuple[Views, np.ndarray]:
        """Views with the cues that are `given`, (n, 3), and image features (n, 192, 7, 7) float32."""
        row = {name: array[rows] for name, array in self._arrays.items()}
        cues = Cues(row["rays"], row["confidence"], row["depth"], row["world_m"], row["in_crop"], given)
        return Views(cues, row["joints_m"]), row["features"].astype(np.float32)

    def sample(self, rng: np.random.Generator, n: int) -> tuple[Views, np.ndarray]:
        """`n` random views, with cues withheld at random."""
        seen, features = self.pick(self.random_rows(rng, n), self.random_given(rng, n))
        modelled = views.observe(rng, seen.joints_m)
        swapped = rng.uniform(size=n) < _SHARE_MODELLED_CUES
        modelled = replace(modelled, in_crop=_in_crop(modelled.rays, seen.cues), given=seen.cues.given)
        return Views(_chosen(swapped, modelled, seen.cues), seen.joints_m), features

    def random_rows(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """(n,) indices of views, those that the detector saw well more often."""
        return np.searchsorted(self._cumulated, rng.uniform(0, self._cumulated[-1], n))

    def random_given(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """(n, 3) which cues count."""
        return (rng.uniform(size=(n, 3)) >= _SHARE_WITHHELD).astype(float)

    def vertices_m(self, rows: np.ndarray) -> np.ndarray:
        """(n, V, 3) surfaces of the views, camera axes, wrist in the origin."""
        return self._arrays["vertices_m"][rows].astype(np.float32)

    def _keypoint_error(self) -> np.ndarray:
        """Mean distance of the keypoints from the true ones, (n,), relative to the extent of the hand in the image."""
        joints_m = self._arrays["joints_m"]
        truth = joints_m[..., :2] / joints_m[..., 2:]
        extent = np.sqrt(((truth - truth.mean(1, keepdims=True)) ** 2).sum(-1).mean(1))
        return np.linalg.norm(self._arrays["rays"] - truth, axis=-1).mean(1) / extent


def _in_crop(rays: np.ndarray, cues: Cues) -> np.ndarray:
    """Where other rays (n, 21, 2) of the same hands lie in the crop, by the affine map that `cues` show."""
    ones = np.ones((*rays.shape[:-1], 1))
    known, wanted = np.concatenate([cues.rays, ones], -1), np.concatenate([rays, ones], -1)
    return wanted @ (np.linalg.pinv(known) @ cues.in_crop)


def _chosen(is_first: np.ndarray, first: Cues, second: Cues) -> Cues:
    """Of n views each from the one or the other."""

    def of(name: str) -> np.ndarray:
        one, other = getattr(first, name), getattr(second, name)
        return np.where(is_first.reshape(-1, *[1] * (one.ndim - 1)), one, other)

    return Cues(**{item.name: of(item.name) for item in fields(Cues)})
