"""Attention between signals (P, B, C) with the positions first, like the signals of the graph layers."""

import torch
from torch import nn
from torch.nn import functional

_HEAD_WIDTH = 32


class Attention(nn.Module):
    """Multi-head attention from query positions to context positions, without normalisation and residual."""

    def __init__(self, width: int, context_width: int | None = None) -> None:
        """Draws the weights.

        Args:
            width: channels of queries and output; one head per 32 channels, at least one head.
            context_width: channels of the context; None for `width`.
        """
        super().__init__()
        self.heads = max(1, width // _HEAD_WIDTH)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(context_width or width, 2 * width)
        self.merge = nn.Linear(width, width)

    def forward(self, queries: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Returns (Q, B, C) from queries (Q, B, C) and a context (T, B, D)."""
        key, value = self.key_value(context).chunk(2, -1)
        gathered = functional.scaled_dot_product_attention(
            self._by_head(self.query(queries)), self._by_head(key), self._by_head(value)
        )
        return self.merge(gathered.permute(2, 0, 1, 3).flatten(2))

    def _by_head(self, signal: torch.Tensor) -> torch.Tensor:
        """Splits (P, B, C) into heads: (B, H, P, C / H)."""
        return signal.unflatten(-1, (self.heads, signal.shape[-1] // self.heads)).permute(1, 2, 0, 3)


class TransformerBlock(nn.Module):
    """Transformer block: residual self-attention and a residual two-layer network, pre-normalised; Dosovitskiy et al. 2021."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.attention = Attention(width)
        self.layers = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * width, width), nn.Dropout(dropout)
        )

    def start_as_identity(self) -> None:
        """Sets the block's residual to zero at the start of the training."""
        for layer in (self.attention.merge, self.layers[-2]):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, signal: torch.Tensor) -> torch.Tensor:
        normalised = self.norms[0](signal)
        signal = signal + self.attention(normalised, normalised)
        return signal + self.layers(self.norms[1](signal))
