"""Random stored views of the real detector (`models_train.data.detected`), with some cues and patches removed."""

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from hand_mesh_ros.core.cascade.view import Cues
from hand_mesh_ros.core.types import Frame, HandDetection
from models_train.data import views
from models_train.data.views import Views, crop_of

RECIPE = "models_train.data.detected: rendered scenes seen by the real detector"
# The detector's errors are larger on renders than on photographs. The training therefore draws views by keypoint error, relative
# to the hand's extent: a view with this error has half the probability, and a view with a larger error much less. Part of the
# views get errors like those on photographs. The models thus learn the benefit of an image in addition to good keypoints.
_TYPICAL_ERROR, _SHARE_MODELLED_CUES = 0.18, 0.5
# Shares of views without depth, world landmarks and image features. The models then work without these cues.
_SHARE_WITHHELD = np.array([0.1, 0.2, 0.25])
_FIELDS = ("rays", "confidence", "depth", "world_m", "in_crop", "joints_m", "features", "pooled_features")
# Camera of a stored view as a detection. The views are stored as rays, so any camera works.
_SIZE_PX, _FOCAL_PX = 1000, 1000.0
CAMERA = np.array([[_FOCAL_PX, 0, 0.5 * _SIZE_PX], [0, _FOCAL_PX, 0.5 * _SIZE_PX], [0, 0, 1]])
FRAME = Frame(np.zeros((_SIZE_PX, _SIZE_PX, 3), np.uint8), CAMERA)


class StoredViews:
    """All shards of one kind, in memory."""

    def __init__(self, folder: Path, kind: str, with_surface: bool = False) -> None:
        """Reads the shards.

        Args:
            folder: output folder of `models_train.data.detected`.
            kind: "train" or "held_out".
            with_surface: also read the vertices.

        Raises:
            ValueError: if the folder has no shards of this kind, or if an older version wrote them.
        """
        paths = sorted(folder.glob(f"{kind}_*.npz"))
        if not paths:
            raise ValueError(f"no {kind}_*.npz in {folder}; make them with python -m models_train.data.detected")
        names = (*_FIELDS, "vertices_m") if with_surface else _FIELDS
        parts = [np.load(path) for path in paths]
        for path, part in zip(paths, parts):
            if missing := set(names) - set(part):
                raise ValueError(f"{path} has no {', '.join(sorted(missing))}: an older version wrote it; make the views again")
        self._arrays = {name: np.concatenate([part[name] for part in parts]) for name in names}
        self._cumulated = np.cumsum(1 / (1 + (self._keypoint_error() / _TYPICAL_ERROR) ** 4))

    def __len__(self) -> int:
        return len(self._arrays["rays"])

    def pick(self, rows: np.ndarray, given: np.ndarray) -> tuple[Views, np.ndarray]:
        """Returns views with the cues in `given`, (n, 3), and image features (n, 192, 7, 7) float32."""
        return self.without_features(rows, given), self._arrays["features"][rows].astype(np.float32)

    def without_features(self, rows: np.ndarray, given: np.ndarray) -> Views:
        """Returns views with the cues in `given`, (n, 3)."""
        row = {name: self._arrays[name][rows] for name in ("rays", "confidence", "depth", "world_m", "in_crop", "joints_m")}
        joints_m = row.pop("joints_m")
        return Views(Cues(**row, given=given), joints_m)

    def detection(self, row: int) -> HandDetection:
        """Returns a view as a detection in `CAMERA`."""
        return detection_of({name: array[row] for name, array in self._arrays.items()})

    def pooled_features(self, rows: np.ndarray) -> np.ndarray:
        """Returns pooled features (n, 1152) float32 of the views."""
        return self._arrays["pooled_features"][rows].astype(np.float32)

    def sample(self, rng: np.random.Generator, n: int) -> tuple[Views, np.ndarray]:
        """Returns `n` random views, with some cues removed at random."""
        seen, features = self.pick(self.random_rows(rng, n), self.random_given(rng, n))
        modelled = views.observe(rng, seen.joints_m)
        swapped = rng.uniform(size=n) < _SHARE_MODELLED_CUES
        modelled = replace(modelled, in_crop=_in_crop(modelled.rays, seen.cues), given=seen.cues.given)
        return Views(_chosen(swapped, modelled, seen.cues), seen.joints_m), features

    def random_rows(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Returns (n,) indices of views. Views with a small keypoint error are more frequent."""
        return np.searchsorted(self._cumulated, rng.uniform(0, self._cumulated[-1], n))

    def random_given(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Returns (n, 3): 1 for a given cue."""
        return (rng.uniform(size=(n, 3)) >= _SHARE_WITHHELD).astype(float)

    def vertices_m(self, rows: np.ndarray) -> np.ndarray:
        """Returns surfaces (n, V, 3) of the views, in camera axes with the wrist at the origin."""
        return self._arrays["vertices_m"][rows].astype(np.float32)

    def _keypoint_error(self) -> np.ndarray:
        """Returns the mean distance to the true keypoints, (n,), relative to the extent of the hand in the image."""
        joints_m = self._arrays["joints_m"]
        truth = joints_m[..., :2] / joints_m[..., 2:]
        extent = np.sqrt(((truth - truth.mean(1, keepdims=True)) ** 2).sum(-1).mean(1))
        return np.linalg.norm(self._arrays["rays"] - truth, axis=-1).mean(1) / extent


def detection_of(view: Mapping[str, np.ndarray]) -> HandDetection:
    """Returns a view, with the arrays of a shard, as a detection in `CAMERA`."""
    keypoints = view["rays"].astype(np.float64) * _FOCAL_PX + 0.5 * _SIZE_PX
    return HandDetection(
        keypoints_px=keypoints,
        keypoint_depth_px=view["depth"] * _FOCAL_PX,
        keypoint_conf=view["confidence"],
        world_landmarks_m=view["world_m"],
        handedness="right",
        handedness_prob=1.0,
        score=float(view["confidence"].max()),
        image_from_crop=crop_of(keypoints, view["in_crop"]),
        features=view["features"].astype(np.float32),
        pooled_features=view["pooled_features"].astype(np.float32),
    )


def _in_crop(rays: np.ndarray, cues: Cues) -> np.ndarray:
    """Returns the crop positions of other rays (n, 21, 2) of the same hands, by the affine map in `cues`."""
    ones = np.ones((*rays.shape[:-1], 1))
    known, wanted = np.concatenate([cues.rays, ones], -1), np.concatenate([rays, ones], -1)
    return wanted @ (np.linalg.pinv(known) @ cues.in_crop)


def _chosen(is_first: np.ndarray, first: Cues, second: Cues) -> Cues:
    """Returns n views, each from the first or the second set."""

    def of(name: str) -> np.ndarray:
        one, other = getattr(first, name), getattr(second, name)
        return np.where(is_first.reshape(-1, *[1] * (one.ndim - 1)), one, other)

    return Cues(**{item.name: of(item.name) for item in fields(Cues)})
