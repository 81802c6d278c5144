"""Alignment finds the transform that made the data, and never a reflection."""

import numpy as np
import pytest

from hand_mesh_ros.core.geometry import rigid
from hand_mesh_ros.core.geometry.mirror import mirror_points


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def random_rotation(rng: np.random.Generator) -> np.ndarray:
    q = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    return q * np.sign(np.linalg.det(q))


@pytest.mark.parametrize("with_scale", [False, True])
@pytest.mark.parametrize("is_flat", [False, True], ids=["solid", "flat"])
def test_a_known_transform_is_recovered(rng, with_scale, is_flat):
    source = rng.normal(size=(21, 3)) * (1, 1, 0 if is_flat else 1)
    rotation, translation, scale = random_rotation(rng), rng.normal(size=3), 1.7 if with_scale else 1.0
    target = scale * source @ rotation.T + translation
    found = rigid.align(source, target, with_scale=with_scale)
    for value, expected in zip(found, (rotation, translation, scale)):
        np.testing.assert_allclose(value, expected, atol=1e-9)
    np.testing.assert_allclose(rigid.transform(source, *found), target, atol=1e-9)


def test_batches_equal_single_calls(rng):
    sources, targets = rng.normal(size=(2, 5, 21, 3)), rng.normal(size=(21, 3))
    weights = rng.uniform(size=21)
    batch = rigid.align(sources, targets, weights, with_scale=True)
    assert [value.shape for value in batch] == [(2, 5, 3, 3), (2, 5, 3), (2, 5)]
    single = rigid.align(sources[1, 3], targets, weights, with_scale=True)
    for many, one in zip(batch, single):
        np.testing.assert_allclose(many[1, 3], one, atol=1e-12)
    moved = rigid.transform(sources, *batch)
    np.testing.assert_allclose(moved[1, 3], rigid.transform(sources[1, 3], *single), atol=1e-12)


def test_points_of_no_weight_do_not_count(rng):
    source = rng.normal(size=(21, 3))
    rotation = random_rotation(rng)
    target = source @ rotation.T
    target[4] += 10
    found, _, _ = rigid.align(source, target, np.where(np.arange(21) == 4, 0.0, 1.0))
    np.testing.assert_allclose(found, rotation, atol=1e-9)


def test_a_reflection_is_refused(rng):
    source = rng.normal(size=(21, 3))
    rotation, translation, scale = rigid.align(source, mirror_points(source), with_scale=True)
    assert np.linalg.det(rotation) == pytest.approx(1)
    assert np.linalg.norm(rigid.transform(source, rotation, translation, scale) - mirror_points(source), axis=-1).mean() > 0.2


def test_the_similarity_found_is_the_best(rng):
    source, target = rng.normal(size=(2, 21, 3))
    rotation, translation, scale = rigid.align(source, target, with_scale=True)

    def cost(rotation: np.ndarray, translation: np.ndarray, scale: float) -> float:
        return float(((rigid.transform(source, rotation, translation, scale) - target) ** 2).sum())

    best = cost(rotation, translation, scale)
    for _ in range(50):
        turn = np.linalg.qr(rotation + 0.05 * rng.normal(size=(3, 3)))[0]
        turn *= np.sign(np.sum(turn * rotation, axis=0))
        if np.linalg.det(turn) > 0:
            assert cost(turn, translation + 0.02 * rng.normal(size=3), scale * (1 + 0.02 * rng.normal())) >= best
