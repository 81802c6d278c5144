"""Hands with all conditions of the graph diffusion: kinematic hands, and rendered hands with image features.

The training reads one shard of rendered hands (`models_train.data.detected`) at a time and uses the shard for some steps. All
shards together do not fit into the memory of a small machine. The keypoints are corrected as at run time.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from hand_mesh_ros.core.cascade.keypoints import KeypointCorrector
from hand_mesh_ros.core.cascade.mesh_stage import palm_from_hand
from hand_mesh_ros.core.config import PipelineConfig
from hand_mesh_ros.core.geometry import camera, rigid
from hand_mesh_ros.core.hand.model import HandModel
from hand_mesh_ros.core.models.onnx_model import default_models_dir
from models_train.data import joint_noise, views
from models_train.data.shards import CAMERA, detection_of
from models_train.hands.sample import sample_hands

RECIPE = "models_train.data.graph_samples: kinematic hands with modelled keypoints"
STORED_RECIPE = f"{RECIPE}; half of the hands rendered, with what the real detector says of them"
# Share of exact skeletons and keypoints. A user may also give exact values for a specific hand.
_SHARE_EXACT = 0.25
# Standard deviation of modelled keypoints, relative to the extent of the hand. The joint stage learns with larger errors. With
# these, the graph diffusion would trust keypoints too little: it also fits exact keypoints.
_KEYPOINT_STD = 0.035
STEPS_PER_SHARD = 40


@dataclass(frozen=True)
class GraphSamples:
    """n right hands, each with its conditions; all arrays are float32."""

    vertices_m: np.ndarray  # (n, V, 3) palm frame of the true skeleton
    joints_m: np.ndarray  # (n, 21, 3) with errors, palm frame of these joints
    palm_from_camera: np.ndarray  # (n, 3, 3) rotations by the joints with errors
    rays: np.ndarray  # (n, 21, 2)
    confidence: np.ndarray  # (n, 21)
    features: np.ndarray | None  # (n, C, h, w)


class StoredHands:
    """Rendered hands with image features. The training uses the shards in turn."""

    def __init__(self, folder: Path, kind: str) -> None:
        """Lists the shards.

        Args:
            folder: output folder of `models_train.data.detected`.
            kind: "train" or "held_out".

        Raises:
            ValueError: if the folder has no shards of this kind.
        """
        self._paths = sorted(folder.glob(f"{kind}_*.npz"))
        if not self._paths:
            raise ValueError(f"no {kind}_*.npz in {folder}; make them with python -m models_train.data.detected")

    def sample(self, rng: np.random.Generator, n: int, step: int, hand: HandModel) -> GraphSamples:
        """Returns `n` random hands of the shard for `step`."""
        shard = _load(self._paths[step // STEPS_PER_SHARD % len(self._paths)])
        rows = rng.integers(len(shard["rays"]), size=n)
        picked = {name: array[rows] for name, array in shard.items()}
        surfaces = picked["vertices_m"].astype(np.float64)
        return with_errors(rng, hand, surfaces, picked["joints_m"], picked["rays"], picked["confidence"], picked["features"])

    def feature_scale(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns mean and standard deviation of each feature channel, (C, 1) each, over the first shard."""
        features = _load(self._paths[0])["features"].astype(np.float32)
        return features.mean((0, 2, 3))[:, None], features.std((0, 2, 3))[:, None]


def sample_kinematic(
    rng: np.random.Generator, n: int, hand: HandModel, held_out: bool = False, natural_share: float = 0.0
) -> GraphSamples:
    """Returns `n` random hands without images. The arguments are those of `views.sample_views`."""
    hands = sample_hands(rng, n, held_out, natural_share)
    placed = views.place(rng, hands.joints_m, natural_share > 0)
    cues = views.observe(rng, placed, _KEYPOINT_STD)
    return with_errors(rng, hand, hands.vertices_m, placed, cues.rays, cues.confidence, None)


def with_errors(
    rng: np.random.Generator,
    hand: HandModel,
    surfaces_m: np.ndarray,
    joints_m: np.ndarray,
    rays: np.ndarray,
    confidence: np.ndarray,
    features: np.ndarray | None,
) -> GraphSamples:
    """Adds errors to skeletons (n, 21, 3) in the camera frame and their rays. The surfaces may have any frame."""
    n = len(joints_m)
    true_joints = hand.joint_regressor @ surfaces_m
    exact = rng.uniform(size=(n, 1, 1)) < _SHARE_EXACT
    guessed = np.where(exact, joints_m, joint_noise.disturb(rng, joints_m))
    if features is None:
        exact_rays = rng.uniform(size=(n, 1, 1)) < _SHARE_EXACT
        rays = np.where(exact_rays, joints_m[..., :2] / joints_m[..., 2:], rays)
        confidence = np.where(exact_rays[..., 0], 1.0, confidence)
    rotation, translation = palm_from_hand(guessed, hand)
    parts = (
        rigid.transform(surfaces_m, *palm_from_hand(true_joints, hand)),
        rigid.transform(guessed, rotation, translation),
        rotation,
        rays,
        confidence,
    )
    images = None if features is None else features.astype(np.float32)
    return GraphSamples(*(part.astype(np.float32) for part in parts), images)


@lru_cache(maxsize=2)
def _load(path: Path) -> dict[str, np.ndarray]:
    """Reads a shard of `models_train.data.detected`, and corrects its keypoints."""
    with np.load(path) as file:
        shard = dict(file)
    corrector = KeypointCorrector(default_models_dir(), PipelineConfig(device="cpu"))
    views_of_shard = (detection_of({name: array[row] for name, array in shard.items()}) for row in range(len(shard["rays"])))
    keypoints = np.stack([corrector(detection).keypoints_px for detection in views_of_shard])
    rays = camera.rays_from_pixels(keypoints.reshape(-1, 2), CAMERA).reshape(keypoints.shape).astype(np.float32)
    return {name: shard[name] for name in ("vertices_m", "joints_m", "confidence", "features")} | {"rays": rays}
