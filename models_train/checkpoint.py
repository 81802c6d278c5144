"""Checkpoints: the complete state to resume a training exactly, and the origin of the weights."""

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

FORMAT = 1
LAST, BEST = "last.pt", "best.pt"


class CheckpointError(RuntimeError):
    """A checkpoint is missing or damaged, or has another format."""


@dataclass(frozen=True)
class Checkpoint:
    """State of a training between two steps. The state holds only plain values and tensors."""

    config: dict[str, Any]  # of the task's config
    facts: dict[str, Any]  # of the task
    commit: str
    step: int
    elapsed_s: float
    best_score: float
    metrics: dict[str, float]  # of the last validation
    net: dict[str, torch.Tensor]
    averaged: dict[str, torch.Tensor]  # moving average of `net`, the weights to use
    optimizer: dict[str, Any]
    random_state: torch.Tensor  # of torch's generator

    def save(self, path: Path) -> None:
        """Writes a temporary file and renames it, so that a killed training does not damage the old checkpoint."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        torch.save({"format": FORMAT, **{name: getattr(self, name) for name in self.__dataclass_fields__}}, partial)
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> "Checkpoint":
        """Reads a file without running code from the file.

        Raises:
            CheckpointError: if the file is missing or not readable, or has another format.
        """
        if not path.is_file():
            raise CheckpointError(f"no checkpoint {path}; train first, or choose another run")
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch can raise any error of its unpickler
            raise CheckpointError(f"checkpoint {path} cannot be read ({path.stat().st_size} bytes): {error}") from error
        found = content.pop("format", None)
        if found != FORMAT:
            raise CheckpointError(f"checkpoint {path} has format {found}; this version reads format {FORMAT}")
        return cls(**content)


def provenance(checkpoint: Checkpoint) -> dict[str, Any]:
    """Returns the facts about the training for a model card, as plain JSON values."""
    without_weights = {"net", "averaged", "optimizer", "random_state", "best_score"}
    return {name: value for name, value in vars(checkpoint).items() if name not in without_weights}


def weights_digest(net: nn.Module) -> str:
    """Returns a short sha256 of a network's weights and buffers. Files for another network have another digest."""
    return hashlib.sha256(b"".join(value.cpu().numpy().tobytes() for value in net.state_dict().values())).hexdigest()[:12]


def git_commit() -> str:
    """Returns the commit of the sources, with "+changes" after local changes; "unknown" outside a checkout."""
    root = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
