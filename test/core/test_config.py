"""Settings refuse what they cannot mean, and say what they would take."""

from dataclasses import FrozenInstanceError, fields

import pytest

from hand_mesh_ros.core.config import PipelineConfig


def test_defaults_are_within_their_own_limits_and_described():
    config = PipelineConfig()
    for item in fields(config):
        assert item.metadata["doc"]
        assert isinstance(getattr(config, item.name), type(item.default))


@pytest.mark.parametrize("name", [item.name for item in fields(PipelineConfig) if item.metadata["limits"]])
def test_both_limits_are_allowed_and_what_is_beyond_is_named(name):
    item = next(item for item in fields(PipelineConfig) if item.name == name)
    low, high = item.metadata["limits"]
    kind = type(item.default)
    for value in (low, high):
        assert getattr(PipelineConfig(**{name: kind(value)}), name) == value
    for value in (kind(low - 1), kind(high + 1)):
        with pytest.raises(ValueError, match=rf"{name} is {value}, allowed are"):
            PipelineConfig(**{name: value})


def test_not_a_number_is_refused():
    with pytest.raises(ValueError, match="user_hand_scale is nan"):
        PipelineConfig(user_hand_scale=float("nan"))


def test_an_unknown_device_is_refused_with_the_choices():
    with pytest.raises(ValueError, match="device is 'gpu', allowed are auto, cpu, cuda, tensorrt"):
        PipelineConfig(device="gpu")


def test_settings_cannot_change_under_way():
    config = PipelineConfig()
    with pytest.raises(FrozenInstanceError):
        config.seed = 3
