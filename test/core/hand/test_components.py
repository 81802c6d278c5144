"""The file of principal components: what it says of hands, and that a foreign or missing one is named."""

from pathlib import Path

import numpy as np
import pytest

from hand_mesh_ros.core.hand import components as hand_components
from hand_mesh_ros.core.hand import model as hand_model
from hand_mesh_ros.core.hand.components import HandComponents
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.models.onnx_model import ModelError, default_models_dir

PATH = default_models_dir() / hand_components.FILE_NAME


@pytest.fixture(scope="module")
def hand() -> HandModel:
    return HandModel.load(default_models_dir() / hand_model.FILE_NAME)


@pytest.fixture(scope="module")
def components(hand) -> HandComponents:
    return HandComponents.load(PATH, hand)


def test_directions_are_orthogonal_and_sorted(components):
    flat = components.basis_m.reshape(len(components.basis_m), -1).astype(np.float64)
    gram = flat @ flat.T
    lengths = np.sqrt(np.diagonal(gram))
    assert np.all(np.diff(lengths) <= 1e-6)
    np.testing.assert_allclose(gram / np.outer(lengths, lengths), np.eye(len(flat)), atol=2e-3)


def test_what_is_left_out_is_small(components):
    assert 0.02 < components.vertex_std_m < 0.04
    assert components.rest_std_m < 0.02 * components.vertex_std_m


def test_saving_and_loading_keeps_them(components, hand, tmp_path: Path):
    path = tmp_path / "components.npz"
    components.save(path, hand)
    again = HandComponents.load(path, hand)
    np.testing.assert_allclose(again.basis_m, components.basis_m, rtol=1e-3, atol=1e-7)


def test_a_missing_a_damaged_and_a_foreign_file_are_named(components, hand, tmp_path: Path):
    with pytest.raises(ModelError, match="missing"):
        HandComponents.load(tmp_path / "none.npz", hand)
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes(PATH.read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot be read"):
        HandComponents.load(damaged, hand)
    foreign = tmp_path / "foreign.npz"
    arrays = dict(np.load(PATH))
    np.savez(foreign, **{**arrays, "topology": np.array("another")})
    with pytest.raises(ModelError, match="topology another"):
        HandComponents.load(foreign, hand)


def test_a_truncated_hand_model_is_named_too(tmp_path: Path):
    path = tmp_path / hand_model.FILE_NAME
    path.write_bytes((default_models_dir() / hand_model.FILE_NAME).read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot be read"):
        HandModel.load(path)
