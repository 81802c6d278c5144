"""Laws of the palm stage: anchors, input, decoding, suppression."""

import numpy as np
import pytest

from hand_mesh_ros.core.detect import palm
from hand_mesh_ros.core.detect.palm_input import INPUT_PX, letterbox


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def test_anchors_fill_two_grids_symmetrically() -> None:
    anchors = palm.anchors_px()
    assert anchors.shape == (2016, 2)
    assert len(np.unique(anchors[:1152], axis=0)) == 24 * 24
    assert len(np.unique(anchors[1152:], axis=0)) == 12 * 12
    for axis in (0, 1):
        flipped = anchors.copy()
        flipped[:, axis] = INPUT_PX - 1 - flipped[:, axis]
        np.testing.assert_allclose(np.sort(flipped[:, axis]), np.sort(anchors[:, axis]), atol=1e-4)


def test_a_zero_answer_lies_on_its_anchor() -> None:
    anchors = palm.anchors_px()
    boxes, keypoints, scores = palm.decode(np.zeros((2016, 18), np.float32), np.ones(2016), anchors, 0.5)
    np.testing.assert_array_equal(boxes, np.hstack([anchors, anchors]))
    np.testing.assert_array_equal(keypoints, np.repeat(anchors[:, None], 7, axis=1))
    assert len(scores) == 2016


def test_decoding_drops_low_scores_and_numbers_that_are_not_finite() -> None:
    answers, scores = np.ones((2016, 18), np.float32), np.zeros(2016, np.float32)
    scores[[3, 5, 8]] = 0.9
    scores[11] = np.nan
    answers[5, 7] = np.nan
    answers[8, 0] = np.inf
    assert len(palm.decode(answers, scores, palm.anchors_px(), 0.5)[2]) == 1


@pytest.mark.parametrize("size", [(192, 192), (384, 384), (640, 480), (480, 640), (1280, 720), (300, 5), (100, 60)])
def test_letterbox_maps_pixels_back_to_where_they_were(size: tuple[int, int]) -> None:
    width, height = size
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    image, (gain, shift) = letterbox(np.stack([x, y, np.full_like(x, 255)], -1).astype(np.uint8))
    assert image.shape == (INPUT_PX, INPUT_PX, 3)
    rows, columns = np.nonzero(image[..., 2] == 255)
    came_from = np.stack([columns, rows], -1) * gain + shift
    assert came_from.min() >= -0.5
    assert np.all(came_from <= np.array(size) - 0.5)
    expected = np.clip(came_from / (np.maximum(np.array(size), 2) - 1), 0, 1) * 255
    inner = (came_from > 2 * gain).all(1) & (came_from < np.array(size) - 1 - 2 * gain).all(1)
    np.testing.assert_allclose(image[rows, columns, :2][inner], expected[inner], atol=2)


def test_letterbox_centres_the_image() -> None:
    image, _ = letterbox(np.full((300, 600, 3), 255, np.uint8))
    filled = image[..., 0] > 0
    np.testing.assert_array_equal(filled, filled[::-1])
    np.testing.assert_array_equal(filled, filled[:, ::-1])
    assert filled.sum() == 96 * 192


def test_suppression_keeps_distant_boxes_and_merges_near_ones(rng: np.random.Generator) -> None:
    near = np.array([10.0, 10, 50, 50]) + rng.uniform(-1, 1, (6, 4))
    far = np.array([100.0, 100, 140, 140]) + rng.uniform(-1, 1, (4, 4))
    boxes, scores = np.concatenate([near, far]), rng.uniform(0.5, 1, 10)
    keypoints = rng.uniform(0, 192, (10, 7, 2))
    order = rng.permutation(10)
    merged, points, best = palm.suppress(boxes[order], keypoints[order], scores[order])
    assert len(merged) == 2
    assert best[0] >= best[1]
    first, second = (slice(0, 6), slice(6, 10)) if scores[:6].max() > scores[6:].max() else (slice(6, 10), slice(0, 6))
    for index, group in enumerate((first, second)):
        weights = scores[group] / scores[group].sum()
        np.testing.assert_allclose(merged[index], weights @ boxes[group])
        np.testing.assert_allclose(points[index], np.tensordot(weights, keypoints[group], 1))
        assert best[index] == scores[group].max()


def test_suppression_is_idempotent_and_ends_on_boxes_without_area(rng: np.random.Generator) -> None:
    boxes = np.repeat(rng.uniform(0, 192, (20, 2)), 2, axis=0).reshape(20, 4)
    keypoints, scores = rng.uniform(0, 192, (20, 7, 2)), rng.uniform(0.5, 1, 20)
    once = palm.suppress(boxes, keypoints, scores)
    assert len(once[0]) == 20
    for one, two in zip(once, palm.suppress(*once)):
        np.testing.assert_allclose(one, two)


def test_nothing_suppressed_is_nothing() -> None:
    boxes, keypoints, scores = palm.suppress(np.empty((0, 4)), np.empty((0, 7, 2)), np.empty(0))
    assert boxes.shape == (0, 4)
    assert keypoints.shape == (0, 7, 2)
    assert scores.shape == (0,)


def test_overlap_is_one_with_itself_and_zero_apart() -> None:
    box = np.array([0.0, 0, 10, 10])
    others = np.array([[0.0, 0, 10, 10], [10, 0, 20, 10], [5, 0, 15, 10]])
    np.testing.assert_allclose(palm.overlap(box, others), [1, 0, 1 / 3])
