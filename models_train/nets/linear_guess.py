"""Best linear estimate of a clean mesh from a noisy mesh, for a Gaussian over the principal components of hands.

A closed form gives this estimate at every time. The network only adds a correction, so it need not learn the spread of hands.
Without the linear estimate, the network underestimates this spread: its predictions are too near to the mean, and the generated
hands are too similar.
"""

import math

import torch
from torch import nn

from hand_mesh_ros.core.hand.components import HandComponents
from hand_mesh_ros.core.models.noise import OFFSET, TRAINING_STEPS


class LinearGuess(nn.Module):
    """Mean of the clean mesh given a noisy mesh, as offsets from the template: (B, V, 3) -> (B, V, 3).

    For a clean sample x of mean m and variance s^2 along a direction, and y = sqrt(a) x + sqrt(1 - a) noise, the mean of x given
    y is m + s^2 sqrt(a) / (a s^2 + 1 - a) (y - sqrt(a) m).
    """

    def __init__(self, components: HandComponents, template_m: torch.Tensor, unit_m: float) -> None:
        """Prepares the directions.

        Args:
            components: principal components of hands in the palm frame.
            template_m: (V, 3), reference of the offsets.
            unit_m: unit of the offsets.
        """
        super().__init__()
        basis = torch.from_numpy(components.basis_m).flatten(1).double() / unit_m
        rest = (components.rest_std_m / unit_m) ** 2
        variances = basis.square().sum(1)
        # Rounded to the precision of the exported file, so the network and the file agree.
        directions = (basis / variances.sqrt()[:, None]).half().float()
        mean = ((torch.from_numpy(components.mean_m) - template_m) / unit_m).half().float()
        self.register_buffer("directions", directions, persistent=False)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("variances", (variances + rest).float(), persistent=False)
        self.rest = rest
        self.std = math.sqrt((variances.sum().item() / mean.numel()) + rest)  # of one coordinate

    def forward(self, noisy_mesh: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        kept = alpha_bar_of(time)[:, None]
        deviation = noisy_mesh - kept.sqrt()[..., None] * self.mean
        along = deviation.flatten(1) @ self.directions.T
        of_rest = self.rest * kept.sqrt() / (kept * self.rest + 1 - kept)
        gain = self.variances * kept.sqrt() / (kept * self.variances + 1 - kept) - of_rest
        return self.mean + of_rest[..., None] * deviation + ((gain * along) @ self.directions).unflatten(1, self.mean.shape)


def alpha_bar_of(time: torch.Tensor) -> torch.Tensor:
    """Returns `core.noise.alpha_bar` of times (B,), with operations that torch can export."""
    angle = (time / TRAINING_STEPS + OFFSET) / (1 + OFFSET) * (math.pi / 2)
    return (angle.cos() / math.cos(OFFSET / (1 + OFFSET) * math.pi / 2)).square().clamp(0, 1)
