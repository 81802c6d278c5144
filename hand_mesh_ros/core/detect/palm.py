"""Detects palms in an image: anchors, decoding, weighted non-maximum suppression.

The input of the model is a 192x192 px image. The output is for 2016 anchors: two per cell of a 24x24 grid, six per cell of a
12x12 grid. For each anchor, the output is a box and seven keypoints relative to the centre of the anchor. Method: Zhang et al.
2020, MediaPipe Hands.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hand_mesh_ros.core.detect.palm_input import INPUT_PX, PLAIN, InputView, letterbox, turned_back
from hand_mesh_ros.core.models.onnx_model import OnnxModel

# (cells along a side, anchors in each cell), in the order of the model output.
_GRIDS = ((24, 2), (12, 6))
_SAME_PALM_IOU = 0.3
# Joint numbers (`topology`) of the seven keypoints of a palm.
KEYPOINT_JOINTS = np.array([0, 5, 9, 13, 17, 1, 2])
WRIST, MIDDLE_MCP = 0, 2


@dataclass(frozen=True)
class Palm:
    """A palm in the image."""

    box_px: np.ndarray  # (4,) x, y of the top-left corner, width, height
    keypoints_px: np.ndarray  # (7, 2): wrist, MCPs of index to little, thumb CMC and MCP
    score: float  # in 0..1


class PalmDetector:
    """The palm model with its pre-processing and post-processing."""

    def __init__(self, models_dir: Path, device: str = "auto", threads: int = 0) -> None:
        """Loads `palm_detection.onnx`.

        Raises:
            ModelError: if the file or the device cannot be used. The message gives the problem.
        """
        self._model = OnnxModel(models_dir / "palm_detection.onnx", {"kind": "palm_detection"}, device, threads)
        self._anchors_px = anchors_px()

    def __call__(self, rgb: np.ndarray, min_score: float, view: InputView = PLAIN) -> list[Palm]:
        """Palms with at least `min_score` in a view of an image (H, W, 3) uint8, best first, in pixels of the image."""
        image, image_from_input = letterbox(rgb, view)
        answers = self._model(image=image)
        boxes, keypoints, scores = decode(answers["boxes"], answers["scores"], self._anchors_px, min_score)
        boxes, keypoints, scores = suppress(boxes, keypoints, scores)
        boxes, keypoints = turned_back(boxes, keypoints, view)
        gain, shift = image_from_input
        return [
            Palm(np.concatenate([(box[:2] * gain + shift), (box[2:] - box[:2]) * gain]), points * gain + shift, float(score))
            for box, points, score in zip(boxes, keypoints, scores)
        ]


def anchors_px() -> np.ndarray:
    """(2016, 2) centres of the anchors in the model's input, pixel centres at integers."""
    layers = []
    for cells, repeats in _GRIDS:
        centres = (np.arange(cells) + 0.5) * (INPUT_PX / cells) - 0.5
        x, y = np.meshgrid(centres, centres)
        layers.append(np.repeat(np.stack([x, y], -1).reshape(-1, 2), repeats, axis=0))
    return np.concatenate(layers).astype(np.float32)


def decode(
    boxes: np.ndarray, scores: np.ndarray, anchors: np.ndarray, min_score: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes and keypoints of the anchors with a score of at least `min_score`.

    Args:
        boxes: (A, 18) centre, size and seven keypoints, relative to the anchor, in input pixels.
        scores: (A,) in 0..1.
        anchors: (A, 2) centres in input pixels.
        min_score: anchors with a lower score are dropped. Anchors with outputs that are not finite are always dropped.

    Returns:
        corners (N, 4) as x0, y0, x1, y1; keypoints (N, 7, 2); scores (N,).
    """
    kept = np.flatnonzero((scores >= min_score) & np.isfinite(boxes).all(1))
    boxes, anchors = boxes[kept], anchors[kept]
    centre, half = boxes[:, :2] + anchors, 0.5 * boxes[:, 2:4]
    keypoints = boxes[:, 4:].reshape(-1, len(KEYPOINT_JOINTS), 2) + anchors[:, None]
    return np.concatenate([centre - half, centre + half], axis=1), keypoints, scores[kept]


def suppress(boxes: np.ndarray, keypoints: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Combines overlapping boxes to one result per palm: their mean, weighted by score. Best palm first.

    Args:
        boxes: (N, 4) as x0, y0, x1, y1.
        keypoints: (N, 7, 2).
        scores: (N,).

    Returns:
        boxes (M, 4), keypoints (M, 7, 2) and scores (M,) with M <= N. Each score is the best score of the palm.
    """
    if not len(boxes):
        return boxes, keypoints, scores
    values = np.concatenate([boxes, keypoints.reshape(len(boxes), -1)], axis=1)
    left = np.argsort(-scores, kind="stable")
    merged, best = [], []
    while left.size:
        same = overlap(boxes[left[0]], boxes[left]) > _SAME_PALM_IOU
        same[0] = True  # a box without area is also removed, so that the loop ends
        group = left[same]
        merged.append(np.average(values[group], axis=0, weights=scores[group]))
        best.append(scores[left[0]])
        left = left[~same]
    table = np.array(merged)
    return table[:, :4], table[:, 4:].reshape(len(table), -1, 2), np.array(best)


def overlap(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union, (N,), of one box (4,) with other boxes (N, 4), all as x0, y0, x1, y1."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    common = np.prod(np.maximum(sides, 0), axis=1)
    total = np.prod(box[2:] - box[:2]) + np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) - common
    return common / np.maximum(total, 1e-9)
