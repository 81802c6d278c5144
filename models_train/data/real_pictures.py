"""Pictures of real hands for the graph diffusion (`models_train.datasets.views --pictures`).

A file holds few hundred pictures. The training uses one file for some steps, then the next file.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from hand_mesh_ros.core.hand.model import HandModel
from models_train.data import views
from models_train.data.graph_samples import STEPS_PER_SHARD, GraphSamples, with_errors
from models_train.data.real_views import RealView

# Share of the pictures at the end of each file that only validate.
_SHARE_HELD_OUT = 0.05


@dataclass(frozen=True)
class RealPicture(RealView):
    """A view with its picture and a surface of the shipped hand model."""

    picture: np.ndarray  # (224, 224, 3) uint8 crop of the detector; a left hand is mirrored
    vertices_m: np.ndarray  # (V, 3) float16 relative to the wrist, from the mesh stage and the annotated skeleton


class RealPictures:
    """Pictures of a folder. Has the same methods as `graph_samples.StoredHands`."""

    def __init__(self, folder: Path, is_held_out: bool) -> None:
        """Lists the files.

        Args:
            folder: output folder of `models_train.datasets.views`.
            is_held_out: use the pictures of the validation instead of those of the training.

        Raises:
            ValueError: if the folder has no pictures.
        """
        self._paths, self._is_held_out = sorted(folder.glob("*.npz")), is_held_out
        heads = [np.load(path) for path in self._paths]
        if not heads or any("picture" not in head.files for head in heads):
            raise ValueError(f"no pictures in {folder}, or views without; use python -m models_train.datasets.views --pictures")
        self.licence = str(heads[0]["licence"])
        count = sum(len(head["depth"]) for head in heads)
        self.recipe = f"{count} pictures of {', '.join(sorted({str(head['title']) for head in heads}))}"

    def sample(self, rng: np.random.Generator, n: int, step: int, hand: HandModel) -> GraphSamples:
        """Returns `n` random hands of the file for `step`. The features are pictures (n, 3, 224, 224), 0..1."""
        shard = _load(self._paths[step // STEPS_PER_SHARD % len(self._paths)])
        count = len(shard["depth"])
        # A file of one or two pictures has no pictures that only validate.
        middle = count - max(1, round(_SHARE_HELD_OUT * count)) if count > 2 else 0
        low, high = (middle, count) if self._is_held_out or not middle else (0, middle)
        rows = rng.integers(low, high, size=n)
        row = {name: array[rows] for name, array in shard.items()}
        modelled, seen = views.observe(rng, row["joints_m"].astype(np.float64)), row["is_detected"]
        rays = np.where(seen[:, None, None], row["rays"], modelled.rays)
        confidence = np.where(seen[:, None], row["confidence"], modelled.confidence)
        pictures = row["picture"].transpose(0, 3, 1, 2).astype(np.float32) / 255
        return with_errors(rng, hand, row["vertices_m"].astype(np.float64), row["joints_m"], rays, confidence, pictures)


@lru_cache(maxsize=2)
def _load(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as shard:
        return {name: shard[name] for name in RealPicture.__dataclass_fields__}
