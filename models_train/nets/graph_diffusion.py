"""Denoiser of whole meshes: a U-net over the hierarchy of the hand; HHMR (Li et al., CVPR 2024), section 4.2.

Every block has a graph convolution, a self-attention and a cross-attention to the tokens of the condition. Most blocks also
change the level. Signals are (V, B, C), vertices first. Self-attention between all vertices would take most of the time with
little benefit. On the two finest levels, the queries are therefore all vertices, but keys and values come from the next level
with at most `MOST_KEYS` vertices.

Cross-attention would have to learn the relation between joints and vertices. The skin weights contain this relation. Every block
therefore spreads the joint tokens over the surface by the skin weights. This step is not in the paper; it saves most of a short
training.
"""

from dataclasses import dataclass, field
from itertools import accumulate, pairwise

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from hand_mesh_ros.core.hand.components import UNIT_M, HandComponents
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.topology import N_JOINTS, PARENTS
from models_train.nets.attention import Attention
from models_train.nets.blocks import TimeEmbedding
from models_train.nets.condition_tokens import ConditionTokens, TokenSize
from models_train.nets.graph import ChebyshevConv, Resample, on_vertices
from models_train.nets.linear_guess import LinearGuess

MOST_KEYS = 128


@dataclass(frozen=True)
class GraphSize:
    """Sizes of the net."""

    channels: tuple[int, ...] = (16, 32, 64, 128)  # per level of the hierarchy, finest first
    order: int = 3  # of the Chebyshev polynomials
    time_width: int = 128
    only_self_attention: bool = False  # the paper's ablation: self-attention in place of every graph convolution
    tokens: TokenSize = field(default_factory=TokenSize)


class FixedMatrix(nn.Module):
    """A constant matrix (W, V) with mostly zeros. The product is sparse in training on a CPU, and dense in the exported file.

    The sparse product of a graph Laplacian is about ten times as fast. The exported file stores the elements in half precision.
    The network also rounds the elements to half precision, so the network and the file agree.
    """

    def __init__(self, matrix: torch.Tensor) -> None:
        super().__init__()
        self.shape, matrix = matrix.shape, matrix.half().float()
        self.register_buffer("dense", matrix, persistent=False)
        # Three plain tensors, because torch cannot copy, average or export a sparse tensor.
        sparse = matrix.to_sparse_csr()
        for name, part in (("rows", sparse.crow_indices()), ("columns", sparse.col_indices()), ("values", sparse.values())):
            self.register_buffer(name, part.clone(), persistent=False)

    def __matmul__(self, signal: torch.Tensor) -> torch.Tensor:
        if torch.compiler.is_exporting() or signal.device.type != "cpu":
            return self.dense @ signal
        # There is no sparse product in bfloat16.
        with torch.autocast("cpu", enabled=False):
            sparse = torch.sparse_csr_tensor(self.rows, self.columns, self.values, self.shape, check_invariants=False)
            return (sparse @ signal.float()).to(signal.dtype)


class Level:
    """Common matrices of the blocks on one level of the hierarchy. The exported file thus holds each matrix once."""

    def __init__(self, laplacian: torch.Tensor, pool: torch.Tensor | None, skin: torch.Tensor) -> None:
        """Prepares the matrices.

        Args:
            laplacian: (V, V) of the level.
            pool: (W, V) to the level of the keys and values; None for this level.
            skin: (V, 21) weights, column k for the bone that ends in joint k, column 0 for the palm.
        """
        starts = torch.zeros_like(skin).index_add(1, torch.from_numpy(np.maximum(PARENTS, 0)), skin)
        # The start and the end of the bones that move a vertex.
        self.anchors = FixedMatrix(torch.cat([skin, starts], 1))
        self._laplacian, self._operator = laplacian, FixedMatrix(laplacian - torch.eye(len(laplacian)))
        self.pool = nn.Identity() if pool is None else sparse_resample(pool)

    def convolution(self, n_in: int, n_out: int, order: int) -> ChebyshevConv:
        """A graph convolution, (V, B, n_in) -> (V, B, n_out)."""
        convolution = ChebyshevConv(self._laplacian, n_in, n_out, order)
        del convolution.scaled
        convolution.scaled = self._operator
        return convolution


def sparse_resample(matrix: torch.Tensor) -> Resample:
    """A step between levels whose operator is a `FixedMatrix`."""
    resample = Resample(matrix)
    del resample.matrix
    resample.matrix = FixedMatrix(matrix)
    return resample


