"""Curves of a training for TensorBoard: `tensorboard --logdir runs`. Without the package tensorboard, there are no curves."""

from pathlib import Path
from types import TracebackType
from typing import Any

FOLDER = "curves"


class Curves:
    """Writes the lines of a training log as curves."""

    def __init__(self, run: Path | None) -> None:
        """Opens the folder of the curves in a run folder; None writes no curves."""
        self._writer = None
        if run is None:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return
        self._writer = SummaryWriter(str(run / FOLDER))

    def __enter__(self) -> "Curves":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._writer is not None:
            self._writer.close()

    def add(self, line: dict[str, Any]) -> None:
        """Adds a line of the log, see `train_loop.Trainer`. Names of validation figures start with "validation/"."""
        if self._writer is None:
            return
        figures = {f"training/{name}": value for name, value in line.items() if name not in ("step", "validation")}
        figures |= {f"validation/{name}": value for name, value in line["validation"].items()}
        for name, value in figures.items():
            self._writer.add_scalar(name, value, line["step"])
