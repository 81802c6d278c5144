"""First stage of the cascade: skeletons that explain the keypoints, sampled by diffusion."""

from pathlib import Path

import numpy as np

from hand_mesh_ros.core.cascade.view import FEATURES_SHAPE, JOINT_UNIT_M, Cues, look_at_hand
from hand_mesh_ros.core.config import JointConfig
from hand_mesh_ros.core.hand import model as hand_model
from hand_mesh_ros.core.hand.model import HandModel, bone_lengths
from hand_mesh_ros.core.models.noise import SCHEDULE
from hand_mesh_ros.core.models.onnx_model import OnnxModel
from hand_mesh_ros.core.models.sampler import ddim
from hand_mesh_ros.core.topology import N_JOINTS, joint_order_digest
from hand_mesh_ros.core.types import Hypotheses, SeenHand, ViewEmbedding

# Log weight per relative distance from the other hypotheses.
_CONSENSUS = 2.0
ENCODER_FILE, DENOISER_FILE = "joint_encoder.onnx", "joint_denoiser.onnx"


class JointSampler:
    """Samples skeletons of one seen hand."""

    def __init__(self, models_dir: Path, config: JointConfig) -> None:
        """Loads the hand model, the view encoder and the denoiser.

        Raises:
            ModelError: if one of them is missing, damaged, foreign, or made for another of them.
        """
        self._bone_sum_m = HandModel.load(models_dir / hand_model.FILE_NAME).bone_lengths_m.sum()
        expected = {"kind": "joint_encoder", "joint_order": joint_order_digest()}
        self._encoder = OnnxModel(models_dir / ENCODER_FILE, expected, config.device, config.threads)
        expected |= {"kind": "joint_denoiser", "schedule": SCHEDULE, "view_space": self._encoder.fact("view_space")}
        self._denoiser = OnnxModel(models_dir / DENOISER_FILE, expected, config.device, config.threads)
        self._image_features = config.image_features
        self.reconfigure(config)

    def reconfigure(self, config: JointConfig) -> None:
        """Uses another number of hypotheses or steps from now on."""
        self._steps = config.joint_steps
        # The same noise for every image: hypotheses move with the hand instead of flickering.
        self._noise = np.random.default_rng(config.seed).standard_normal((config.n_hypotheses, 3 * N_JOINTS))

    @property
    def metadata(self) -> dict[str, str]:
        """Metadata of the denoiser's model file."""
        return self._denoiser.metadata

    @property
    def provider(self) -> str:
        """Name of the execution provider that runs the denoiser."""
        return self._denoiser.provider

    def __call__(self, seen: SeenHand) -> Hypotheses:
        """K skeletons of the hand, relative to the wrist, of average adult size."""
        cues, features = self._cues(seen)
        view = look_at_hand(cues)
        embedding = self._encoder(condition=view.condition[None], features=features)["view_embedding"]
        joints_m = self._sample(embedding) * JOINT_UNIT_M @ view.virtual_from_camera
        joints_m -= joints_m[:, :1]
        # Size cannot be seen in one image. The model was trained on hands of average size and keeps that size only nearly.
        joints_m *= self._bone_sum_m / bone_lengths(joints_m).sum(-1)[:, None, None]
        embedded = ViewEmbedding(embedding[0], view.virtual_from_camera)
        return Hypotheses(joints_m.astype(np.float32), _consensus(joints_m).astype(np.float32), embedded)

    def _cues(self, seen: SeenHand) -> tuple[Cues, np.ndarray]:
        """The cues of the hand, and the image features (1, 192, 7, 7), which are zero if they are not used."""
        has_depth, has_world = np.all(np.isfinite(seen.depth)), np.all(np.isfinite(seen.world_landmarks_m))
        features = seen.features if self._image_features else None
        cues = Cues(
            rays=seen.rays,
            confidence=seen.confidence,
            depth=seen.depth if has_depth else np.zeros(N_JOINTS),
            world_m=seen.world_landmarks_m if has_world else np.zeros((N_JOINTS, 3)),
            in_crop=seen.in_crop,
            given=np.array([has_depth, has_world, features is not None], float),
        )
        return cues, (np.zeros(FEATURES_SHAPE) if features is None else features)[None].astype(np.float32)

    def _sample(self, embedding: np.ndarray) -> np.ndarray:
        """Skeletons (K, 21, 3) in units of `JOINT_UNIT_M`, in the virtual camera, of one embedded view (1, W)."""
        views = np.tile(embedding, (len(self._noise), 1))

        def denoise(noisy: np.ndarray, time: float) -> np.ndarray:
            times = np.full(len(noisy), time, np.float32)
            return self._denoiser(noisy_joints=noisy.astype(np.float32), time=times, view_embedding=views)["joints"]

        return ddim(denoise, self._noise, self._steps).reshape(-1, N_JOINTS, 3)


def _consensus(joints_m: np.ndarray) -> np.ndarray:
    """Log weight of each skeleton, (K,), from (K, 21, 3): the nearer to the others, the smaller the error to be expected of it.

    The others are draws of where the truth may be, so the mean distance to them estimates that error. No sample can tell more of
    itself: all come from the same image.
    """
    distance = np.linalg.norm(joints_m[:, None] - joints_m[None], axis=-1).mean(-1).sum(-1)
    return -_CONSENSUS * distance / max(distance.mean(), 1e-9)