class GraphBlock(nn.Module):
    """Residual graph convolution, self-attention and cross-attention on one level."""

    def __init__(self, level: Level, width: int, size: GraphSize) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.modulation = nn.Linear(size.time_width, 2 * width)
        self.only_self_attention = size.only_self_attention
        self.local = Attention(width) if size.only_self_attention else level.convolution(width, width, size.order)
        self.pool = level.pool
        self.anchors = level.anchors
        self.of_joints = nn.Linear(2 * size.tokens.width, 2 * width)
        self.self_attention = Attention(width)
        self.cross_attention = Attention(width, size.tokens.width)

    def forward(self, signal: torch.Tensor, tokens: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        """Returns (V, B, C) from a signal (V, B, C), tokens (T, B, D) and features of the time (B, E)."""
        joints = self.of_joints(torch.cat([tokens[:N_JOINTS], tokens[N_JOINTS : 2 * N_JOINTS]], -1))
        signal = signal + on_vertices(self.anchors, torch.cat(joints.chunk(2, -1)))
        shift, scale = self.modulation(time).chunk(2, -1)
        active = functional.silu(self.norms[0](signal) * (1 + scale) + shift)
        signal = signal + (self.local(active, self.pool(active)) if self.only_self_attention else self.local(active))
        normalised = self.norms[1](signal)
        signal = signal + self.self_attention(normalised, self.pool(normalised))
        return signal + self.cross_attention(self.norms[2](signal), tokens)


class GraphDenoiser(nn.Module):
    """Predicts clean meshes (B, V, 3), offsets from the template in `core.hand_components.UNIT_M`, from noisy meshes.

    The inputs are the noisy mesh and the linear estimate. The output is a correction to the linear estimate.
    """

    def __init__(self, hand: HandModel, components: HandComponents, size: GraphSize) -> None:
        """Draws the weights.

        Raises:
            ValueError: if the hand model's hierarchy and the sizes have different numbers of levels.
        """
        super().__init__()
        laplacians = [torch.from_numpy(matrix) for matrix in hand.laplacian]
        down, up = ([torch.from_numpy(matrix) for matrix in matrices] for matrices in (hand.down, hand.up))
        widths = size.channels
        if len(widths) != len(laplacians):
            raise ValueError(f"channels for {len(widths)} levels, the hand model has {len(laplacians)}")
        self.time = nn.Sequential(TimeEmbedding(size.time_width), nn.SiLU())
        skins = list(accumulate(down, lambda skin, matrix: matrix @ skin, initial=torch.from_numpy(hand.skin_weights)))
        levels = [Level(laplacian, pool_of(down, depth), skins[depth]) for depth, laplacian in enumerate(laplacians)]
        self.linear = LinearGuess(components, torch.from_numpy(hand.template_m), UNIT_M)
        self.entry = levels[0].convolution(6, widths[0], size.order)
        self.descent = nn.ModuleList(GraphBlock(level, width, size) for level, width in zip(levels, widths))
        self.coarser = nn.ModuleList(sparse_resample(matrix) for matrix in down)
        self.widen = nn.ModuleList(nn.Linear(n_in, n_out) for n_in, n_out in pairwise(widths))
        # From coarse to fine. The channel mixing comes before the step to more vertices, because fewer vertices cost less.
        self.narrow = nn.ModuleList(nn.Linear(n_in, n_out) for n_in, n_out in pairwise(widths[::-1]))
        self.finer = nn.ModuleList(sparse_resample(matrix) for matrix in up[::-1])
        self.join = nn.ModuleList(nn.Linear(2 * width, width) for width in widths[-2::-1])
        self.ascent = nn.ModuleList(GraphBlock(*level, size) for level in list(zip(levels, widths))[-2::-1])
        self.norm = nn.LayerNorm(widths[0])
        self.exit = levels[0].convolution(widths[0], 3, size.order)
        with torch.no_grad():
            self.exit.weight.mul_(self.linear.std)

    def forward(self, noisy_mesh: torch.Tensor, time: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """Returns clean meshes, (B, V, 3).

        Args:
            noisy_mesh: (B, V, 3).
            time: (B,) in 0..TRAINING_STEPS.
            tokens: (B, T, D) of `ConditionTokens`.
        """
        when, tokens = self.time(time), tokens.transpose(0, 1)
        linear = self.linear(noisy_mesh, time)
        # The two inputs have about unit variance.
        signal = self.entry(torch.cat([noisy_mesh, linear / self.linear.std], -1).transpose(0, 1))
        skips = []
        for block, coarser, widen in zip(self.descent, self.coarser, self.widen):
            signal = block(signal, tokens, when)
            skips.append(signal)
            signal = widen(coarser(signal))
        signal = self.descent[-1](signal, tokens, when)
        for block, narrow, finer, join, skip in zip(self.ascent, self.narrow, self.finer, self.join, skips[::-1]):
            signal = block(join(torch.cat([finer(narrow(signal)), skip], -1)), tokens, when)
        return linear + self.exit(functional.silu(self.norm(signal))).transpose(0, 1)


class GraphNet(nn.Module):
    """The two networks of the method: the condition tokens, once per hand, and the denoiser, once per step."""

    def __init__(self, hand: HandModel, components: HandComponents, size: GraphSize, trunk: nn.Module | None = None) -> None:
        super().__init__()
        self.condition = ConditionTokens(hand, size.tokens, trunk)
        self.denoiser = GraphDenoiser(hand, components, size)


def pool_of(down: list[torch.Tensor], level: int) -> torch.Tensor | None:
    """Returns the matrix from `level` to the next level with at most MOST_KEYS vertices; None if `level` is small enough."""
    pool = None
    for matrix in down[level:]:
        if matrix.shape[1] <= MOST_KEYS:
            break
        pool = matrix if pool is None else matrix @ pool
    return pool
