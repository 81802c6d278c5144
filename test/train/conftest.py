"""Tests of the training side; they are left out where torch is not installed, as on a robot."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("torch") else ["test_*.py"]
if find_spec("torch"):
    import torch

    # These nets are so small that handing work to a second thread costs more than it saves.
    torch.set_num_threads(1)
