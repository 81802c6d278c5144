"""What the tests of a real node share: a rendered hand, and graphs that end with their test."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
from camera import SIZE
from graph import Graph

from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.synthetic.camera import SyntheticCamera


@pytest.fixture(scope="module")
def view(model: HandModel) -> SimpleNamespace:
    """A rendered hand with its depth, and the camera that saw it."""
    camera = SyntheticCamera(model, SIZE)
    moment = camera.at(0.0)
    return SimpleNamespace(rgb=moment.rgb, depth_m=moment.depth_m, k=camera.camera_matrix)


@pytest.fixture
def make_graph() -> Iterator[Callable[[str], Graph]]:
    """Factory of graphs that are left at the end of the test."""
    graphs: list[Graph] = []

    def make(name: str) -> Graph:
        graphs.append(Graph(name))
        return graphs[-1]

    yield make
    for graph in graphs:
        graph.close()
