"""First stage of the cascade: samples skeletons by diffusion, conditioned on the keypoints."""

from pathlib import Path

import numpy as np

from hand_mesh_ros.core.cascade.view import FEATURES_SHAPE, JOINT_UNIT_M, Cues, HandView, look_at_hand
from hand_mesh_ros.core.config import JointConfig
from hand_mesh_ros.core.geometry.rotations import lengths
from hand_mesh_ros.core.hand import model as hand_model
from hand_mesh_ros.core.hand.model import HandModel, bone_lengths
from hand_mesh_ros.core.models.noise import SCHEDULE
from hand_mesh_ros.core.models.onnx_model import OnnxModel
from hand_mesh_ros.core.models.sampler import ddim
from hand_mesh_ros.core.topology import N_JOINTS, joint_order_digest
from hand_mesh_ros.core.types import Hypotheses, SeenHand, ViewEmbedding

# Decrease of the log weight per relative distance from the other hypotheses.
_CONSENSUS = 2.0
ENCODER_FILE, DENOISER_FILE = "joint_encoder.onnx", "joint_denoiser.onnx"


class JointSampler:
    """Samples skeletons of one detected hand."""

    def __init__(self, models_dir: Path, config: JointConfig) -> None:
        """Loads the hand model, the view encoder and the denoiser.

        Raises:
            ModelError: if a file is missing, damaged, not a file of this package, or does not match the other files.
        """
        self._bone_sum_m = HandModel.load(models_dir / hand_model.FILE_NAME).bone_lengths_m.sum()
        expected = {"kind": "joint_encoder", "joint_order": joint_order_digest()}
        self._encoder = OnnxModel(models_dir / ENCODER_FILE, expected, config.device, config.threads)
        expected |= {"kind": "joint_denoiser", "schedule": SCHEDULE, "view_space": self._encoder.fact("view_space")}
        self._denoiser = OnnxModel.fastest(models_dir / DENOISER_FILE, expected, config.device, config.threads)
        # The encoder gets only the cues from its training. Other cues would have an unknown influence.
        self._learned = self._encoder.metadata.get("cues", "depth world image").split()
        self._uses_image = config.image_features and "image" in self._learned
        self.reconfigure(config)

    def reconfigure(self, config: JointConfig) -> None:
        """Uses another number of hypotheses or steps from now on."""
        self._steps = config.joint_steps
        # Every image uses the same noise, so that the hypotheses move smoothly with the hand. Each noise vector is used with both
        # signs, so that the mean of few hypotheses is close to the mean of many hypotheses.
        half = np.random.default_rng(config.seed).standard_normal(((config.n_hypotheses + 1) // 2, 3 * N_JOINTS))
        self._noise = np.concatenate([half, -half])[: config.n_hypotheses].astype(np.float32)

    @property
    def metadata(self) -> dict[str, str]:
        """Metadata of the denoiser's model file."""
        return self._denoiser.metadata

    @property
    def models(self) -> tuple[OnnxModel, ...]:
        """The loaded model files."""
        return self._encoder, self._denoiser

    @property
    def provider(self) -> str:
        """Name of the execution provider that runs the denoiser."""
        return self._denoiser.provider

    def __call__(self, seen: SeenHand) -> Hypotheses:
        """K skeletons of the hand, relative to the wrist, of average adult size."""
        view = look_at_hand(self._cues(seen))
        embedding = self._embed(view, seen)
        joints_m = self._sample(embedding) * JOINT_UNIT_M @ view.virtual_from_camera
        joints_m -= joints_m[:, :1]
        # One image does not show the size. The training hands have average size, but the model output may differ slightly.
        joints_m *= self._bone_sum_m / bone_lengths(joints_m).sum(-1)[:, None, None]
        embedded = ViewEmbedding(embedding[0], view.virtual_from_camera)
        return Hypotheses(joints_m.astype(np.float32), _consensus(joints_m).astype(np.float32), embedded)

    def _cues(self, seen: SeenHand) -> Cues:
        """The cues of the hand that the encoder was trained with."""
        has_depth = np.all(np.isfinite(seen.depth))
        has_world = "world" in self._learned and np.all(np.isfinite(seen.world_landmarks_m))
        return Cues(
            rays=seen.rays,
            confidence=seen.confidence,
            depth=seen.depth if has_depth else np.zeros(N_JOINTS),
            world_m=seen.world_landmarks_m if has_world else np.zeros((N_JOINTS, 3)),
            in_crop=seen.in_crop,
            given=np.array([has_depth, has_world, self._uses_image and seen.features is not None], float),
        )

    def _embed(self, view: HandView, seen: SeenHand) -> np.ndarray:
        """Embedding (1, W) of the view, with the image features if they are used."""
        inputs = {"condition": view.condition[None]}
        if "features" in self._encoder.input_names:
            features = seen.features if self._uses_image and seen.features is not None else np.zeros(FEATURES_SHAPE)
            inputs["features"] = features[None].astype(np.float32)
        return self._encoder(**inputs)["view_embedding"]

    def _sample(self, embedding: np.ndarray) -> np.ndarray:
        """Skeletons (K, 21, 3) in units of `JOINT_UNIT_M`, in the virtual camera, for one embedded view (1, W)."""

        def denoise(noisy: np.ndarray, time: float) -> np.ndarray:
            times = np.full(1, time, np.float32)
            return self._denoiser(noisy_joints=noisy, time=times, view_embedding=embedding)["joints"]

        return ddim(denoise, self._noise, self._steps).reshape(-1, N_JOINTS, 3)


def _consensus(joints_m: np.ndarray) -> np.ndarray:
    """Log weight of each skeleton, (K,), from skeletons (K, 21, 3). A skeleton nearer to the other skeletons gets more weight.

    The other skeletons are samples of the possible truth. So the mean distance to the other skeletons estimates the error of a
    skeleton. A sample has no other information about its error, because all samples come from the same image.
    """
    distance = lengths(joints_m[:, None] - joints_m[None]).mean(-1).sum(-1)
    return -_CONSENSUS * distance / max(distance.mean(), 1e-9)
