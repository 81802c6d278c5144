"""Skeletons as run time may see them with the true surfaces: what the mesh stage is trained on."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from hand_mesh_ros.core.cascade.view import look_at_hand
from hand_mesh_ros.core.hand.model import bone_lengths
from models_train.data import joint_noise
from models_train.data.hands import sample_hands, shipped_hand
from models_train.data.shards import StoredViews
from models_train.joint_task import load_joints, sample_joints, view_space

_STEPS = 4  # as at run time


@dataclass(frozen=True)
class Pairs:
    """Right hands; each in one frame of its own, which for those with a view is the virtual camera."""

    joints_m: np.ndarray  # (n, 21, 3) of average adult size
    vertices_m: np.ndarray  # (n, V, 3)
    embedding: np.ndarray  # (n, W) of the view, zero where there is none
    seen: np.ndarray  # (n,) 1 where there is a view


class PairSource(Protocol):
    """Makes pairs."""

    recipe: str
    embedding_size: int
    view_space: str  # of the encoder that made the embeddings

    def sample(self, rng: np.random.Generator, n: int) -> Pairs:
        """`n` random pairs of training."""
        ...

    def held_out(self, n: int) -> Pairs:
        """The first `n` pairs that are kept from training."""
        ...


class StageOnePairs:
    """Samples of the trained joint stage on stored views."""

    def __init__(self, run: Path, views: Path) -> None:
        """Loads the joint stage and the views."""
        self._net = load_joints(run)
        self._views = {kind: StoredViews(views, kind, with_surface=True) for kind in ("train", "held_out")}
        self._bone_sum_m = shipped_hand().bone_lengths_m.sum()
        self.embedding_size = self._net.encoder.unseen.numel()
        self.view_space = view_space(self._net)
        self.recipe = "samples of the joint stage on stored views"

    def sample(self, rng: np.random.Generator, n: int) -> Pairs:
        stored = self._views["train"]
        return self._pairs(stored, stored.random_rows(rng, n), stored.random_given(rng, n))

    def held_out(self, n: int) -> Pairs:
        rows = np.arange(min(n, len(self._views["held_out"])))
        return self._pairs(self._views["held_out"], rows, np.ones((len(rows), 3)))

    def _pairs(self, stored: StoredViews, rows: np.ndarray, given: np.ndarray) -> Pairs:
        seen, features = stored.pick(rows, given)
        view = look_at_hand(seen.cues)
        condition, image = torch.from_numpy(view.condition), torch.from_numpy(features)
        with torch.no_grad():
            joints_m = sample_joints(self._net, condition, image, 1, _STEPS)[:, 0]
            embedding = self._net.encoder(condition, image).numpy()
        joints_m = joints_m - joints_m[:, :1]
        joints_m *= self._bone_sum_m / bone_lengths(joints_m).sum(-1)[:, None, None]
        vertices_m = stored.vertices_m(rows) @ np.swapaxes(view.virtual_from_camera, -1, -2)
        return Pairs(joints_m, vertices_m, embedding, np.ones(len(rows)))


class NoisyTruthPairs:
    """True skeletons with modelled errors, for training without a joint stage and for comparison; held out are those of views."""

    def __init__(self, other: StageOnePairs) -> None:
        self._other = other
        self.recipe, self.embedding_size, self.view_space = joint_noise.RECIPE, other.embedding_size, other.view_space

    def sample(self, rng: np.random.Generator, n: int) -> Pairs:
        hands = sample_hands(rng, n)
        joints_m = joint_noise.disturb(rng, hands.joints_m)
        return Pairs(joints_m, hands.vertices_m, np.zeros((n, self.embedding_size)), np.zeros(n))

    def held_out(self, n: int) -> Pairs:
        return self._other.held_out(n)


class MixedPairs:
    """Half of either: the mesh must make the best of what is sampled, and lie on a skeleton that is right."""

    def __init__(self, sampled: StageOnePairs) -> None:
        self._halves: tuple[PairSource, PairSource] = (sampled, NoisyTruthPairs(sampled))
        self.recipe = f"half {self._halves[0].recipe}, half {self._halves[1].recipe}"
        self.embedding_size, self.view_space = sampled.embedding_size, sampled.view_space

    def sample(self, rng: np.random.Generator, n: int) -> Pairs:
        parts = [half.sample(rng, count) for half, count in zip(self._halves, (n - n // 2, n // 2))]
        return Pairs(*(np.concatenate([getattr(part, item.name) for part in parts]) for item in fields(Pairs)))

    def held_out(self, n: int) -> Pairs:
        return self._halves[0].held_out(n)
