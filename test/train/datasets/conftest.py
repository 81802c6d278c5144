"""Rendered hands for the tests that run the real detector."""

from importlib.util import find_spec

import pytest

collect_ignore_glob = [] if find_spec("torch") else ["test_*.py"]


@pytest.fixture(scope="session")
def rendered() -> list:
    """Five pictures of right hands."""
    from tiny_datasets import hands

    return hands(5, seed=3)
