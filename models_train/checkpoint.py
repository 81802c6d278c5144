"""Checkpoints: everything needed to go on exactly, and to tell later where weights came from."""

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
    """A checkpoint is missing, damaged or of another format."""


@dataclass(frozen=True)
class Checkpoint:
    """State of a training between two steps; plain values and tensors only."""

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
        """Writes the file in one move, so that a killed training leaves the old one whole."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        torch.save({"format": FORMAT, **{name: getattr(self, name) for name in self.__dataclass_fields__}}, partial)
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> "Checkpoint":
        """Reads a file without running code from it.

        Raises:
            CheckpointError: saying what is wrong with the file.
        """
        if not path.is_file():
            raise CheckpointError(f"no checkpoint {path}; train first, or name another run")
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises whatever its unpickler meets
            raise CheckpointError(f"checkpoint {path} cannot be read ({path.stat().st_size} bytes): {error}") from error
        found = content.pop("format", None)
        if found != FORMAT:
            raise CheckpointError(f"checkpoint {path} has format {found}, this version reads {FORMAT}")
        return cls(**content)


def provenance(checkpoint: Checkpoint) -> dict[str, Any]:
    """What a model card says of the training; plain JSON values."""
    without_weights = {"net", "averaged", "optimizer", "random_state", "best_score"}
    return {name: value for name, value in vars(checkpoint).items() if name not in without_weights}


def weights_digest(net: nn.Module) -> str:
    """Short sha256 of a net's weights and buffers: what was made for one net must not meet another."""
    return hashlib.sha256(b"".join(value.cpu().numpy().tobytes() for value in net.state_dict().values())).hexdigest()[:12]


def git_commit() -> str:
    """Commit of the sources, with "+changes" if tracked files differ from it; "unknown" outside a checkout."""
    root = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
