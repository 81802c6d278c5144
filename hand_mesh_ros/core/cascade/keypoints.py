"""Corrects the keypoints and depths of a detection with a small network on the pooled features of the landmark model.

The network also predicts how large the errors of 3D landmarks from this image are.
The network learned on rendered hands (`models_train.tasks.keypoints`), whose hidden joints are known too. Only the stages after
the detector use the corrected keypoints. The tracker compares the keypoints of the landmark model, as before.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from hand_mesh_ros.core.config import DetectorConfig
from hand_mesh_ros.core.detect import crop
from hand_mesh_ros.core.models.onnx_model import OnnxModel
from hand_mesh_ros.core.topology import WRIST, joint_order_digest
from hand_mesh_ros.core.types import HandDetection

FILE_NAME = "keypoint_corrector.onnx"


class KeypointCorrector:
    """Corrects detections of one image, without a state between images."""

    def __init__(self, models_dir: Path, config: DetectorConfig) -> None:
        """Loads the network. A folder of own models may lack the file. Then each detection stays as it is.

        Raises:
            ModelError: if the file is damaged, is not a file of this package, or cannot run on `config.device`.
        """
        path, expected = models_dir / FILE_NAME, {"kind": "keypoint_corrector", "joint_order": joint_order_digest()}
        self.models = (OnnxModel(path, expected, config.device, config.threads),) if path.exists() else ()

    def __call__(self, detection: HandDetection) -> HandDetection:
        """The detection with other keypoints and depths, and the expected errors. Without one of the cues it stays as it is."""
        if not self.models or detection.pooled_features is None:
            return detection
        landmarks, world_m = in_crop(detection)
        if not (np.isfinite(landmarks).all() and np.isfinite(world_m).all()):
            return detection
        cues = {"pooled_features": detection.pooled_features, "landmarks": landmarks, "world_m": world_m}
        answer = self.models[0](**{name: value[None].astype(np.float32) for name, value in cues.items()})
        corrected = moved_to(detection, answer["corrected"][0].astype(np.float64))
        return replace(corrected, log_errors=answer["log_errors"][0].astype(np.float64))


def in_crop(detection: HandDetection) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks (21, 3) in crop pixels, with depths relative to the wrist, and world landmarks (21, 3) [m] in crop axes."""
    to_image = detection.image_from_crop
    scale = crop.scale(to_image)
    keypoints = crop.apply(crop.inverse(to_image), detection.keypoints_px)
    world_m = np.array(detection.world_landmarks_m, np.float64)
    world_m[:, :2] = world_m[:, :2] @ (to_image[:, :2] / scale)
    return np.column_stack([keypoints, detection.keypoint_depth_px / scale]), world_m


def moved_to(detection: HandDetection, landmarks: np.ndarray) -> HandDetection:
    """The detection with the keypoints and depths of landmarks (21, 3) in crop pixels."""
    to_image = detection.image_from_crop
    depth_px = (landmarks[:, 2] - landmarks[WRIST, 2]) * crop.scale(to_image)
    # Without rounding, the mirrored hand gets the mirrored keypoints. The 8-bit nets would enlarge a difference.
    return replace(detection, keypoints_px=crop.apply(to_image, landmarks[:, :2]), keypoint_depth_px=depth_px)
