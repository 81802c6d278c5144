"""Training data of the mesh stage: inexact skeletons, as at run time, with the true surfaces."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from hand_mesh_ros.core.cascade.view import FEATURES_SHAPE, look_at_hand
from hand_mesh_ros.core.hand.model import bone_lengths
from hand_mesh_ros.core.topology import N_JOINTS
from models_train.data import joint_noise, views
from models_train.hands.sample import HandBatch, sample_hands, shipped_hand
from models_train.tasks.joints import inherited_facts, load_joints, sample_joints

_STEPS = 4  # as at run time
_HELD_OUT_SEED = 50_000


@dataclass(frozen=True)
class Pairs:
    """Right hands, each in its own frame. For hands with a view, the frame is the virtual camera."""

    joints_m: np.ndarray  # (n, 21, 3) of average adult size
    vertices_m: np.ndarray  # (n, V, 3)
    embedding: np.ndarray  # (n, W) of the view, zero without a view
    seen: np.ndarray  # (n,) 1 for a hand with a view


class PairSource(Protocol):
    """Makes pairs."""

    recipe: str
    embedding_size: int
    view_space: str  # of the encoder that made the embeddings
    licence: str  # of weights trained on the pairs; empty without a restriction

    def sample(self, rng: np.random.Generator, n: int) -> Pairs:
        """Returns `n` random pairs of the training set."""
        ...

    def held_out(self, n: int) -> Pairs:
        """Returns the first `n` pairs of the held-out set."""
        ...


class StageOnePairs:
    """Samples of the trained joint stage on modelled views of random hands."""

    def __init__(self, run: Path, natural_share: float) -> None:
        """Loads the joint stage.

        Args:
            run: run folder of the joint stage.
            natural_share: share of recorded poses; above 0 the views are also natural.
        """
        self._net, self.natural_share = load_joints(run), natural_share
        self._bone_sum_m = shipped_hand().bone_lengths_m.sum()
        self.embedding_size = self._net.size.width
        facts = inherited_facts(run)
        self.view_space, self.licence = facts["view_space"], facts.get("licence", "")
        self.recipe = f"samples of the joint stage on modelled views, natural share {natural_share}"

    def sample(self, rng: np.random.Generator, n: int) -> Pairs:
        return self._pairs(rng, sample_hands(rng, n, natural_share=self.natural_share))

    def held_out(self, n: int) -> Pairs:
        rng = np.random.default_rng(_HELD_OUT_SEED)
        return self._pairs(rng, sample_hands(rng, n, True, self.natural_share))

    def _pairs(self, rng: np.random.Generator, hands: HandBatch) -> Pairs:
        placed = views.place(rng, np.concatenate([hands.joints_m, hands.vertices_m], 1), self.natural_share > 0)
        true_joints_m, vertices_m = np.split(placed, [N_JOINTS], axis=1)
        view = look_at_hand(views.observe(rng, views.redefined(rng, true_joints_m)))
        condition = torch.from_numpy(view.condition)
        features = torch.zeros(len(condition), *FEATURES_SHAPE) if self._net.size.looks else None
        joints_m = sample_joints(self._net, condition, features, 1, _STEPS)[:, 0]
        joints_m = joints_m - joints_m[:, :1]
        joints_m *= self._bone_sum_m / bone_lengths(joints_m).sum(-1)[:, None, None]
        relative_m = (vertices_m - true_joints_m[:, :1]) @ np.swapaxes(view.virtual_from_camera, -1, -2)
        with torch.no_grad():
            embedding = self._net.encoder(condition, features).numpy()
        return Pairs(joints_m, relative_m.astype(np.float32), embedding, np.ones(len(condition)))


class NoisyTruthPairs:
    """True skeletons with modelled errors, for a training without a joint stage. The held-out set comes from views."""

    def __init__(self, other: StageOnePairs) -> None:
        self._other = other
        self.recipe, self.embedding_size, self.view_space = joint_noise.RECIPE, other.embedding_size, other.view_space
        self.licence = ""  # the joint stage has no influence on these pairs

    def sample(self, rng: np.random.Generator, n: int) -> Pairs:
        hands = sample_hands(rng, n, natural_share=self._other.natural_share)
        joints_m = joint_noise.disturb(rng, hands.joints_m)
        return Pairs(joints_m, hands.vertices_m, np.zeros((n, self.embedding_size)), np.zeros(n))

    def held_out(self, n: int) -> Pairs:
        return self._other.held_out(n)


class MixedPairs:
    """Half of each kind. The mesh must handle sampled skeletons and must fit correct skeletons."""

    def __init__(self, sampled: StageOnePairs) -> None:
        self._halves: tuple[PairSource, PairSource] = (sampled, NoisyTruthPairs(sampled))
        self.recipe = f"half {self._halves[0].recipe}, half {self._halves[1].recipe}"
        self.embedding_size, self.view_space, self.licence = sampled.embedding_size, sampled.view_space, sampled.licence

    def sample(self, rng: np.random.Generator, n: int) -> Pairs:
        parts = [half.sample(rng, count) for half, count in zip(self._halves, (n - n // 2, n // 2))]
        return Pairs(*(np.concatenate([getattr(part, item.name) for part in parts]) for item in fields(Pairs)))

    def held_out(self, n: int) -> Pairs:
        return self._halves[0].held_out(n)
