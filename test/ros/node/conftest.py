"""What the tests of a real node share: a rendered hand."""

from types import SimpleNamespace

import pytest
from camera import SIZE

from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.synthetic.camera import SyntheticCamera


@pytest.fixture(scope="module")
def view(model: HandModel) -> SimpleNamespace:
    """A rendered hand with its depth, and the camera that saw it."""
    camera = SyntheticCamera(model, SIZE)
    moment = camera.at(0.0)
    return SimpleNamespace(rgb=moment.rgb, depth_m=moment.depth_m, k=camera.camera_matrix)
