"""Graph convolution and pooling on a fixed mesh, by dense matrices.

Signals are (V, B, C), vertices first. A graph operator is then one matrix product over all samples and channels, in torch and in
the exported file.
"""

import torch
from torch import nn


def on_vertices(matrix: torch.Tensor, signal: torch.Tensor) -> torch.Tensor:
    """Applies a matrix (W, V) to a signal (V, B, C). Returns (W, B, C)."""
    return (matrix @ signal.flatten(1)).reshape(matrix.shape[0], -1, signal.shape[-1])


class Resample(nn.Module):
    """Transfers signals (V, B, C) to the next level of the hierarchy, (W, B, C)."""

    def __init__(self, matrix: torch.Tensor) -> None:
        super().__init__()
        # The weights do not contain this matrix. The hand model has the matrix, and the checkpoint has the model's digest.
        self.register_buffer("matrix", matrix, persistent=False)

    def forward(self, signal: torch.Tensor) -> torch.Tensor:
        return on_vertices(self.matrix, signal)


class ChebyshevConv(nn.Module):
    """Sum over k of T_k(L) x W_k plus a bias per vertex, (V, B, C_in) -> (V, B, C_out); Defferrard et al. 2016, eq. 4.

    The recurrence runs on the side of the weights with fewer channels: forwards on the input, or as Clenshaw's backwards
    recurrence on the output.
    """

    def __init__(self, laplacian: torch.Tensor, n_in: int, n_out: int, order: int) -> None:
        """Draws the weights.

        Args:
            laplacian: (V, V) symmetric normalised, eigenvalues in 0..2.
            n_in: channels of the input.
            n_out: channels of the output.
            order: number of polynomials, at least 2; the range is `order` - 1 edges.
        """
        super().__init__()
        if order < 2:
            raise ValueError(f"a graph convolution of order {order} sees no neighbours; give at least 2")
        n_vertices = len(laplacian)
        self.register_buffer("scaled", laplacian - torch.eye(n_vertices), persistent=False)
        self.weight = nn.Parameter(torch.randn(order, n_in, n_out) * (order * n_in) ** -0.5)
        self.bias = nn.Parameter(torch.zeros(n_vertices, 1, n_out))

    def forward(self, signal: torch.Tensor) -> torch.Tensor:
        _, n_in, n_out = self.weight.shape
        return (self._forwards(signal) if n_in <= n_out else self._backwards(signal)) + self.bias

    def _forwards(self, signal: torch.Tensor) -> torch.Tensor:
        terms = [signal, on_vertices(self.scaled, signal)]
        while len(terms) < len(self.weight):
            terms.append(2 * on_vertices(self.scaled, terms[-1]) - terms[-2])
        return torch.cat(terms, -1) @ self.weight.flatten(0, 1)

    def _backwards(self, signal: torch.Tensor) -> torch.Tensor:
        terms = [signal @ weight for weight in self.weight]
        last, before = terms[-1], torch.zeros_like(terms[-1])
        for term in reversed(terms[1:-1]):
            last, before = term + 2 * on_vertices(self.scaled, last) - before, last
        return terms[0] + on_vertices(self.scaled, last) - before
